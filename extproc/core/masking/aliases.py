"""Names for values that are masked, equal for equal values: numbers within an exchange, tokens within a tenant."""

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from typing import Final

from extproc.core.masking.cards import MetCards
from extproc.core.masking.settings import Kind
from extproc.core.trust import Secret

# No vowels, so that no word shows; no letter that PAN and security code are announced with; no digits.
_LETTERS: Final = "bdfghjkmnpqrtwxz"
_TOKEN_BYTES: Final = 10
_CONTEXT: Final = b"extproc mask token 1"
# Written with and without blanks and punctuation.
_COMPACT: Final = frozenset(("iban", "phone", "ssn", "passport", "tax_id"))


@dataclass(frozen=True, slots=True)
class MaskKey:
    """A key of tokens. `id` shows in each token, so that a join over a rotation knows which key made it."""

    id: str
    secret: Secret


def token_of(key: MaskKey, tenant: str, kind: str, value: str) -> str:
    """What stands for `value`, without the kind and the key's id: 80 bits of HMAC-SHA-256, as 20 lower-case letters.

    The hash is keyed and of the whole PAN (PCI DSS 3.5.1.1).
    """
    mac = hmac.new(key.secret.value.encode(), _CONTEXT, hashlib.sha256)
    for part in (tenant, kind, canonical(kind, value)):
        encoded = part.encode("utf-8", "surrogatepass")
        mac.update(len(encoded).to_bytes(8, "big"))
        mac.update(encoded)
    return "".join(_LETTERS[byte >> 4] + _LETTERS[byte & 15] for byte in mac.digest()[:_TOKEN_BYTES])


def canonical(kind: str, value: str) -> str:
    """`value` without what does not tell values of this kind apart: case, width, and what people write in between."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    if kind == Kind.PAN:
        return "".join(filter(str.isdecimal, folded))
    return "".join(filter(str.isalnum, folded)) if kind in _COMPACT else folded


class Aliases:
    """The names of one exchange, in both directions. Prints no value; holds the values that it numbered."""

    __slots__ = ("_key", "_numbers", "_tenant", "cards")

    def __init__(self, key: MaskKey | None, tenant: str) -> None:
        """`key` makes the tokens; without one nothing may ask for any."""
        self._key = key
        self._tenant = tenant
        self._numbers: dict[str, dict[str, int]] = {}
        self.cards: MetCards | None = None
        """Takes note of cards where a budget counts them."""

    def number(self, kind: str, value: str) -> str:
        """The number of this value among those of its kind, from 1, in the order in which they were first asked for."""
        numbers = self._numbers.setdefault(kind, {})
        return str(numbers.setdefault(canonical(kind, value), len(numbers) + 1))

    def token(self, kind: str, value: str) -> str:
        """The key's id and the token. Raises `RuntimeError` without a key."""
        if self._key is None:
            raise RuntimeError("there is no key for mask tokens")
        return f"{self._key.id}_{token_of(self._key, self._tenant, kind, value)}"

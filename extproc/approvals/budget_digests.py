"""What the store keeps of a card, and the ids of accounts.

The exchange gives keyed digests of whole PANs (PCI DSS 3.5.1.1; `extproc.core.masking.cards`), never a PAN and nothing
that is a part of one. They are keyed once more here, and only that is stored, 128 bits of HMAC-SHA-256 beside the
number of a bucket:

* Back to a PAN: the database holds no key. Without one a digest cannot be told from random bits, so that trying all
  PANs (there are few: PCI DSS asks for the key because of that) compares with nothing. The key is derived from the
  deployment's digest key, which is a file of the service and is kept apart from the database.
* Across windows: each account (budget, series, holder) has a key of its own for each epoch of `BUCKETS` + 1 buckets.
  Digests of one card under two keys have nothing in common, so that nobody who reads the database sees that two people,
  or two budgets, met the same card, or one person in two epochs. Within an epoch it shows: that is the counting.
* Rows leave with the window, and the key of an epoch is not kept anywhere: it is derived when it is needed.
"""

import hashlib
import hmac
from collections.abc import Iterable

from extproc.core.budget_charge import BUCKETS, Charge
from extproc.core.trust import Secret

_CONTEXT = b"extproc budget row 1"
_DIGEST_BYTES = 16


def account_id(budget: str, series: str, holder: str) -> str:
    """The id of what a budget counts for a holder. Not keyed: the three texts stand beside it."""
    return hashlib.sha256(_framed(budget, series, holder)).hexdigest()


def account_of(charge: Charge) -> str:
    return account_id(charge.budget, charge.series, charge.holder)


def row_digests(key: Secret, account: str, bucket: int, cards: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The digests of cards in the epoch of `bucket`, and in the one before, where a live row of theirs may still be."""
    now, before = (_epoch_key(key, account, bucket // (BUCKETS + 1) - back) for back in (0, 1))
    in_order = sorted(cards)  # of the same order in every process: rows are locked in the order of the digests
    return sorted(_row_digest(now, card) for card in in_order), [_row_digest(before, card) for card in in_order]


def _epoch_key(key: Secret, account: str, epoch: int) -> bytes:
    return hmac.digest(key.value.encode(), _CONTEXT + _framed(account, str(epoch)), "sha256")


def _row_digest(epoch_key: bytes, card: bytes) -> bytes:
    return hmac.digest(epoch_key, card, "sha256")[:_DIGEST_BYTES]


def _framed(*parts: str) -> bytes:
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)

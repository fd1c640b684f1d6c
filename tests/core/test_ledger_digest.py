"""The digest that a grant is bound to is keyed: whoever reads it cannot try out prompts against it."""

import hashlib
import hmac

import pytest

from extproc.core.ledger import digest_request
from extproc.core.policy import Operation
from extproc.core.trust import Masked, Secret

KEY = Secret("a key of the deployment")
PARTS = ("llama", Operation.CHAT, "/v1/chat/completions", Masked(b'{"messages":[]}'))


def framed() -> bytes:
    connection, operation, path, body = PARTS
    parts = (connection.encode(), operation.encode(), path.encode(), body)
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def test_p5_another_key_makes_another_digest() -> None:
    assert digest_request(KEY, *PARTS) == digest_request(Secret(KEY.value), *PARTS)
    assert digest_request(KEY, *PARTS) != digest_request(Secret("another key"), *PARTS)
    assert digest_request(KEY, *PARTS) != digest_request(Secret(""), *PARTS)


def test_p5_it_is_no_digest_that_anyone_can_compute() -> None:
    """Neither over the parts as they are framed, nor joined, nor with the key merely put before them."""
    connection, operation, path, body = PARTS
    joined = connection.encode() + operation.encode() + path.encode() + body
    guesses = [framed(), joined, bytes(body), KEY.value.encode() + framed(), framed() + KEY.value.encode()]
    digest = digest_request(KEY, *PARTS)
    assert digest not in {hashlib.sha256(guess).hexdigest() for guess in guesses}
    assert digest == hmac.new(KEY.value.encode(), framed(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        ("other", *PARTS[1:]),
        (PARTS[0], Operation.TEXT_COMPLETION, *PARTS[2:]),
        (*PARTS[:2], "/v1/chat/completions?x", PARTS[3]),
        (*PARTS[:3], Masked(b'{"messages":[ ]}')),
        (*PARTS[:2], PARTS[2] + "{", Masked(PARTS[3][1:])),
    ],
)
def test_every_part_counts_and_so_does_where_it_ends(other) -> None:
    assert digest_request(KEY, *PARTS) != digest_request(KEY, *other)

"""The response side alone: what it is withheld for."""

import pytest

from extproc.core import events as ev
from extproc.core.answer import Answer
from extproc.core.headers import Headers
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Operation, Policy
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret

MASKING = MaskingSettings()
POLICY = Policy("sha256:x", "p", (), MASKING)
COSTLY = " ".join(["4111 1111 1111 1112 x"] * 50).encode()


def test_headers_that_cost_too_much_are_the_models_fault() -> None:
    """Not the client's: 502, not 413."""
    snapshot = Snapshot(POLICY, Scanner(MASKING, max_steps=300), (Connection("m"),), Limits(), Secret("k" * 32))
    headers = Headers(((":status", b"200"), ("content-type", b"application/json"), ("x-numbers", COSTLY)))
    answer = Answer(snapshot)
    with pytest.raises(Malformed) as refused:
        answer.begin(ev.ResponseHeaders(headers, False, ev.Attributes(), 1.0), Operation.CHAT, None, "x-1")
    assert refused.value.reason is Reason.RESPONSE_TOO_COSTLY

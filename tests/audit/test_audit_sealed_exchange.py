"""Sealed originals from the machine through the real journal, to the disk and back."""

import json
from queue import SimpleQueue

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from extproc.audit.reading.replay import read_transcript
from extproc.audit.retention.sealed import Sealer, open_original, splice
from extproc.core import events as ev
from extproc.core.actions import Action, ForwardRequest, ReleaseBody, StoreContent, StoreRecord
from extproc.core.exchange import Exchange
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Effect, Match, Policy, Rule
from extproc.core.record import Direction
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret
from extproc.edge.recording import Recording

PAN = "4111 1111 1111 1111"
CODE = "739"
SAID = ["The card 4111 11", f"11 1111 1111, cvv {CODE}. ", "And 5555555555554444 too", ". Bye."]


class Guarded:
    """One exchange; what it stores goes into a journal, and it waits for that."""

    def __init__(self, journal, seal) -> None:
        masking = MaskingSettings()
        policy = Policy("sha256:x", "p", (Rule("allow", Effect.ALLOW, Match(), "", None),), masking)
        snapshot = Snapshot(policy, Scanner(masking), (Connection("model"),), Limits(), Secret("k" * 32), seal=seal)
        self.exchange = Exchange("x-1", snapshot, started_unix=1e9, started_at=0.0, accepting=True)
        self.stored: SimpleQueue[ev.Event] = SimpleQueue()
        self.recording = Recording(journal, "x-1", 0.0, self.stored.put)
        self.out: list[Action] = []

    def feed(self, *events: ev.Event) -> None:
        for event in events:
            self._do(self.exchange.receive(event))

    def _do(self, actions: tuple[Action, ...]) -> None:
        waits = 0
        self.recording.begin()
        for action in actions:
            self.out.append(action)
            if isinstance(action, StoreRecord):
                self.recording.store_record(action)
                waits += 1
            elif isinstance(action, StoreContent):
                self.recording.store_content(action)
                waits += 1
        for _ in range(waits):
            self._do(self.exchange.receive(self.stored.get(timeout=60)))


def headers(**pairs: str) -> Headers:
    return Headers(tuple((name.replace("_", "-"), value.encode()) for name, value in pairs.items()))


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


def text_of(stream: bytes) -> str:
    lines = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return "".join(choice["delta"]["content"] for line in lines for choice in line["choices"])


def run(journal, seal) -> Guarded:
    guarded = Guarded(journal, seal)
    asked = {"model": "m", "messages": [{"role": "user", "content": f"pay with {PAN} cvv {CODE} now"}]}
    guarded.feed(
        ev.RequestHeaders(
            headers(
                **{
                    ":method": "POST",
                    ":path": "/v1/chat/completions",
                    "content_type": "application/json",
                    "authorization": "Bearer aaa.bbb.ccc",
                }
            ),
            False,
            ev.Attributes(source_address="192.0.2.1:1"),
            1.0,
        ),
        ev.TokenVerified(Principal(issuer="i", subject="s", name="n", groups=("analysts",)), 1.1),
        ev.RequestBody(json.dumps(asked).encode(), True, 1.2),
        ev.ResponseHeaders(
            headers(**{":status": "200", "content_type": "text/event-stream"}), False, ev.Attributes(), 2.0
        ),
        *(ev.ResponseBody(event(text), False, 3.0 + at) for at, text in enumerate(SAID)),
        ev.ResponseBody(b"data: [DONE]\n\n", True, 9.0),
    )
    assert guarded.exchange.over
    assert any(isinstance(action, ForwardRequest) for action in guarded.out)
    return guarded


def test_what_is_opened_is_what_arrived_and_no_disk_ever_held_it(log) -> None:
    key = X25519PrivateKey.generate()
    journal = log.open()
    guarded = run(journal, Sealer(key.public_key(), journal.origin))
    journal.close()
    log.ship()
    transcript = read_transcript(log.look(), log.keys, "x-1")
    opened = {
        direction: splice(
            transcript.pieces,
            direction,
            [
                open_original(key, origin, "x-1", direction, piece.data)
                for origin, piece in transcript.sealed
                if piece.direction is direction.sealed
            ],
        )
        for direction in (Direction.TO_MODEL, Direction.TO_CLIENT)
    }
    asked = json.loads(opened[Direction.TO_MODEL])
    assert asked["messages"][0]["content"] == f"pay with {PAN} cvv [CVV] now"
    assert text_of(opened[Direction.TO_CLIENT]) == "".join(SAID).replace(CODE, "[CVV]")
    released = b"".join(action.data for action in guarded.out if isinstance(action, ReleaseBody))
    assert released == b"".join(piece.data for piece in transcript.pieces if piece.direction is Direction.TO_CLIENT)
    assert log.verify().exit_code == 0
    disk = b"".join(path.read_bytes() for path in log.settings.spool.parent.rglob("*") if path.is_file())
    for value in (PAN, PAN.replace(" ", ""), "5555555555554444", f"cvv {CODE}"):
        assert value.encode() not in disk
        assert value not in repr(guarded.out)


def test_without_the_setting_nothing_is_kept(log) -> None:
    journal = log.open()
    run(journal, None)
    journal.close()
    log.ship()
    assert read_transcript(log.look(), log.keys, "x-1").sealed == ()

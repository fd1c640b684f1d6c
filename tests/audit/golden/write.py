"""Write a golden log: `python tests/audit/golden/write.py NAME` makes `NAME/` with the code as it is now.

A golden log is kept for good when the stored form changes: readers accept everything that older versions wrote.
`store/` is the store, `deployment.pub` its public key, `records.json` the records as the writer had them. The private
keys end with the process.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.public_keys import PUBLIC_KEY
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.audit.stores.store import open_store
from extproc.core.decision_record import (
    ApprovalFacts,
    DecisionRef,
    ObligationsRef,
    RequestFacts,
    ResponseRef,
    ShadowRef,
    StepUpRef,
)
from extproc.core.record import Actor, ApprovalRef, Direction, EventCode, Measures, Outcome, PolicyRef, Record, Resource
from extproc.core.trust import Masked

DECISION = DecisionRef(
    time_ms=1_789_999_999_999,
    facts=RequestFacts(
        choices=1, stream=True, max_tokens=16, messages=2, inputs=1, tools=2, tool_names=("search", "sql"),
        tool_names_left_out=1, prompt_characters=40, body_bytes=120,
    ),
    budgets={"cards-a-day": 12},
    approval=ApprovalFacts(state="granted", approvers=2, age_seconds=12.5),
    determining=("no-models", "no-admin"),
    shadow=(ShadowRef(rule="dry", effect="deny", would_change=True), ShadowRef(rule="agrees", effect="allow")),
    errors=("odd",),
    logging=("budget:cards-a-day",),
    step_up=StepUpRef(rule="staff", mfa=True, max_age_seconds=3600.0),
    obligations=ObligationsRef(masking="strict", max_tokens=1024, retention_days=30, durability="store"),
    carried_out=ObligationsRef(max_tokens=1024),
    response=ResponseRef(
        events=7, bytes=900, characters=120, tokens=12, seconds=1.5, rule="many-cards", determining=("many-cards",),
        shadow=("wet",), errors=("odd",),
    ),
)  # fmt: skip
OWN = frozenset({code for code in EventCode if code.value.startswith("log.")} | {EventCode.INFERENCE_RECOVERED})


def settings_in(folder: Path) -> AuditSettings:
    return AuditSettings(
        deployment="golden",
        spool=folder / "spool",
        keys=folder / "keys",
        store=DirectoryStore(folder / "store"),
        segment_bytes=4_000,
        segment_seconds=600.0,
        reserve_bytes=64 * 1024,
    )


def records() -> Iterator[Record]:
    """One of each event, each field filled somewhere."""
    for number, code in enumerate(code for code in EventCode if code not in OWN):
        yield Record(
            event_code=code,
            time_ms=1_790_000_000_000 + number,
            actor=Actor(
                uid="https://idp.test|äna",
                name='A "quoted" \\ name',
                groups=("analysts", "staff"),
                token_id="t-1",
                client="notebook",
                methods=("pwd", "otp"),
                mfa=True,
                kind="service" if number % 2 else "person",
                tenant="acme",
                context_class="urn:acr:2",
                authenticated_at=1_789_999_000,
                spiffe_id="spiffe://acme/notebook",
                certificate_subject="CN=notebook,O=acme",
                confirmation="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            ),
            status=list(Outcome)[number % len(Outcome)],
            src_address="2001:db8::7",
            resource=Resource(connection="llama", operation="chat", protocol="HTTP/2", model="tiny"),
            exchange_id=f"g-{number}",
            status_detail="policy_denied",
            http_status=403,
            policy=PolicyRef(digest="ab" * 32, effect="deny", rule="no-models"),
            decision=DECISION,
            approval=ApprovalRef(
                id="a-1", state="granted", request_digest="cd" * 32, decided_by="b|1", reason="needed"
            ),
            findings_request={"pan": 2, "email": 1},
            findings_response={"pan": 1},
            stripped=("logprobs", "echo"),
            not_inspected={"image": 1},
            finish_reasons=("stop",),
            measures=Measures(request_bytes=120, response_bytes=900, input_tokens=12, duration_ms=20.5, hold_ms=0.25),
            trace_id="0af7651916cd43dd8448eb211c80319c",
            request_digest="ef" * 32,
            detail={"file": "policy.yaml", "count": 3, "share": 0.5, "done": True},
        )


def write_exchange(journal: Journal, exchange_id: str) -> None:
    """A begun exchange with a transcript."""
    plain = Record(
        event_code=EventCode.INFERENCE_REQUEST,
        time_ms=1_790_000_001_000,
        actor=Actor(uid="https://idp.test|bo"),
        status=Outcome.COMPLETED,
        src_address="192.0.2.7",
        resource=Resource(connection="llama", operation="chat", protocol="HTTP/1.1", model="tiny"),
        exchange_id=exchange_id,
    )
    content = journal.open_content(exchange_id)
    content.append(Direction.TO_MODEL, 1_000, Masked(b'{"messages":[]}'))
    journal.append_record(plain)
    content.append(Direction.TO_CLIENT, 2_000, Masked(b"data: [DONE]\n\n"))
    if not exchange_id.endswith("open"):
        journal.append_record(
            msgspec.structs.replace(plain, event_code=EventCode.INFERENCE_END, time_ms=plain.time_ms + 5)
        )


def write_dead(folder: Path) -> None:
    """A writer that dies with an exchange under way."""
    settings = settings_in(folder)
    journal = Journal.open(
        settings, AuditKeys.load_or_create(settings.keys), writer="worker-1", deliver=lambda run: run()
    )
    write_exchange(journal, "g-done")
    write_exchange(journal, "g-open")
    journal.append_record(next(records()), lambda durable: os._exit(0 if durable else 1))
    journal._thread.join()


def main(target: Path) -> None:
    with TemporaryDirectory() as temporary:
        settings = settings_in(Path(temporary))
        keys = AuditKeys.load_or_create(settings.keys)
        journal = Journal.open(settings, keys, writer="worker-0", deliver=lambda run: run())
        for record in records():
            durable = threading.Event()
            journal.append_record(record, lambda _, durable=durable: durable.set())  # type: ignore[misc]
            durable.wait()
        write_exchange(journal, "g-whole")
        journal.close()
        subprocess.run([sys.executable, __file__, "--dead", temporary], check=True)
        adopt_orphans(settings, keys)
        Shipper(settings).ship_pending()
        found = [
            {"origin": str(item.origin), "seq": item.seq, "record": item.record}
            for item in find_records(Holdings.look(open_store(settings), None, ""))
        ]
        assert isinstance(settings.store, DirectoryStore)
        shutil.copytree(settings.store.directory, target / "store")
        shutil.copy(settings.keys / PUBLIC_KEY, target / PUBLIC_KEY)
        (target / "records.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--dead", folder]:
            write_dead(Path(folder))
        case [name]:
            main(Path(__file__).parent / name)

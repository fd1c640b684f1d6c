"""A request whose record would lack what PCI DSS 10.2.2 asks for is refused, with the real journal."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.journal import Journal
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.ledger import Ledger
from extproc.core.record import Record
from tests.edge.session.played import Context, outcome, services, whole_exchange


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    settings = AuditSettings(
        deployment="test",
        spool=tmp_path / "spool",
        keys=tmp_path / "keys",
        store=DirectoryStore(tmp_path / "store"),
        max_spool_bytes=16 * 1024 * 1024,
        reserve_bytes=64 * 1024,
    )
    loop = asyncio.get_running_loop()
    keys = AuditKeys.load_or_create(settings.keys)
    opened = Journal.open(settings, keys, writer="worker-0", deliver=loop.call_soon_threadsafe)
    yield opened
    await asyncio.to_thread(opened.close)


class Patient(Context):
    """Goes on with the answer, and closes, only when it has been answered, as Envoy does."""

    async def read(self) -> Any:
        if len(self.messages) in (0, 4):
            async with asyncio.timeout(10):
                while not (forwarded(self) if self.messages else self.ended()):
                    await asyncio.sleep(0.001)
        return await super().read()

    def ended(self) -> bool:
        answers = [each.response_body.response.body_mutation for each in self.written if each.HasField("response_body")]
        return any(answer.streamed_response.end_of_stream for answer in answers)


def without(field: str, record: Record) -> Record:
    part, _, name = field.partition(".")
    if not name:
        return structs.replace(record, **{part: ""})
    return structs.replace(record, **{part: structs.replace(getattr(record, part), **{name: ""})})


def statuses(context: Context) -> list[int]:
    return [each.immediate_response.status.code for each in context.written if each.HasField("immediate_response")]


def forwarded(context: Context) -> bool:
    return any(each.HasField("request_body") for each in context.written)


@pytest.mark.parametrize("field", ["actor.uid", "src_address", "resource.operation", "resource.protocol"])
async def test_p3_a_request_whose_record_would_lack_something_is_refused(
    journal: Journal, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Ledger.record

    def lacking(self: Ledger, *given: Any, **more: Any) -> Record:
        return without(field, whole(self, *given, **more))

    monkeypatch.setattr(Ledger, "record", lacking)
    context = Context(whole_exchange())
    await outcome(context, services(journal=journal))
    assert statuses(context) == [503]
    assert not forwarded(context)


async def test_a_whole_record_lets_the_request_on(journal: Journal) -> None:
    context = Patient(whole_exchange())
    assert await outcome(context, services(journal=journal)) == "ok"
    assert statuses(context) == []
    assert forwarded(context)

"""Reading a bucket: the evidence alone is listed, of an exchange's content its own epoch's, and the oldest versions."""

import time

from extproc.audit.reading.exchanges import Query, find_exchanges
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Reader, Span, evidence_of
from extproc.audit.reading.replay import read_transcript
from extproc.audit.stores.s3 import Bucket
from tests.audit.test_audit_shipping import bucket_settings, client


def test_a_bucket_is_listed_and_read_as_far_as_it_must_be(log, exchange, story, moto_url, s3_credentials) -> None:
    settings = bucket_settings(moto_url, "read-as-far-as-it-must-be")
    log = log.with_(store=settings)
    for writer in ("worker-0", "worker-1"):
        journal = log.open(writer)
        exchange(journal, f"x-{writer[-1]}")
        journal.close()
    log.ship()
    s3, store = client(moto_url), Bucket(settings)
    evidence = next(each.key for each in store.list("v1/evidence/") if each.key.endswith(".jsonl"))
    s3.put_object(Bucket=settings.bucket, Key="audit/" + evidence, Body=b"another\n")
    listed: list[str] = []

    def note(params, **_: object) -> None:
        listed.append(params["Prefix"])

    store.wire.client.meta.events.register("provide-client-params.s3.ListObjectVersions", note)

    def look(span: Span) -> Holdings:
        return Holdings.look(store, None, "test", listing=evidence_of("test", span))

    holdings = look(Span())
    reader = Reader(holdings)
    assert {found.exchange_id for found in find_exchanges(reader, Query())} == {"x-0", "x-1"}
    assert reader.problems == []
    transcript = read_transcript(holdings, log.keys, "x-1")
    assert transcript is not None
    assert [bytes(piece.data) for piece in transcript.pieces] == [story[0], *story[1]]
    (origin,) = {item.origin for item in transcript.exchange.records}
    folders = [f"audit/v1/{plane}/" for plane in ("evidence", "content", "keys")]
    assert [prefix[: len(folder)] for prefix, folder in zip(listed, folders, strict=True)] == folders
    assert all(prefix.endswith(f"/{origin.writer}/{origin.epoch}/") for prefix in listed[1:])
    long_ago = Span(0, int(time.time() * 1000) - 3 * 86_400_000)
    assert look(long_ago).epochs == {}

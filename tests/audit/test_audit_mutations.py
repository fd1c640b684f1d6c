"""P4, byte by byte: no byte of a small log can be flipped, and none of its objects cut, without `verify` saying so.

Every object: evidence, manifest, content, key bag, registry entry. What is found is named once, and nothing else is.
"""

import json

import pytest

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.reading.span import Span
from extproc.audit.verify.findings import Name

PARTS = {
    "registry": ".json",
    "manifest": ".manifest.json",
    "evidence": ".jsonl",
    "content": ".content",
    "keys": ".jsonl",
}
by_part = pytest.mark.parametrize("part", PARTS)


@pytest.fixture
def small(log, exchange, memory):
    """A store with one epoch, one segment, two exchanges, in memory."""
    journal = log.open()
    exchange(journal, "x")
    exchange(journal, "y")
    journal.close()
    log.ship()
    store = memory(log.store_path)
    report = log.verify(store=store, spool=False)
    assert (report.exit_code, report.findings) == (0, []), "the untouched log is proven"
    return store


def key_of(small, part: str) -> str:
    plane = "evidence" if part == "manifest" else part
    (key,) = [
        key
        for key in small.objects
        if key.startswith(f"v1/{plane}/")
        and key.endswith(PARTS[part])
        and (".manifest." in key) == (part == "manifest")
    ]
    return key


def found(log, small) -> list[Name]:
    report = log.verify(store=small, spool=False)
    names = [finding.name for finding in report.findings]
    assert report.exit_code == (1 if names else 0)
    return names


@by_part
def test_a_flip_of_any_byte_is_found(log, small, part):
    """One bit of each byte; in documents also the case bit, where hexadecimal would forgive it."""
    key = key_of(small, part)
    data = small.objects[key]
    for offset in range(len(data)):
        for bit in {1 << offset % 8, 0x20} if key.endswith(".json") else {1 << offset % 8}:
            changed = bytearray(data)
            changed[offset] ^= bit
            small.objects[key] = bytes(changed)
            assert found(log, small) == [Name.ALTERED], (key, offset, bit)
    small.objects[key] = data
    assert found(log, small) == []


@by_part
def test_a_cut_at_any_byte_is_found(log, small, part):
    """An empty key bag, or one cut behind a line, is one whose keys are gone; every other cut altered something."""
    key = key_of(small, part)
    data = small.objects[key]
    for length in range(len(data)):
        small.objects[key] = data[:length]
        names = set(found(log, small))
        if part == "keys" and (length == 0 or data[length - 1 : length] == b"\n"):
            assert names == {Name.CONTENT_KEY_ABSENT}, length
        else:
            assert names == {Name.ALTERED}, (key, length)
    small.objects[key] = data
    assert found(log, small) == []


@by_part
def test_anything_put_behind_an_object_is_found(log, small, part):
    key = key_of(small, part)
    data = small.objects[key]
    for more in (b"\n", b"x", data):
        small.objects[key] = data + more
        assert found(log, small) == [Name.ALTERED], more
    small.objects[key] = data


@by_part
def test_a_removed_object_is_found(log, small, part):
    del small.objects[key_of(small, part)]
    expected = {
        "registry": {Name.UNREGISTERED},
        "manifest": {Name.TRUNCATED},
        "evidence": {Name.GAP},
        "content": {Name.GAP},
        "keys": {Name.CONTENT_KEY_ABSENT},
    }
    assert set(found(log, small)) == expected[part]


def test_an_object_of_segment_zero_is_none_of_the_logs(log, small):
    key = key_of(small, "evidence").replace("0000000001", "0000000000")
    small.objects[key] = b""
    assert found(log, small) == [Name.STRANGER]


def test_another_deployments_key_proves_nothing(log, small, tmp_path):
    other = AuditKeys.load_or_create(tmp_path / "other").signing.public_key()
    report = log.verify(store=small, spool=False, key=other)
    assert (report.exit_code, report.records) == (1, 0)
    assert {finding.name for finding in report.findings} == {Name.ALTERED}


def test_an_epoch_that_the_registry_does_not_know_is_found(log, small, memory, tmp_path, exchange):
    """Whole, signed by keys of the deployment, and never registered."""
    other = log.with_(spool=tmp_path / "other-spool", store=type(log.settings.store)(tmp_path / "other-store"))
    journal = other.open()
    exchange(journal, "z")
    journal.close()
    other.ship()
    strange = memory(other.store_path).objects
    small.objects |= {key: data for key, data in strange.items() if not key.startswith("v1/registry/")}
    assert found(log, small) == [Name.UNREGISTERED]


@pytest.mark.parametrize("hours", [-1000, -1, 1000])
def test_a_clock_that_is_wrong_makes_no_missing_end_look_young(log, small, hours):
    """Whoever verifies has another clock than the writer had: an hour behind it, or far on either side."""
    del small.objects[key_of(small, "manifest")]
    report = log.verify(store=small, spool=False, now_ms=1_800_000_000_000 + hours * 3_600_000)
    assert {finding.name for finding in report.findings} == {Name.TRUNCATED}
    assert report.exit_code == 1


def test_a_registry_entry_from_the_future_is_no_excuse(log, small):
    """The epoch's evidence is gone. Its entry says that it is about to begin, by a clock that is a day ahead."""
    for key in [key for key in small.objects if not key.startswith("v1/registry/")]:
        del small.objects[key]
    (document,) = small.objects.values()
    at_ms = json.loads(document.splitlines()[0])["registered_ms"]
    for now_ms, expected in ((at_ms + 1, [Name.OPEN, Name.EMPTY]), (at_ms - 86_400_000, [Name.WRITER_MISSING])):
        report = log.verify(store=small, spool=False, now_ms=now_ms)
        assert [finding.name for finding in report.findings] == expected


def test_an_empty_range_is_not_proven(log, small):
    report = log.verify(store=small, spool=False, asked=Span(1_000, 2_000))
    assert (report.exit_code, [finding.name for finding in report.findings]) == (2, [Name.EMPTY])

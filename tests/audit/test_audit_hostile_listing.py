"""What a hostile or sloppy S3 lists: nothing is skipped in silence, and a list without an end ends."""

import itertools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from extproc.audit.settings import S3Store
from extproc.audit.stores import s3_wire
from extproc.audit.stores.s3 import Bucket
from extproc.audit.stores.store import StoreFailed
from extproc.audit.verify.findings import Level, Name
from tests.audit.anchoring import Witness

ORDER = "the store does not list in order"
ENDLESS = "the store lists without an end"
KEYS = (
    "v1/evidence/a b+c%20d%2Fe.jsonl",
    "v1//evidence/test/x",
    "v1/evidence/test/\u00fc\U0001f511.manifest.json",
    "v1/evidence/../registry/x.json",
    "v1/evidence/&<>\"'",
    "v1/" + "k" * 1000,
)


class Pages:
    """In place of the client: what each page of a listing holds, behind the prefix that is asked for."""

    def __init__(self, pages: Iterator[list[str]], root: str) -> None:
        self._pages, self._root = pages, root

    def get_paginator(self, name: str) -> "Pages":
        return self

    def paginate(self, *, Prefix: str, **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - S3's name
        for page in self._pages:
            yield {"Versions": [{"Key": (self._root or Prefix) + key, "VersionId": "1"} for key in page]}


def cycle() -> Iterator[list[str]]:
    return itertools.cycle([["a", "b"], ["c"]])


def on_and_on() -> Iterator[list[str]]:
    return ([f"{number:020d}"] for number in itertools.count())


def the_same() -> Iterator[list[str]]:
    return itertools.repeat(["a"])


def another() -> Iterator[list[str]]:
    return iter([["a"]])


@pytest.fixture
def hostile(s3_credentials, monkeypatch):
    monkeypatch.setattr(s3_wire, "MAX_LISTED", 1_000)
    monkeypatch.setattr(s3_wire, "MAX_VERSIONS", 10)

    def make(pages: Iterator[list[str]], root: str) -> Bucket:
        bucket = Bucket(S3Store(bucket="b", endpoint_url="http://127.0.0.1:9", region="us-east-1"))
        monkeypatch.setattr(bucket.wire, "client", Pages(itertools.islice(pages, 5_000), root))
        return bucket

    return make


@pytest.mark.parametrize(
    ("pages", "root", "words"),
    [
        (cycle, "", ORDER),
        (another, "v2/", ORDER),
        (on_and_on, "", ENDLESS),
        (the_same, "", "more than 10 versions of one key"),
    ],
    ids=["in a circle", "another prefix", "on and on", "one key for ever"],
)
def test_a_list_that_no_bucket_has_ends_verifying_and_the_anchors_pass(
    log, hostile, tmp_path, *, pages, root: str, words: str
) -> None:
    report = log.verify(store=hostile(pages(), root), spool=False)
    assert report.exit_code != 0
    (found,) = [each for each in report.findings if each.name is Name.UNREADABLE]
    assert words in found.what
    with pytest.raises(StoreFailed, match=words):
        Witness(tmp_path / "anchor", log.public).watch(hostile(pages(), root))


def test_every_key_that_the_log_never_wrote_is_a_stranger(log, moto_url, s3_credentials) -> None:
    client = boto3.client("s3", endpoint_url=moto_url, region_name="us-east-1")
    client.create_bucket(Bucket="hostile-keys")
    client.put_bucket_versioning(Bucket="hostile-keys", VersioningConfiguration={"Status": "Enabled"})
    for key in KEYS:
        client.put_object(Bucket="hostile-keys", Key="audit/" + key, Body=b"x")
    store = Bucket(S3Store(bucket="hostile-keys", endpoint_url=moto_url, region="us-east-1", prefix="audit"))
    report = log.verify(store=store, spool=False)
    assert {found.where for found in report.findings if found.name is Name.STRANGER} == set(KEYS)
    assert all(found.level is not Level.FINDING for found in report.findings if found.name is not Name.STRANGER)

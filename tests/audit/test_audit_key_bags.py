"""Key bags are the only thing in a store that can be replaced or deleted, and then nothing of them stays."""

import hashlib
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from extproc.audit.names import Plane
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import DirectoryStore, S3Store
from extproc.audit.stores.s3 import Bucket
from extproc.audit.stores.store import Directory, ObjectStore, StoreFailed

BAG = "v1/keys/test/2026/01/02/worker-0/20260102T030405Z-0123456789abcdef/0000000001.keys.jsonl"
OTHER_BAG = BAG.replace("0000000001", "0000000002")
OTHERS = [
    BAG.replace("/keys/", "/evidence/"),
    BAG.replace("/keys/", "/content/"),
    BAG.replace("/keys/", "/registry/"),
    "v1/keys/../evidence/a",
    "v1/keys/./a",
    "v1/keys/",
    "v1//keys/a",
    "keys/a",
    "",
]


@pytest.fixture(params=["directory", "versions", "no-versions"])
def store(request, tmp_path) -> ObjectStore:
    if request.param == "directory":
        return Directory(DirectoryStore(tmp_path))
    moto_url = request.getfixturevalue("moto_url")
    request.getfixturevalue("s3_credentials")
    name = "bags-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    boto3.client("s3", endpoint_url=moto_url).create_bucket(
        Bucket=name, ObjectLockEnabledForBucket=request.param == "versions"
    )
    return Bucket(S3Store(bucket=name, prefix="audit", endpoint_url=moto_url, region="us-east-1"))


def raw(store: ObjectStore):
    assert isinstance(store, Bucket)
    return store.wire.client, {"Bucket": store.settings.bucket, "Key": "audit/" + BAG}


@pytest.mark.parametrize(
    ("key", "plane"), [(BAG, Plane.KEYS), *((key, Plane.EVIDENCE) for key in ("v1/a", "keys/a", "", OTHERS[0]))]
)
def test_what_is_of_no_other_plane_is_kept_like_evidence(key, plane):
    assert Plane.of(key) is plane


@pytest.mark.parametrize("store", ["directory", "versions"], indirect=True)
@pytest.mark.parametrize("key", OTHERS)
def test_nothing_but_a_key_bag_is_ever_touched(store, key):
    store.put_once(OTHERS[0], b"evidence")
    with pytest.raises(AuditRefused):
        store.delete_for_good(key)
    with pytest.raises(AuditRefused):
        store.replace_key_bag(key, b"other")
    assert store.get(OTHERS[0]) == b"evidence"


def test_a_deleted_bag_is_gone_and_its_neighbours_are_not(store):
    store.put_once(BAG, b"one")
    store.put_once(OTHER_BAG, b"two")
    store.put_once(BAG + ".later", b"three")
    for _ in range(2):
        store.delete_for_good(BAG)
        assert [stored.key for stored in store.list("v1/")] == [BAG + ".later", OTHER_BAG]
        with pytest.raises(FileNotFoundError):
            store.get(BAG)


def test_a_replaced_bag_holds_the_new_bytes_only(store):
    store.put_once(BAG, b"one")
    for data in (b"a longer one", b"2"):
        store.replace_key_bag(BAG, data)
        (stored,) = store.list("v1/")
        assert (stored.key, len(stored.versions), stored.delete_markers) == (BAG, 1, 0)
        assert store.get(BAG) == data


def test_a_bag_that_is_not_there_is_not_replaced(store):
    with pytest.raises(FileNotFoundError):
        store.replace_key_bag(BAG, b"one")
    assert list(store.list("v1/")) == []


@pytest.mark.parametrize("operation", ["replace", "delete"])
def test_the_bytes_on_the_disk_are_overwritten(tmp_path, operation):
    """Seen through a second name for the file, which a disk's free space stands for."""
    store = Directory(DirectoryStore(tmp_path / "store"))
    store.put_once(BAG, b"the old key")
    (tmp_path / "seen").hardlink_to(tmp_path / "store" / BAG)
    left = (tmp_path / "store" / BAG).with_name(".tmp-0123456789abcdef")
    left.write_bytes(b"the old key, half stored")
    if operation == "replace":
        store.replace_key_bag(BAG, b"another")
    else:
        store.delete_for_good(BAG)
    assert (tmp_path / "seen").read_bytes() == bytes(len(b"the old key"))
    assert not left.exists()


@pytest.mark.parametrize("store", ["versions"], indirect=True)
class TestVersions:
    def test_every_version_and_every_delete_marker_goes(self, store):
        client, place = raw(store)
        for number in range(3):
            client.put_object(**place, Body=b"%d" % number)
            client.delete_object(**place)
        store.delete_for_good(BAG)
        answer = client.list_object_versions(Bucket=place["Bucket"])
        assert (answer.get("Versions", []), answer.get("DeleteMarkers", [])) == ([], [])

    def test_only_the_replacement_stays(self, store):
        client, place = raw(store)
        store.put_once(BAG, b"one")
        client.put_object(**place, Body=b"one and a half")
        client.delete_object(**place)
        store.replace_key_bag(BAG, b"two")
        answer = client.list_object_versions(Bucket=place["Bucket"])
        assert [item["Size"] for item in answer["Versions"]] == [3]
        assert "DeleteMarkers" not in answer

    def test_a_bag_that_somebody_locked_is_a_failure(self, store):
        client, place = raw(store)
        until = datetime.now(UTC) + timedelta(days=1)
        client.put_object(**place, Body=b"one", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
        with pytest.raises(StoreFailed):
            store.delete_for_good(BAG)
        with pytest.raises(StoreFailed):
            store.replace_key_bag(BAG, b"two")
        assert store.get(BAG) == b"two", "the new bag is there before the old one would go"

    def test_a_version_that_another_took_away_is_gone(self, store, monkeypatch):
        client, place = raw(store)
        store.put_once(BAG, b"one")
        real = client.delete_object

        def delete_object(**params):
            real(**params)
            raise ClientError({"Error": {"Code": "NoSuchVersion"}}, "DeleteObject")

        monkeypatch.setattr(client, "delete_object", delete_object)
        store.delete_for_good(BAG)
        assert "Versions" not in client.list_object_versions(Bucket=place["Bucket"])

    def test_a_store_that_says_yes_and_keeps_the_version_is_a_failure(self, store, monkeypatch):
        store.put_once(BAG, b"one")
        monkeypatch.setattr(store.wire.client, "delete_object", lambda **_: {})
        with pytest.raises(StoreFailed):
            store.delete_for_good(BAG)

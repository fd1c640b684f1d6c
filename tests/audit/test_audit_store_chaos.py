"""Answers that are lost, late, double or no: nothing is lost, nothing is stored twice differently, and what is not in
the store for sure stays in the spool. Through a proxy, on an S3 server with Object Lock."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from extproc.audit.log.shipper import Shipper, ShippingFailed
from extproc.audit.log.spool import DIVERGENT
from extproc.audit.settings import S3Store
from extproc.audit.stores import s3 as s3_module
from extproc.audit.stores import s3_wire
from extproc.audit.stores.store import Fault
from tests.audit.chaos import ChaosProxy, Network, Says, chaos

TRIES = 2
SLOW_DOWN = Says(503, "SlowDown")
CONFLICT = Says(409, "ConditionalRequestConflict")
DENIED = Says(403, "AccessDenied")
KMS = Says(403, "AccessDenied", "User is not authorized to perform: kms:GenerateDataKey on this resource")
KMS_GONE = Says(400, "KMS.DisabledException")
SKEWED = Says(403, "RequestTimeTooSkewed", clock_seconds=1200)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few tries and as short waits as show the same."""
    monkeypatch.setattr(s3_wire, "TRIES", TRIES)
    monkeypatch.setattr(s3_wire, "READ_SECONDS", 2)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr(s3_module.random, "uniform", lambda *_: 0.0)


@dataclass
class World:
    """A sealed segment in the spool, the proxy, and the store behind it."""

    log: object
    proxy: ChaosProxy
    raw: object
    sealed: dict[str, bytes]

    def __post_init__(self) -> None:
        self.shipper = Shipper(self.log.settings)

    @property
    def spool(self) -> Path:
        return self.log.settings.spool / "epochs"

    def versions(self) -> list[dict[str, object]]:
        return self.raw.list_object_versions(Bucket=self.log.settings.store.bucket).get("Versions", [])

    def stored(self) -> dict[str, bytes]:
        """Name of the file in the spool → bytes; every key has one version."""
        keys = [str(version["Key"]) for version in self.versions()]
        assert len(keys) == len(set(keys)), "stored twice"
        bucket = self.log.settings.store.bucket
        return {
            key.rpartition("/")[2]: self.raw.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in keys
            if "/registry/" not in key
        }

    def waits(self) -> bool:
        """All of the segment is in the spool as it was sealed."""
        return all(read_all(self.spool).get(name) == data for name, data in self.sealed.items())

    def ends_well(self) -> None:
        self.proxy.faults.clear()
        self.shipper.ship_pending()
        assert not list(self.spool.rglob("*.json*")), "and then it leaves the spool"
        assert self.stored() == self.sealed
        assert self.log.verify(spool=False).exit_code == 0


def read_all(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("0*") if path.is_file()]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def world(log, exchange, locking_url, s3_credentials, request):
    bucket = "chaos-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    raw = boto3.client("s3", endpoint_url=locking_url, region_name="us-east-1")
    raw.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    with chaos(locking_url) as proxy:
        log = log.with_(store=S3Store(bucket, endpoint_url=proxy.url, region="us-east-1"))
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        yield World(log, proxy, raw, read_all(log.settings.spool / "epochs"))


P = Network.PASS
HEALED = {
    "reset-after-the-registry": [Network.RESET_AFTER],
    "reset-after-the-evidence": [P, Network.RESET_AFTER],
    "reset-after-the-content": [P, P, Network.RESET_AFTER],
    "reset-after-the-key-bag": [P, P, P, Network.RESET_AFTER],
    "reset-after-the-manifest": [P, P, P, P, Network.RESET_AFTER],
    "reset-before": [P, Network.RESET_BEFORE],
    "no-answer-in-time": [P, Network.SILENCE_AFTER],
    "delivered-twice": [Network.TWICE] * 5,
    "conflict": [P, CONFLICT, CONFLICT],
    "slow-down": [P, SLOW_DOWN],
    "reset-then-conflict": [P, Network.RESET_AFTER, CONFLICT],
}


@pytest.mark.parametrize("case", HEALED)
def test_what_another_try_settles_is_settled_at_once(world, case):
    world.proxy.faults[:] = HEALED[case]
    assert world.shipper.ship_pending().shipped == 1
    assert world.proxy.faults == []
    world.ends_well()


@pytest.mark.parametrize("case", ["reset-after-the-content", "reset-before", "conflict", "slow-down"])
def test_what_is_sent_from_a_file_is_sent_again_from_its_beginning(world, case, monkeypatch):
    """As large objects are: here all of them."""
    monkeypatch.setattr(s3_wire, "PIECE_BYTES", 100)
    test_what_another_try_settles_is_settled_at_once(world, case)


LASTING = {
    "resets": ([P, *[Network.RESET_BEFORE] * TRIES], Fault.UNREACHABLE),
    "resets-after": ([P, Network.RESET_AFTER, Network.RESET_BEFORE], Fault.UNREACHABLE),
    "conflicts": ([P, *[CONFLICT] * s3_module.CONFLICT_TRIES], Fault.BUSY),
    "slow-down": ([P, *[SLOW_DOWN] * TRIES], Fault.BUSY),
    "denied": ([P, DENIED], Fault.DENIED),
    "denied-at-the-manifest": ([P, P, P, P, DENIED], Fault.DENIED),
    "kms-denied": ([P, KMS], Fault.KEY),
    "kms-disabled": ([P, KMS_GONE], Fault.KEY),
    "skewed": ([P, SKEWED], Fault.CLOCK),
    "other-checksum": ([P, Network.OTHER_CHECKSUM], Fault.OTHER),
}


@pytest.mark.parametrize("case", LASTING)
def test_what_lasts_is_told_with_its_cause_and_everything_waits(world, case, caplog):
    faults, fault = LASTING[case]
    world.proxy.faults[:] = faults
    with pytest.raises(ShippingFailed) as failed:
        world.shipper.ship_pending()
    assert world.proxy.faults == [], "no more tries than these, and no fewer"
    assert failed.value.fault is fault
    assert world.waits()
    assert "authorized" not in caplog.text, "the store's own words go nowhere"
    if fault is Fault.CLOCK:
        assert "the clock differs from the store's" in caplog.text
    world.ends_well()


def test_a_full_answer_that_cannot_be_compared_is_no_success(world):
    """The store has it, the answer is lost, and then nobody may look: it stays until somebody could."""
    world.proxy.faults[:] = [Network.RESET_AFTER]
    real = world.proxy.fault_of
    world.proxy.fault_of = lambda method, path: DENIED if method == "HEAD" else real(method, path)
    with pytest.raises(ShippingFailed):
        world.shipper.ship_pending()
    assert world.waits()
    world.proxy.fault_of = real
    world.ends_well()


@pytest.mark.parametrize("part", [".jsonl", ".content", ".keys.jsonl", ".manifest.json"])
def test_other_bytes_in_our_place_are_an_alarm_and_are_never_replaced(world, part):
    (epoch,) = [path for writer in world.spool.iterdir() for path in writer.iterdir()]
    plane = {".content": "content", ".keys.jsonl": "keys"}.get(part, "evidence")
    name = epoch.name
    key = f"v1/{plane}/test/{name[:4]}/{name[4:6]}/{name[6:8]}/worker-0/{name}/0000000001{part}"
    bucket = world.log.settings.store.bucket
    world.raw.put_object(Bucket=bucket, Key=key, Body=b"other")
    for _ in range(2):
        before = len(world.proxy.seen)
        with pytest.raises(ShippingFailed) as failed:
            world.shipper.ship_pending()
        assert (failed.value.fault, failed.value.divergent) == (Fault.DIVERGENT, key)
    assert len(world.proxy.seen) == before, "and it is not tried again"
    assert (epoch / DIVERGENT).exists()
    assert world.waits()
    assert [version["Size"] for version in world.versions() if version["Key"] == key] == [5]


def test_the_same_bytes_in_our_place_are_ours(world):
    """What a writer stored before it died is not stored again."""
    sent = world.log.with_(spool=world.log.settings.spool.with_name("copy"))
    shutil.copytree(world.log.settings.spool, sent.settings.spool)
    assert sent.ship() == 1
    world.ends_well()

"""Keys that are half made, swapped, foreign or of tomorrow, and a KMS that answers for another key."""

import os
import time
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from extproc.audit import files
from extproc.audit.keys.first_keys import first_keys
from extproc.audit.keys.keys import AuditKeys, open_keys, transcripts_of
from extproc.audit.keys.kms import KmsContentKeys, connect, open_kms_keys
from extproc.audit.keys.public_keys import PUBLIC_KEY
from extproc.audit.keys.rotation import rotate_keys
from extproc.audit.log import foreign_log
from extproc.audit.log.journal import write_once
from extproc.audit.log.setbacks import MAX_TRIES
from extproc.audit.log.shipper import ShippingFailed
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import KmsKeys
from extproc.audit.stores.store import Directory, Fault, StoreFailed
from extproc.audit.verify.findings import Name
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode
from extproc.edge.key_inventory import check_cryptoperiods
from extproc.edge.settings_file import load_settings
from tests.audit.test_audit_setbacks import abandon

ORIGIN = "test/worker-0/20260101T000000Z-00000000000000aa"
ARN = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-00000000000"


class Killed(BaseException):
    """Nothing catches a death."""


def dies(*_: object, **__: object) -> None:
    raise Killed


def bytes_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir() if path.is_file()]


class TestDeath:
    def test_between_the_first_two_keys_is_made_good_by_the_next_start(self, log, monkeypatch, tmp_path):
        settings = log.with_(keys=tmp_path / "new", spool=tmp_path / "fresh").settings
        with monkeypatch.context() as patch:
            patch.setattr(files, "sync_directory", dies)
            with pytest.raises(Killed):
                first_keys(settings)
        kept = (settings.keys / "content.key").read_bytes()
        assert not (settings.keys / "deployment.key").exists()
        with pytest.raises(AuditRefused, match="there are no keys"):
            open_keys(settings)
        keys = first_keys(settings)
        assert keys.content.key == kept
        assert open_keys(settings).signing.public_key() == keys.signing.public_key()

    def test_a_lone_content_key_begins_no_second_log(self, shipped):
        for name in ("deployment.key", PUBLIC_KEY):
            (shipped.settings.keys / name).unlink()
        with pytest.raises(AuditRefused, match="begun with another key"):
            first_keys(shipped.settings)

    def test_behind_the_name_of_a_key_leaves_no_second_one_that_outlives_it(self, log, tmp_path):
        """PCI DSS 3.7.5: the retired signing key is destroyed, under every name it has."""
        folder = log.with_(keys=tmp_path / "new").settings
        AuditKeys.load_or_create(folder.keys)
        os.link(folder.keys / "deployment.key", folder.keys / f"{files.TEMPORARY}0000000000000000")
        secret = (folder.keys / "deployment.key").read_bytes()
        rotate_keys(folder, int(time.time() * 1000))
        assert secret not in bytes_in(folder.keys)
        assert not list(folder.keys.glob(files.TEMPORARY + "*"))
        open_keys(folder)

    def test_the_bytes_of_a_retired_signing_key_are_overwritten(self, log):
        with (log.settings.keys / "deployment.key").open("rb") as old:
            secret = old.read()
            rotate_keys(log.settings, int(time.time() * 1000))
            old.seek(0)
            assert old.read() == bytes(len(secret))
        assert not (log.settings.keys / "deployment.key.next").exists()


class TestForeignLog:
    @pytest.fixture
    def elsewhere(self, shipped, tmp_path):
        """The same deployment's name and store, another machine: its spool is new, and its keys are there already."""
        other = shipped.with_(spool=tmp_path / "other-spool", keys=tmp_path / "other-keys")
        return type(other)(other.settings, AuditKeys.load_or_create(other.settings.keys))

    def test_a_service_with_other_keys_and_a_new_spool_does_not_begin_beside_it(self, elsewhere, shipped):
        with pytest.raises(AuditRefused, match="begun with another key than those in"):
            first_keys(elsewhere.settings)
        assert not elsewhere.settings.spool.exists()
        assert shipped.verify().exit_code == 0

    def test_a_store_that_was_away_at_the_start_gets_nothing_of_it(self, elsewhere, shipped, monkeypatch, exchange):
        def away(*_: object) -> None:
            raise StoreFailed("away")

        with monkeypatch.context() as patch:
            patch.setattr(Directory, "list", away)
            keys = first_keys(elsewhere.settings)
        journal = type(elsewhere)(elsewhere.settings, keys).open("worker-7")
        exchange(journal, "x-7")
        journal.close()
        for _ in range(2):
            with pytest.raises(ShippingFailed) as failed:
                elsewhere.ship()
            assert failed.value.fault is Fault.UNFIT
        assert not [path for path in shipped.store_path.rglob("*") if "worker-7" in path.as_posix()]
        public = elsewhere.settings.keys / PUBLIC_KEY
        public.write_bytes(public.read_bytes() + (shipped.settings.keys / PUBLIC_KEY).read_bytes())
        assert elsewhere.ship() == 1, "a person said that both are this deployment's"

    def test_the_same_keys_on_another_machine_begin_a_spool_of_their_own(self, shipped, tmp_path, exchange):
        other = shipped.with_(spool=tmp_path / "other-spool")
        first_keys(other.settings)
        journal = other.open("worker-7")
        exchange(journal, "x-7")
        journal.close()
        other.ship()
        assert other.verify().exit_code == 0

    def test_a_strangers_entry_beside_ours_stops_nothing(self, shipped, tmp_path):
        entry = shipped.store_path / "v1/registry/test/2000/01/01/a/20000101T000000Z-00000000000000aa.json"
        entry.parent.mkdir(parents=True)
        entry.write_bytes(b"x")
        first_keys(shipped.with_(spool=tmp_path / "other-spool").settings)

    def test_only_so_many_are_looked_at(self, shipped, tmp_path, monkeypatch):
        monkeypatch.setattr(foreign_log, "_LOOKED_AT", 1)
        entry = shipped.store_path / "v1/registry/test/2000/01/01/a/20000101T000000Z-00000000000000aa.json"
        entry.parent.mkdir(parents=True)
        entry.write_bytes(b"x")
        with pytest.raises(AuditRefused, match="begun with another key than those in"):
            first_keys(shipped.with_(spool=tmp_path / "other-spool").settings)


@pytest.mark.parametrize("wrong", ["now", "then"])
def test_a_service_does_not_start_with_a_key_of_tomorrow(config, log, wrong):
    """The clock is behind (1970), or it was ahead when the key was first seen, which then would never come to its end."""
    settings, now_ms = load_settings(config), int(time.time() * 1000)
    check_cryptoperiods(settings, log.keys, now_ms)
    if wrong == "now":
        now_ms = 1_000_000
    else:
        (log.settings.keys / "keys.json").unlink()
        for path in log.settings.keys.iterdir():
            os.utime(path, (now_ms / 1000 + 2 * 86_400,) * 2)
    with pytest.raises(AuditRefused, match="made in the future: is the clock right"):
        check_cryptoperiods(settings, open_keys(log.settings), now_ms)


class TestKmsInMidFlight:
    """What is acknowledged stays, what cannot be signed waits and is said, and it goes on by itself."""

    @pytest.fixture
    def raw(self, moto_url, s3_credentials):
        return boto3.client("kms", endpoint_url=moto_url, region_name="us-east-1")

    @pytest.fixture
    def in_kms(self, log, raw, moto_url, tmp_path):
        signing = raw.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        content = raw.create_key(KeySpec="SYMMETRIC_DEFAULT", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        settings = log.with_(kms=KmsKeys(signing, content, moto_url), keys=tmp_path / "kms-keys").settings
        return type(log)(settings, first_keys(settings))

    @pytest.mark.parametrize("code", ["DisabledException", "KMSInvalidStateException", "ThrottlingException"])
    def test_a_signing_key_that_is_taken_away_and_given_back(self, in_kms, exchange, monkeypatch, code):
        journal = in_kms.with_(segment_bytes=1_000).open()
        exchange(journal, "x-1")

        def refused(**_: object) -> None:
            raise ClientError({"Error": {"Code": code}}, "Sign")

        with monkeypatch.context() as patch:
            patch.setattr(in_kms.keys.signing._client, "sign", refused)
            exchange(journal, "x-2")
            with pytest.raises(AuditRefused, match=f"kms:Sign was refused .{code}."):
                in_kms.open("worker-1")
            abandon(journal)
            for _ in range(MAX_TRIES + 1):
                with pytest.raises(Unavailable):
                    in_kms.adopt()
        in_kms.adopt()
        in_kms.ship()
        report = in_kms.verify(spool=False)
        assert (report.exit_code, {finding.name for finding in report.findings}) == (0, {Name.UNCLEAN_END})
        for exchange_id in ("x-1", "x-2"):
            assert read_transcript(in_kms.look(), in_kms.keys, exchange_id).closed

    def test_a_content_key_that_is_disabled_stops_the_next_epoch_and_no_record(
        self, in_kms, exchange, record, monkeypatch
    ):
        """moto gives data keys of a disabled key, and KMS does not."""
        journal = in_kms.open()

        def refused(**_: object) -> None:
            raise ClientError({"Error": {"Code": "DisabledException"}}, "GenerateDataKey")

        monkeypatch.setattr(in_kms.keys.content._client, "generate_data_key", refused)
        exchange(journal, "x-1")
        with pytest.raises(AuditRefused, match="kms:GenerateDataKey was refused"):
            in_kms.open("worker-1")
        write_once(in_kms.settings, in_kms.keys, "cli", [record(EventCode.AUDIT_READ)])
        journal.close()
        in_kms.ship()
        assert in_kms.verify(spool=False).exit_code == 0


class TestAnotherKeyOfTheKms:
    @pytest.fixture
    def client(self, s3_credentials):
        return connect(KmsKeys(ARN + "1", ARN + "2"))

    def test_a_data_key_of_another_key_wraps_nothing(self, client):
        answer = {"KeyId": ARN + "9", "Plaintext": bytes(32), "CiphertextBlob": b"wrapped"}
        with Stubber(client) as stubbed:
            stubbed.add_response("generate_data_key", answer)
            keys = KmsContentKeys(client, ARN + "2", "test", ())
            with pytest.raises(AuditRefused, match="a data key of another key"):
                keys.wrapping(transcripts_of(ORIGIN))

    def test_a_description_of_another_key_is_refused(self, client, log, monkeypatch):
        monkeypatch.setattr("extproc.audit.keys.kms.connect", lambda _: client)
        found = {"KeyId": "9", "Arn": ARN + "9", "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Enabled": True}
        with Stubber(client) as stubbed:
            stubbed.add_response("describe_key", {"KeyMetadata": found})
            with pytest.raises(AuditRefused, match="describes another key"):
                open_kms_keys(log.settings, KmsKeys(ARN + "1", ARN + "2"))

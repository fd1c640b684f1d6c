"""The deployment's keys in AWS KMS: real boto3 calls to a server that keeps the keys."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from extproc.audit.keys import kms
from extproc.audit.keys.first_keys import first_keys
from extproc.audit.keys.keys import APPROVALS, AuditKeys, open_keys, transcripts_of
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.keys.register import DAY_MS, Provider, Purpose
from extproc.audit.keys.rotation import rotate_keys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.audit.log.content import WrappedKey
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import KmsKeys
from extproc.local.ports import free_port

ORIGIN = "test/worker-0/20260101T000000Z-00000000000000aa"


@pytest.fixture(scope="module")
def arns(moto_url) -> dict[str, str]:
    client = boto3.client(
        "kms",
        endpoint_url=moto_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    kinds = {
        "signing": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
        "other": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
        "content": {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"},
        "p384": {"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"},
        "off": {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"},
    }
    found = {name: client.create_key(**kind)["KeyMetadata"]["Arn"] for name, kind in kinds.items()}
    client.disable_key(KeyId=found["off"].rpartition("/")[2])
    return found


@pytest.fixture
def settings_of(moto_url, arns, s3_credentials) -> Callable[..., KmsKeys]:
    def make(signing: str = "signing", content: str = "content", url: str = moto_url) -> KmsKeys:
        return KmsKeys(arns[signing], arns[content], url)

    return make


@pytest.fixture
def in_kms(log, settings_of, tmp_path):
    """The same deployment with keys in a KMS, and an empty folder of keys."""
    settings = log.with_(kms=settings_of(), keys=tmp_path / "kms-keys").settings
    return type(log)(settings, first_keys(settings))


def test_the_log_is_signed_by_the_kms_and_proven_offline_from_the_pem_alone(in_kms, exchange, moto_url):
    journal = in_kms.open()
    exchange(journal, "x")
    journal.close()
    in_kms.ship()
    path = in_kms.settings.keys / PUBLIC_KEY
    assert path.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert sorted(file.name for file in in_kms.settings.keys.iterdir()) == [PUBLIC_KEY, "keys.json", "lock"]
    trusted = load_public_key(path)
    assert in_kms.verify(key=trusted, spool=False).exit_code == 0
    other = AuditKeys.load_or_create(in_kms.settings.keys.parent / "other")
    assert in_kms.verify(key=other.signing.public_key(), spool=False).exit_code == 1


def test_a_transcript_opens_by_decrypt_under_its_own_context_and_stays_wrapped_in_the_log(in_kms, exchange, story):
    journal = in_kms.open()
    exchange(journal, "x")
    made = in_kms.keys.content._made
    assert list(made) == [transcripts_of(journal.origin)]
    ((plain, wrapped),) = made.values()
    journal.close()
    in_kms.ship()
    reader = open_keys(in_kms.settings)
    transcript = read_transcript(in_kms.look(), reader, "x")
    assert [piece.data for piece in transcript.pieces] == [story[0], *story[1]]
    (bag,) = in_kms.store_path.rglob("*.keys.jsonl")
    line = msgspec.json.decode(bag.read_bytes(), type=WrappedKey)
    assert wrapped in base64.b64decode(line.wrapped)
    folder = in_kms.settings.keys.parent
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(form in data for data in files for form in (plain, plain.hex().encode(), base64.b64encode(plain)))


def test_the_encryption_context_names_deployment_writer_epoch_and_plane(in_kms):
    sent = []
    in_kms.keys.content._client.meta.events.register(
        "provide-client-params.kms.GenerateDataKey", lambda params, **_: sent.append(params["EncryptionContext"])
    )
    for place in (transcripts_of(ORIGIN), APPROVALS, transcripts_of(ORIGIN)):
        in_kms.keys.content.wrapping(place)
    assert sent == [
        {
            "deployment": "test",
            "writer": "worker-0",
            "epoch": "20260101T000000Z-00000000000000aa",
            "plane": "content",
        },
        {"deployment": "test", "plane": "approvals"},
    ]


def test_a_data_key_does_not_open_in_another_place(in_kms):
    plain, wrapped = in_kms.keys.content.wrapping(transcripts_of(ORIGIN))
    assert open_keys(in_kms.settings).content.unwrapping(wrapped, transcripts_of(ORIGIN)) == (plain,)
    for place in (
        APPROVALS,
        transcripts_of(ORIGIN.replace("aa", "bb")),
        transcripts_of(ORIGIN.replace("test", "prod")),
    ):
        with pytest.raises(AuditRefused, match="kms:Decrypt was refused"):
            open_keys(in_kms.settings).content.unwrapping(wrapped, place)


def test_what_waits_for_an_approval_is_sealed_too(in_kms):
    sealed = seal_bytes(in_kms.keys, b"approval-1", b"preview")
    assert open_bytes(open_keys(in_kms.settings), b"approval-1", sealed) == b"preview"
    with pytest.raises(AuditRefused, match=r"`audit\.kms` is not set"):
        open_bytes(AuditKeys.load_or_create(in_kms.settings.keys.parent / "files"), b"approval-1", sealed)


def test_a_kms_that_is_away_lets_nothing_start(log, settings_of, tmp_path, monkeypatch):
    monkeypatch.setattr(kms, "_CONFIG", Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=1))
    away = log.with_(kms=settings_of(url=f"http://127.0.0.1:{free_port()}"), keys=tmp_path / "empty").settings
    with pytest.raises(AuditRefused, match="kms:DescribeKey could not be asked"):
        first_keys(away)
    assert not (tmp_path / "empty").exists()


def test_without_a_data_key_no_epoch_begins(in_kms):
    with Stubber(in_kms.keys.content._client) as stub:
        stub.add_client_error("generate_data_key", "KMSInternalException", http_status_code=500)
        with pytest.raises(AuditRefused, match="kms:GenerateDataKey was refused"):
            in_kms.open()
    assert list((in_kms.settings.spool).rglob("*.journal")) == []


def test_an_epoch_of_records_needs_no_data_key(in_kms, record):
    from extproc.audit.log.journal import write_once
    from extproc.core.record import EventCode

    write_once(in_kms.settings, in_kms.keys, "cli", [record(EventCode.AUDIT_READ)])
    assert in_kms.keys.content._made == {}


@pytest.mark.parametrize("signing", ["p384", "content"])
def test_an_unfit_signing_key_is_refused(log, settings_of, tmp_path, signing):
    settings = log.with_(kms=settings_of(signing=signing), keys=tmp_path / "empty").settings
    with pytest.raises(AuditRefused, match="must have key spec ECC_NIST_P256"):
        first_keys(settings)


@pytest.mark.parametrize(
    ("content", "why"), [("signing", "must have key spec SYMMETRIC_DEFAULT"), ("off", "not enabled")]
)
def test_an_unfit_content_key_is_refused(log, settings_of, tmp_path, content, why):
    with pytest.raises(AuditRefused, match=why):
        first_keys(log.with_(kms=settings_of(content=content), keys=tmp_path / "empty").settings)


def test_a_signature_that_does_not_hold_is_not_believed(in_kms, arns):
    key = in_kms.keys.signing
    with Stubber(key._client) as stub:
        der = bytes.fromhex("3006020101020101")
        stub.add_response("sign", {"KeyId": arns["signing"], "Signature": der, "SigningAlgorithm": "ECDSA_SHA_256"})
        with pytest.raises(AuditRefused, match="does not hold"):
            key.sign(b"message")
        stub.add_response("sign", {"KeyId": arns["signing"], "Signature": b"0", "SigningAlgorithm": "ECDSA_SHA_256"})
        with pytest.raises(AuditRefused, match="gave no signature"):
            key.sign(b"message")
    with pytest.raises(AuditRefused, match="too long"):
        key.sign(bytes(4097))


def test_the_public_key_is_written_once_and_another_key_needs_a_rotation(in_kms, settings_of):
    other = in_kms.with_(kms=settings_of(signing="other"))
    with pytest.raises(AuditRefused, match="rotate-keys"):
        open_keys(other.settings)
    rotate_keys(other.settings, 1)
    fresh = type(in_kms)(other.settings, open_keys(other.settings))
    assert list(load_public_key(in_kms.settings.keys / PUBLIC_KEY)) == [fresh.public, in_kms.public]
    assert [(fact.purpose, fact.active) for fact in fresh.keys.facts] == [
        (Purpose.SIGNING, True),
        (Purpose.CONTENT, True),
        (Purpose.SIGNING, False),
    ]


def test_from_key_files_to_a_kms_the_old_log_stays_proven_and_readable(log, settings_of, exchange):
    journal = log.open("file")
    exchange(journal, "x-file")
    journal.close()
    preview = seal_bytes(log.keys, b"a", b"preview")
    moved = log.with_(kms=settings_of())
    with pytest.raises(AuditRefused, match="rotate-keys"):
        open_keys(moved.settings)
    rotate_keys(moved.settings, 1)
    moved = type(log)(moved.settings, open_keys(moved.settings))
    journal = moved.open("kms")
    exchange(journal, "x-kms")
    journal.close()
    moved.ship()
    assert moved.verify(key=load_public_key(log.settings.keys / PUBLIC_KEY)).exit_code == 0
    for name in ("x-file", "x-kms"):
        assert read_transcript(moved.look(), moved.keys, name).closed
    assert open_bytes(moved.keys, b"a", preview) == b"preview"
    assert not (log.settings.keys / "deployment.key").exists()


def test_its_keys_have_cryptoperiods_from_their_creation(in_kms, arns):
    facts = {fact.purpose: fact for fact in in_kms.keys.facts}
    assert facts[Purpose.SIGNING].id == arns["signing"]
    assert facts[Purpose.CONTENT].id == arns["content"]
    for fact in facts.values():
        assert (fact.provider, fact.expires_ms - fact.created_ms) == (Provider.KMS, 365 * DAY_MS)
    with pytest.raises(AuditRefused, match="past its cryptoperiod"):
        in_kms.keys.refuse_expired(facts[Purpose.SIGNING].expires_ms)


def test_nothing_prints_a_key(in_kms):
    plain, _ = in_kms.keys.content.wrapping(transcripts_of(ORIGIN))
    text = repr(in_kms.keys) + repr(in_kms.keys.content) + repr(in_kms.keys.signing)
    assert plain.hex() not in text
    assert str(plain) not in text
    assert json.dumps([msgspec.to_builtins(fact) for fact in in_kms.keys.facts])
    assert Path(in_kms.settings.keys, "keys.json").exists()

"""The deployment's keys: both kinds of signature in one form, cryptoperiods, rotation, the inventory."""

import json
import os
import re
import time
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from extproc.audit.evidence.pack import KeyRow
from extproc.audit.evidence.rows import KEY_HEADINGS, key_cells
from extproc.audit.keys.keys import AuditKeys, open_keys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.keys.register import DAY_MS, KeyFact, KeyRegister, Provider, Purpose, near_their_end
from extproc.audit.keys.rotation import rotate_keys
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import (
    P256_ORDER,
    UNNAMED_KEY,
    Domain,
    TrustedKeys,
    sign_document,
    signature_from_der,
    verify_document,
    verify_signature,
)
from extproc.audit.verify.remembered import Remembered, RememberedHead
from extproc.cli.main import main
from extproc.core.record import EventCode
from extproc.edge.key_inventory import check_cryptoperiods
from extproc.edge.settings_file import load_settings
from tests.audit.configured import write_config, write_key


class P256:
    """As a KMS would sign, without one."""

    def __init__(self) -> None:
        self._key = ec.derive_private_key(4711, ec.SECP256R1())

    def sign(self, data: bytes, /) -> bytes:
        return signature_from_der(self._key.sign(data, ec.ECDSA(SHA256())))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()


@pytest.mark.parametrize("key", [P256(), Ed25519PrivateKey.from_private_bytes(bytes(32))], ids=["p256", "ed25519"])
class TestSignatures:
    def test_hold_for_their_domain_and_every_byte(self, key):
        document = sign_document(key, Domain.REGISTRY, b'{"a":1}')
        assert verify_document(key.public_key(), Domain.REGISTRY, document) == b'{"a":1}'
        with pytest.raises(AuditRefused):
            verify_document(key.public_key(), Domain.CERTIFICATE, document)
        for offset in range(len(document)):
            changed = bytearray(document)
            changed[offset] ^= 1
            with pytest.raises(AuditRefused):
                verify_document(key.public_key(), Domain.REGISTRY, bytes(changed))

    def test_any_trusted_key_will_do_and_no_other(self, key):
        document = sign_document(key, Domain.REGISTRY, b"{}")
        stranger = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key()
        assert verify_document(TrustedKeys((stranger, key.public_key())), Domain.REGISTRY, document) == b"{}"
        for keys in (stranger, TrustedKeys((stranger,)), TrustedKeys(())):
            with pytest.raises(AuditRefused):
                verify_document(keys, Domain.REGISTRY, document)


def test_a_p256_signature_has_one_way_to_be_written():
    """The other half of the order verifies in plain ECDSA: whoever sees a signature could make a second one of it."""
    key = P256()
    signature = key.sign(b"message")
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    assert s <= P256_ORDER // 2
    assert verify_signature(key.public_key(), signature, b"message")
    twin = r.to_bytes(32) + (P256_ORDER - s).to_bytes(32)
    others = [twin, signature + b"\0", b"\0" + signature, signature[:63], bytes(64), bytes(32) + signature[32:]]
    assert not any(verify_signature(key.public_key(), other, b"message") for other in others)
    p384 = ec.derive_private_key(4711, ec.SECP384R1()).public_key()
    assert not verify_signature(p384, signature, b"message")


class TestPublicKeyFile:
    def test_may_hold_several_keys_of_both_kinds(self, tmp_path):
        keys = [P256().public_key(), Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()]
        blocks = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys]
        (tmp_path / "pub").write_bytes(b"".join(blocks))
        assert list(load_public_key(tmp_path / "pub")) == keys

    @pytest.mark.parametrize("what", ["empty", "text", "p384", "between", "behind"])
    def test_with_anything_else_is_refused(self, tmp_path, what):
        good = P256().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        p384 = ec.derive_private_key(4711, ec.SECP384R1()).public_key()
        (tmp_path / "pub").write_bytes(
            {
                "empty": b"",
                "text": b"no key",
                "p384": p384.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
                "between": good + b"x\n" + good,
                "behind": good + b"-----BEGIN PUBLIC KEY-----\n",
            }[what]
        )
        with pytest.raises(AuditRefused):
            load_public_key(tmp_path / "pub")


class TestCryptoperiod:
    def test_the_age_is_remembered_and_a_newer_file_time_changes_nothing(self, tmp_path):
        first = AuditKeys.load_or_create(tmp_path)
        for name in ("content.key", "deployment.key", PUBLIC_KEY):
            os.utime(tmp_path / name, (4e9, 4e9))
        assert AuditKeys.load_or_create(tmp_path).facts == first.facts
        assert {(fact.purpose, fact.provider, fact.active) for fact in first.facts} == {
            (Purpose.SIGNING, Provider.FILE, True),
            (Purpose.CONTENT, Provider.FILE, True),
        }
        for fact in first.facts:
            assert fact.expires_ms == fact.created_ms + 365 * DAY_MS
            assert abs(fact.created_ms - time.time() * 1000) < 600_000

    def test_a_register_that_does_not_parse_is_refused_not_begun_anew(self, tmp_path):
        AuditKeys.load_or_create(tmp_path)
        (tmp_path / "keys.json").write_bytes(b"{")
        with pytest.raises(AuditRefused, match="how old the keys are"):
            AuditKeys.load_or_create(tmp_path)

    def test_past_its_end_a_key_begins_no_epoch_and_what_it_signed_stays_proven(self, log, exchange, record):
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        log.ship()
        old = log.with_(cryptoperiod_days=1)
        age(log.settings.keys, days=1)
        old = type(log)(old.settings, open_keys(old.settings))
        with pytest.raises(AuditRefused, match=r"past its cryptoperiod.*rotate-keys"):
            old.open()
        assert list(log.settings.spool.glob("epochs/*/*")) == []
        assert old.verify().exit_code == 0
        assert read_transcript(old.look(), old.keys, "x").closed
        rotate_keys(old.settings, int(time.time() * 1000))
        type(log)(old.settings, open_keys(old.settings)).open().close()

    def test_its_end_is_said_thirty_days_before(self, tmp_path):
        facts = AuditKeys.load_or_create(tmp_path, 100).facts
        assert near_their_end(facts, facts[0].created_ms + 69 * DAY_MS) == []
        assert len(near_their_end(facts, max(fact.created_ms for fact in facts) + 71 * DAY_MS)) == 2


def age(directory: Path, days: int) -> None:
    """As if every key had been made so long ago."""
    path = directory / "keys.json"
    register = json.loads(path.read_bytes())
    register["created_ms"] = {key: at - days * DAY_MS - 1 for key, at in register["created_ms"].items()}
    path.write_text(json.dumps(register))


class TestRotation:
    def test_new_keys_sign_and_wrap_and_the_old_log_stays_proven_and_readable(self, log, exchange):
        journal = log.open("old")
        exchange(journal, "x-old")
        journal.close()
        log.ship()
        before = set(log.settings.keys.iterdir())
        secret = (log.settings.keys / "deployment.key").read_bytes()
        rotate_keys(log.settings, int(time.time() * 1000))
        fresh = type(log)(log.settings, open_keys(log.settings))
        assert fresh.public != log.public
        assert fresh.keys.content.key != log.keys.content.key
        journal = fresh.open("new")
        exchange(journal, "x-new")
        journal.close()
        fresh.ship()
        trusted = load_public_key(log.settings.keys / PUBLIC_KEY)
        assert list(trusted) == [fresh.public, log.public]
        assert fresh.verify(key=trusted).exit_code == 0
        assert fresh.verify().exit_code == 1, "the newest key alone does not prove what the one before it signed"
        for name in ("x-old", "x-new"):
            assert read_transcript(fresh.look(), fresh.keys, name).closed
        kept = {path.read_bytes() for path in log.settings.keys.iterdir() if path.is_file()}
        assert secret not in kept, "the retired signing key is destroyed"
        assert len(set(log.settings.keys.iterdir()) - before) == 1
        assert [fact.active for fact in fresh.keys.facts] == [True, False, True, False]

    def test_with_the_old_public_keys_what_the_new_one_signed_is_told_once_and_by_its_cause(self, log, exchange):
        """By a verifier with the store alone, and by one with the spool, which remembers its newest entry."""
        log.open("old").close()
        log.ship()
        rotate_keys(log.settings, int(time.time() * 1000))
        after = type(log)(log.settings, open_keys(log.settings))
        origins = []
        for name in ("new-1", "new-2"):
            journal = after.open(name)
            exchange(journal, name)
            journal.close()
            origins.append(str(journal.origin))
        after.ship()
        heads = Remembered(dict.fromkeys(origins, RememberedHead(3, "00" * 32, 1)))
        for spool in (False, True):
            (finding,) = after.verify(key=log.public, spool=spool, remembered=heads).findings
            assert (finding.name, finding.what) == ("ALTERED", f"{UNNAMED_KEY} (this and 3 more objects)")
        assert after.verify(key=log.public).exit_code == 1
        assert after.verify(key=load_public_key(log.settings.keys / PUBLIC_KEY)).exit_code == 0

    def test_a_living_epoch_of_another_key_is_told_once_too_and_damage_is_told_as_damage(self, log, exchange):
        log.open("old").close()
        rotate_keys(log.settings, int(time.time() * 1000))
        after = type(log)(log.settings, open_keys(log.settings))
        after.ship()
        journal = after.open("new")
        exchange(journal, "x")
        (finding,) = after.verify(key=log.public, later=False).findings
        assert finding.what == f"{UNNAMED_KEY} (this and 1 more objects)"
        journal.close()
        after.ship()
        (path,) = [each for each in log.store_path.rglob("*.manifest.json") if "/new/" in each.as_posix()]
        path.write_bytes(path.read_bytes().replace(b'issued_ms\\":1', b'issued_ms\\":2', 1))
        found = {finding.what for finding in after.verify(key=log.public, spool=False).findings}
        assert found == {UNNAMED_KEY, "the manifest or its signature does not hold"}

    def test_a_crash_between_the_two_files_leaves_one_signing_key_in_force(self, tmp_path, log, monkeypatch):
        """Before the public file names it the new key is dropped; behind that it takes its place."""
        import extproc.audit.keys.rotation as module

        for broken in ("put_first", "finish_rotation"):
            with monkeypatch.context() as patch:
                calls = []

                def crash(*arguments: object, calls=calls, broken=broken) -> None:
                    calls.append(arguments)
                    if broken == "put_first" or len(calls) == 2:
                        raise OSError(5, "crash")

                patch.setattr(module, broken, crash)
                with pytest.raises(OSError, match="crash"):
                    rotate_keys(log.settings, 1)
            public = open_keys(log.settings).signing.public_key()
            assert (public == log.public) is (broken == "put_first")
            assert next(iter(load_public_key(log.settings.keys / PUBLIC_KEY))) == public
        assert not (log.settings.keys / "deployment.key.next").exists()


@pytest.fixture
def config(log, tmp_path: Path) -> Path:
    for number, name in ((2, "k2.key"), (3, "k1.key")):
        write_key(tmp_path / name, number)
    return write_config(tmp_path, mask_keys=[{"id": "k2", "file": "k2.key"}, {"id": "k1", "file": "k1.key"}])


def run(config: Path, *arguments: str):
    return CliRunner().invoke(main, ["audit", *arguments, "--config", str(config)])


class TestInventory:
    def test_lists_every_key_and_none_of_its_material(self, config, tmp_path):
        result = run(config, "keys", "--json")
        assert result.exit_code == 0
        facts = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(fact["purpose"], fact["state"], fact["algorithm"], fact["provider"]) for fact in facts] == [
            ("signing", "in use", "Ed25519", "file"),
            ("content", "in use", "AES-256-GCM", "file"),
            ("digest", "in use", "HMAC-SHA-256", "file"),
            ("mask", "in use", "HMAC-SHA-256", "file"),
            ("mask", "retired", "HMAC-SHA-256", "file"),
        ]
        assert {*facts[0]} == {*KeyFact.__struct_fields__, *KeyRow.__struct_fields__, "note"}
        noted = [fact["purpose"] for fact in facts if "3.6.1.2 is not met" in fact["note"]]
        assert noted == ["signing", "content", "mask", "mask"], "digests are of masked text"
        text = run(config, "keys").stdout
        assert "3.6.1.2 is not met" in text
        for path in (*tmp_path.glob("*.key"), *tmp_path.glob("keys/*.key")):
            secret = path.read_bytes()
            assert secret.hex() not in result.stdout + text
            assert secret.hex()[:16] not in (tmp_path / "keys" / "keys.json").read_text()
        rows = [KeyRow(**{name: fact[name] for name in KeyRow.__struct_fields__}) for fact in facts]
        headings, *lines = [re.split("  +", line) for line in text.splitlines()[:-1]]
        assert headings == [heading.upper() for heading in KEY_HEADINGS]
        assert [tuple(cells) for cells in lines] == [key_cells(row) for row in rows], "as the evidence pack has them"
        assert datetime.fromisoformat(rows[0].expires).timestamp() * 1000 == facts[0]["expires_ms"]

    def test_a_key_that_is_past_its_end_is_a_finding_unless_it_is_retired(self, config, tmp_path):
        run(config, "keys")
        register = json.loads((tmp_path / "keys" / "keys.json").read_bytes())
        facts = [json.loads(line) for line in run(config, "keys", "--json").stdout.splitlines()]
        for purpose, state, code in (("mask", "retired", 0), ("mask", "in use", 1), ("digest", "in use", 1)):
            name = next(fact["id"] for fact in facts if (fact["purpose"], fact["state"]) == (purpose, state))
            changed = {"version": 1, "created_ms": register["created_ms"] | {name: 1}}
            (tmp_path / "keys" / "keys.json").write_text(json.dumps(changed))
            result = run(config, "keys")
            assert result.exit_code == code, (purpose, state)
            assert ("expired" in result.stdout) is bool(code)

    def test_a_rotation_is_recorded_under_the_new_keys(self, config, log, lines_of):
        result = run(config, "rotate-keys")
        assert result.exit_code == 0, result.output
        assert "Restart the service" in result.stdout
        for purpose, where in (("digest", "`digest_key`"), ("mask", "`mask_keys`")):
            (line,) = (line for line in result.stdout.splitlines() if f"Not rotated by this: {purpose} keys" in line)
            assert where in line
        fresh = type(log)(log.settings, open_keys(log.settings))
        fresh.ship()
        assert [line["event_code"] for line in lines_of(fresh)] == ["log.start", EventCode.ADMIN_KEY_ROTATE, "log.stop"]
        assert fresh.verify().exit_code == 0
        assert fresh.verify(key=log.public).exit_code == 1


def test_a_service_does_not_start_with_a_key_that_is_past_its_end(config, tmp_path, caplog):
    settings = load_settings(config)
    keys = open_keys(settings.audit)
    now_ms = int(time.time() * 1000)
    check_cryptoperiods(settings, keys, now_ms)
    assert caplog.records == []
    os.utime(tmp_path / "digest.key", (now_ms / 1000 - 340 * 86_400,) * 2)
    (tmp_path / "keys" / "keys.json").unlink()
    check_cryptoperiods(settings, keys, now_ms)
    assert [record.getMessage() for record in caplog.records] == [
        "the digest key comes to the end of its cryptoperiod in 25 day(s)"
    ]
    with pytest.raises(AuditRefused, match=r"the digest key .* is past its cryptoperiod"):
        check_cryptoperiods(settings, keys, now_ms + 26 * DAY_MS)


def test_a_service_whose_keys_cannot_be_had_says_so_and_ends(config, tmp_path):
    (tmp_path / "keys" / "content.key").unlink()
    result = CliRunner().invoke(main, ["serve", "--config", str(config)])
    assert result.exit_code == 2
    assert "the audit keys cannot be used" in result.stderr


def test_a_first_sight_is_the_files_time(tmp_path):
    """A digest key that was there long before this version knew of cryptoperiods is as old as its file."""
    path = tmp_path / "k"
    path.write_bytes(bytes(32))
    assert KeyRegister(tmp_path).created_ms("a", 5) == 5
    assert KeyRegister(tmp_path).created_ms("a", 7) == 5

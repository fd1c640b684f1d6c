"""Notes and checkpoints are C2SP's, byte for byte: held against what others wrote."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from extproc.audit.anchor.checkpoint import Checkpoint, epoch_origin
from extproc.audit.anchor.note import Algorithm, NoteSigner, VerifierKey, make_note, verify_note
from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused

# golang.org/x/mod/sumdb/note, note_test.go
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
PETER_NOTE = f"{TEXT}\n{PETER_LINE}".encode()

# A checkpoint of a public log with the cosignatures of public witnesses, of June 2026.
COSIGNED = """arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
"""
ARCHE = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
VKEYS = [PETER, ENOCH, ARCHE, REMORA, "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"]


@pytest.mark.parametrize("text", VKEYS, ids=lambda text: text.split("+")[0])
def test_verifier_keys_of_others_are_read_and_written_alike(text):
    assert str(VerifierKey.parse(text)) == text


def test_no_part_of_a_verifier_key_is_one():
    for start in range(len(PETER)):
        for end in range(start + 1, len(PETER) + 1):
            if (start, end) != (0, len(PETER)):
                with pytest.raises(AuditRefused):
                    VerifierKey.parse(PETER[start:end])
    for index in range(len(PETER)):
        with pytest.raises(AuditRefused):
            VerifierKey.parse(PETER[:index] + chr(ord(PETER[index]) + 1) + PETER[index + 1 :])


def test_we_sign_as_go_does():
    signer = NoteSigner("PeterNeumann", Ed25519PrivateKey.from_private_bytes(PETER_SECRET))
    assert str(signer.verifier(Algorithm.ED25519)) == PETER
    assert make_note(TEXT, signer.sign(TEXT)) == PETER_NOTE


def test_others_signatures_are_passed_over_and_the_keys_own_is_verified():
    both = PETER_NOTE + ENOCH_LINE.encode()
    assert verify_note(both, VerifierKey.parse(PETER)).text == TEXT
    assert verify_note(both, VerifierKey.parse(ENOCH)).text == TEXT
    with pytest.raises(AuditRefused):
        verify_note(PETER_NOTE, VerifierKey.parse(ENOCH))


def test_a_public_witness_cosignature_is_verified():
    note = verify_note(COSIGNED.encode(), VerifierKey.parse(REMORA))
    assert note.seconds == 1779573024
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("arche2025h1.staging.ct.transparency.dev", 1432088532)
    assert checkpoint.text == note.text
    assert verify_note(COSIGNED.encode(), VerifierKey.parse(ARCHE)).seconds == 0


@pytest.mark.parametrize("key", [ARCHE, REMORA], ids=["signed", "cosigned"])
def test_any_changed_character_of_the_text_is_found(key):
    end = COSIGNED.index("\n\n") + 1
    for index in range(end):
        changed = COSIGNED[:index] + ("x" if COSIGNED[index] != "x" else "y") + COSIGNED[index + 1 :]
        with pytest.raises(AuditRefused):
            verify_note(changed.encode(), VerifierKey.parse(key))


def test_the_time_of_a_cosignature_is_signed():
    signer = NoteSigner("w", Ed25519PrivateKey.generate())
    data = base64.b64decode(signer.cosign(TEXT, 1_700_000_000).split()[2])
    later = data[:4] + (1_700_000_001).to_bytes(8, "big") + data[12:]
    note = make_note(TEXT, f"— w {base64.b64encode(later).decode()}\n")
    with pytest.raises(AuditRefused):
        verify_note(note, signer.verifier(Algorithm.COSIGNATURE))


def test_a_signature_of_one_type_does_not_pass_for_the_other():
    signer = NoteSigner("w", Ed25519PrivateKey.generate())
    plain, timed = (signer.verifier(algorithm) for algorithm in Algorithm)
    with pytest.raises(AuditRefused):
        verify_note(make_note(TEXT, signer.sign(TEXT)), timed)
    with pytest.raises(AuditRefused):
        verify_note(make_note(TEXT, signer.cosign(TEXT, 5)), plain)
    # Nor does a text that looks like a cosigned one, signed as type 0x01.
    forged = signer.key.sign(f"cosignature/v1\ntime 5\n{TEXT}".encode())
    line = f"— w {base64.b64encode(plain.key_id + forged).decode()}\n"
    with pytest.raises(AuditRefused):
        verify_note(make_note(TEXT, line), plain)


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        TEXT + "\n",
        f"{TEXT}\n{PETER_LINE[:-1]}",
        f"\x01{TEXT}\n{PETER_LINE}",
        f"{TEXT}\n— Bad Name {PETER_LINE.split()[2]}\n",
        f"{TEXT}\n{PETER_LINE}Unexpected line.\n",
        f"{TEXT}\n" + PETER_LINE * 101,
        f"{TEXT}\n{PETER_LINE[:60]}ABCD{PETER_LINE[60:]}",
        f"{TEXT}\r\n{PETER_LINE}",
        "",
        "\n\n",
    ],
    ids=lambda data: f"{len(data)}-characters",
)
def test_what_go_refuses_is_refused(data):
    with pytest.raises(AuditRefused):
        verify_note(data.encode(), VerifierKey.parse(PETER))


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(AuditRefused):
        verify_note(b"\xff" + PETER_NOTE, VerifierKey.parse(PETER))


def test_an_invalid_signature_of_the_key_beside_a_valid_one_is_refused():
    other = base64.b64decode(PETER_LINE.split()[2])
    broken = f"— PeterNeumann {base64.b64encode(other[:-1] + b'!').decode()}\n"
    with pytest.raises(AuditRefused):
        verify_note(PETER_NOTE + broken.encode(), VerifierKey.parse(PETER))


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"o\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n\N{SUPERSCRIPT TWO}\n{ROOT}\n",
        f"o\n1\n{ROOT[:-4]}\n",
        f"o\n1\n{ROOT}\nextension\n",
        "",
    ],
    ids=lambda text: f"{len(text)}-characters",
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(AuditRefused):
        Checkpoint.parse(text)


def test_an_epochs_origin_line_names_the_program_and_the_epoch():
    origin = Origin("prod", "worker-0", "20261128T144201Z-d39867880b1a05cb")
    assert epoch_origin(origin) == "extproc/prod/worker-0/20261128T144201Z-d39867880b1a05cb"

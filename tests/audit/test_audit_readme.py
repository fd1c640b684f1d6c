"""What `extproc/audit/README.md` tells an auditor to do by hand works, on a copy of a log."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import extproc
from extproc.audit.log.frames import Kind
from extproc.audit.names import Plane
from extproc.audit.signed import Domain

README = (Path(extproc.__file__).parent / "audit" / "README.md").read_text("utf-8")
GOLDEN = Path(__file__).parent / "golden" / "v2"
(SHELL,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(SEGMENT,) = re.findall(r"^S=(.*)$", SHELL, re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Of a store, with the public key beside it."""
    shutil.copytree(GOLDEN / "store", tmp_path / "store")
    shutil.copy(GOLDEN / "deployment.pub", tmp_path / "store")
    (tmp_path / "store" / "by_hand.py").write_text(PYTHON)
    return tmp_path / "store"


def check(copy: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "by_hand.py", "deployment.pub", SEGMENT]
    return subprocess.run(words, cwd=copy, capture_output=True, text=True, timeout=60, check=False)


def test_the_digests_by_hand_are_those_of_the_log(copy: Path) -> None:
    result = subprocess.run(
        ["/bin/sh", "-e", "-c", SHELL], cwd=copy, capture_output=True, text=True, timeout=60, check=True
    )
    evidence, first = (line.split()[0] for line in result.stdout.splitlines()[-2:])
    manifest = json.loads((copy / f"{SEGMENT}.manifest.json").read_bytes().splitlines()[0])
    lines = (copy / f"{SEGMENT}.jsonl").read_bytes().splitlines()
    assert evidence == manifest["evidence"]["sha256"]
    assert first == json.loads(lines[1])["chain"]["prev"] == hashlib.sha256(lines[0]).hexdigest()


def test_the_signatures_by_hand_hold(copy: Path) -> None:
    result = check(copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"[1-9]\d* records, signed and chained\n", result.stdout)


@pytest.mark.parametrize("suffix", [".jsonl", ".manifest.json"])
def test_a_changed_byte_is_seen_by_hand(copy: Path, suffix: str) -> None:
    path = copy / f"{SEGMENT}{suffix}"
    path.write_bytes(
        path.read_bytes().replace(b'"segment":1' if "manifest" in suffix else b'"seq":2', b'"segment":2', 1)
    )
    assert check(copy).returncode == 1


def test_the_names_in_the_text_are_those_of_the_code() -> None:
    for name in (*Plane, "registry"):
        assert f"`v1/{name}/FOLDER" in README
    for domain in Domain:
        assert f"`{domain}`" in README
    assert Kind.CONTENT.name.lower() in README

"""What the repository promises about itself: layout, locks, words."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
LOCKS = [path for path in TRACKED if path.name.endswith((".lock", "-lock.json")) or path.name == "requirements.txt"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_by_hash_and_names_no_registry(path: Path) -> None:
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        assert '"resolved"' not in text
        assert '"integrity": "sha512-' in text
        return
    assert "://" not in text
    pins = re.findall(r"^[A-Za-z0-9_.\-\[\]]+==\S+", text, re.MULTILINE)
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_locks_agree() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([A-Za-z0-9_.\-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= development.items()


def test_the_top_level_is_the_agreed_one() -> None:
    allowed = {
        "pyproject.toml", "proto", "extproc", "envoy", "helm", "tests", "Makefile", "README.md", ".ci", "bench", "LICENSE",
        ".gitignore", "requirements.lock", "requirements-dev.lock", "build.in",
    }  # fmt: skip
    assert {path.relative_to(ROOT).parts[0] for path in TRACKED} <= allowed


def test_no_home_for_the_homeless() -> None:
    """No module is called `utils`, `helpers`, `common`, `manager` or `handler`: the missing noun is the bug."""
    names = {path.stem for path in TRACKED if path.suffix == ".py"}
    assert not names & {"utils", "util", "helpers", "common", "manager", "handler", "misc"}


def test_nothing_is_left_open() -> None:
    for path in TRACKED:
        generated = path.is_relative_to(ROOT / "extproc" / "pb")
        if path.suffix == ".py" and path != Path(__file__) and not generated:
            text = path.read_text("utf-8")
            assert not re.search(r"\b(TODO|FIXME|XXX)\b|NotImplementedError|pytest\.skip\(|xfail", text), path.name

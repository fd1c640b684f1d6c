"""The gate secret: one value for everybody who shares the run directory, and for nobody else."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from extproc.edge.gate import GATE_FILE, parse_gate, read_or_create_gate


def test_all_who_start_at_once_read_the_same_secret(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: read_or_create_gate(run), range(64)))
    assert len(secrets) == 1
    assert [path.name for path in run.iterdir()] == [GATE_FILE]


def test_who_comes_second_takes_what_the_first_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both saw no file; Envoy may already be configured with the first secret."""
    first = read_or_create_gate(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert read_or_create_gate(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [GATE_FILE]


def test_the_file_is_private_and_each_directory_has_its_own(tmp_path: Path) -> None:
    one, two = (read_or_create_gate(tmp_path / name) for name in ("one", "two"))
    assert one != two
    assert stat.S_IMODE((tmp_path / "one" / GATE_FILE).stat().st_mode) == 0o600
    assert parse_gate(one) == one


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    read_or_create_gate(tmp_path)
    (tmp_path / GATE_FILE).chmod(0o640)
    with pytest.raises(PermissionError):
        read_or_create_gate(tmp_path)


@pytest.mark.parametrize("text", ["", "ok", "a" * 129, "a" * 40 + '"'])
def test_a_file_without_a_secret_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / GATE_FILE
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="gate secret must be") as caught:
        read_or_create_gate(tmp_path)
    assert not text or text not in str(caught.value)

"""`extproc run` writes `config.yaml` anew: what a person wants otherwise stays, and what they wrote into it is not lost."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from extproc.cli import run
from extproc.edge import stop_signals
from extproc.edge.settings_file import load_settings
from extproc.local import guard
from extproc.local.guard import Guard, Wanted, start_guard, write_config
from extproc.local.own_settings import keep_edited
from extproc.local.ports import free_port
from extproc.local.service_process import NotStarted

ISSUER = "http://127.0.0.1:9"


def write(folder: Path) -> Path:
    return write_config(Wanted(folder, "http://127.0.0.1:9"), ISSUER, 9)


def test_what_a_person_wants_otherwise_counts_at_every_start(tmp_path: Path) -> None:
    (tmp_path / "config.own.yaml").write_text("deployment: mine\napprovals: {poll: 2s}\n", "utf-8")
    for _ in range(2):
        settings = load_settings(write(tmp_path))
        assert (settings.deployment, settings.approvals.poll_seconds) == ("mine", 2.0)
        assert settings.approvals.database.endswith("approvals.db")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "config.own.yaml:2:1: "),
        ("a: 1\na: 2\n", "config.own.yaml:2:1: a: "),
        ("- a\n", "must be a mapping with keys of config.yaml"),
    ],
    ids=["not YAML", "twice", "a list"],
)
def test_a_file_of_ones_own_that_cannot_be_read_stops_the_start(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.own.yaml").write_text(text, "utf-8")
    with pytest.raises(NotStarted, match=re.escape(says)):
        write(tmp_path)
    assert not (tmp_path / "config.yaml").exists()


def test_an_edited_configuration_is_kept_once_and_one_that_is_as_written_is_not(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert keep_edited(path) is None
    for number, line in enumerate(("# mine\n", "# mine, too\n"), 1):
        edited = path.read_text("utf-8") + line
        path.write_text(edited, "utf-8")
        kept = [keep_edited(path) for _ in range(2)]
        assert kept == [tmp_path / f"config.edited-{number}.yaml"] * 2
        assert kept[0] is not None
        assert kept[0].read_text("utf-8") == edited
        write(tmp_path)
        assert keep_edited(path) is None
    path.write_text("deployment: all mine\n", "utf-8")
    assert keep_edited(path) == tmp_path / "config.edited-3.yaml"
    assert keep_edited(tmp_path / "none.yaml") is None


def test_run_says_where_an_edited_configuration_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Wanted) -> Any:
        raise NotStarted("not here")

    monkeypatch.setattr(guard, "start_guard", refuse)
    monkeypatch.setattr(stop_signals, "set_on_signal", lambda *_: None)
    arguments = ["--upstream", "http://127.0.0.1:9", "--directory", str(tmp_path)]
    path = write(tmp_path)
    assert CliRunner().invoke(run.command, arguments).output == "not started: not here\n"
    path.write_text(path.read_text("utf-8") + "# mine\n", "utf-8")
    said = CliRunner().invoke(run.command, arguments).output
    assert f"is kept in {tmp_path}/config.edited-1.yaml." in said
    assert f"belongs in {tmp_path}/config.own.yaml" in said


def test_a_refused_configuration_names_the_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.own.yaml").write_text("approvals: {pol: 2s}\n", "utf-8")
    monkeypatch.setattr(guard, "start_guard", lambda wanted: load_settings(write(wanted.directory)))
    monkeypatch.setattr(stop_signals, "set_on_signal", lambda *_: None)
    refused = CliRunner().invoke(run.command, ["--upstream", "http://127.0.0.1:9", "--directory", str(tmp_path)])
    first, second = refused.output.splitlines()[:2]
    assert (refused.exit_code, f"{tmp_path}/config.own.yaml is a part of" in first) == (2, True)
    assert "approvals.pol: unknown key" in second


def test_run_says_what_counts_instead_of_what_it_was_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say() -> str:
        config = write(tmp_path)
        run._say_where(
            cast(
                "guard.Guard",
                SimpleNamespace(
                    wanted=Wanted(tmp_path, "http://127.0.0.1:9"),
                    config=config,
                    settings=load_settings(config),
                    url="http://127.0.0.1:8",
                    console_url="http://127.0.0.1:7",
                    issuer_directory=tmp_path,
                ),
            )
        )
        return capsys.readouterr().out

    assert "config.own.yaml" not in say()
    own = tmp_path / "config.own.yaml"
    own.write_text("connections: [{name: other, upstream: 'http://127.0.0.1:6'}]\n", "utf-8")
    said = say()
    assert said.startswith("guarding http://127.0.0.1:6 at http://127.0.0.1:8/v1\n")
    assert f"settings   {own} " in said


def test_a_console_is_awaited_and_shown_where_ones_own_settings_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_port = free_port()
    (tmp_path / "config.own.yaml").write_text(
        f"console: {{url: 'https://console.example.org', port: {own_port}}}\n", "utf-8"
    )
    starting = Mock(side_effect=NotStarted("far enough"))
    monkeypatch.setattr(guard, "StartingService", Mock())
    monkeypatch.setattr(guard, "StartingConsole", starting)
    with pytest.raises(NotStarted, match="far enough"):
        start_guard(Wanted(tmp_path, "http://127.0.0.1:9", workers=1, console_port=free_port()))
    config, awaited, _ = starting.call_args.args
    assert awaited == f"http://127.0.0.1:{own_port}"
    running = Mock(spec=Guard, settings=load_settings(config), console=object())
    assert cast("property", Guard.console_url).fget(running) == "https://console.example.org"  # type: ignore[misc]

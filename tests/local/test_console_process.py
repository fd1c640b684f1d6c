"""The console as a process of its own: where it is, and what is said when it does not start."""

import socket
from pathlib import Path

import pytest

from extproc.local.console_process import StartingConsole, console_url, port_of_console
from extproc.local.ports import free_port
from extproc.local.service_process import NotStarted


def test_it_is_where_it_was_so_that_links_stay_good(tmp_path: Path) -> None:
    config, port = tmp_path / "config.yaml", free_port()
    config.write_text(f"console: {{port: {port}}}\n", "utf-8")
    assert port_of_console(config) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert port_of_console(config) != port


@pytest.mark.parametrize("text", ["", "[]", "console: {}", "console: [1]", "console: {port: soon}", "a: b: c"])
def test_without_an_earlier_one_it_is_at_a_free_port(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    assert 0 < port_of_console(tmp_path / "config.yaml") < 65536
    assert 0 < port_of_console(tmp_path / "missing.yaml") < 65536


def test_one_that_does_not_start_says_its_status_and_where_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("no configuration\n", "utf-8")
    starting = StartingConsole(tmp_path / "config.yaml", console_url(free_port()), tmp_path / "console.log")
    with pytest.raises(NotStarted, match=r"the console ended with status 2; its log is .*/console\.log"):
        starting.wait_ready()
    assert "config.yaml:" in (tmp_path / "console.log").read_text("utf-8")

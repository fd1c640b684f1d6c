"""`extproc probe` against a gateway that does one thing wrong: each is found, and nothing secret is printed.

With the real Envoy and service: `tests/conformance/service/test_probe.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from extproc.cli.probe import command
from extproc.live.echo_model import ANSWERED
from extproc.live.planted_request import PLANTED
from extproc.local.ports import free_port
from tests.live.faulty_gateway import FaultyGateway

TOKEN = "eyJ.token-of-the-probe.sig"


@pytest.fixture
def gateway() -> Iterator[FaultyGateway]:
    with FaultyGateway() as gateway:
        yield gateway


def run(gateway: FaultyGateway, folder: Path, *more: str, wait: int = 1) -> Result:
    (folder / "token").write_text(TOKEN)
    port = free_port()
    gateway.model = f"http://127.0.0.1:{port}/v1/chat/completions"
    where = ["--gateway", gateway.url, "--token-file", str(folder / "token"), "--model", "probe"]
    ran = CliRunner().invoke(
        command, [*where, "--echo", str(port), "--console", gateway.url, "--wait", str(wait), *more]
    )
    assert TOKEN not in ran.output
    assert PLANTED not in ran.output
    assert ANSWERED not in ran.output
    return ran


def failed(ran: Result) -> list[str]:
    return [line.split(":")[0].removeprefix("FAIL ") for line in ran.output.splitlines() if line.startswith("FAIL")]


def test_a_sound_gateway_passes_every_check(gateway: FaultyGateway, tmp_path: Path) -> None:
    ran = run(gateway, tmp_path)
    assert (ran.exit_code, failed(ran)) == (0, []), ran.output
    assert ran.output.splitlines()[-1] == "15 OK, 0 FAIL, 0 not asked"


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("request in clear", ["whole, request masked", "streamed, request masked"]),
        ("answer in clear", ["whole, answer masked", "streamed, answer masked"]),
        ("stream in clear", ["streamed, answer masked"]),
        ("token forwarded", ["whole, token kept", "streamed, token kept"]),
        ("trace lost", ["whole, trace", "streamed, trace"]),
        ("not named", ["whole, guarded", "record", "streamed, guarded", "record"]),
        ("no receipt", ["whole, receipt", "record", "streamed, receipt", "record"]),
        ("record lost", ["record", "record"]),
        ("record elsewhere", ["record", "record"]),
        ("request not recorded", ["record", "record"]),
        ("answer not recorded", ["record", "record"]),
        ("no role", ["record", "record"]),
        ("refused", ["whole", "streamed"]),
        ("model passed by", ["whole, at the model", "streamed, at the model"]),
        ("strangers let in", ["stranger"]),
    ],
)
def test_what_is_wrong_is_found(gateway: FaultyGateway, tmp_path: Path, fault: str, found: list[str]) -> None:
    gateway.fault = fault
    ran = run(gateway, tmp_path)
    assert (ran.exit_code, failed(ran)) == (1, found), ran.output


def test_a_refusal_is_named_and_says_what_to_do(gateway: FaultyGateway, tmp_path: Path) -> None:
    gateway.fault = "refused"
    assert "the gateway answered 403, policy_denied (is `model` led" in run(gateway, tmp_path).output


def test_the_console_is_asked_by_its_own_name_wherever_it_is(gateway: FaultyGateway, tmp_path: Path) -> None:
    where = ("--console", "http://console.example.org", "--console-address", gateway.url.removeprefix("http://"))
    ran = run(gateway, tmp_path, *where)
    assert (ran.exit_code, set(gateway.asked_as)) == (0, {"console.example.org"}), ran.output


def test_nobody_there_is_a_failure(gateway: FaultyGateway, tmp_path: Path) -> None:
    gateway.url = f"http://127.0.0.1:{free_port()}"
    ran = run(gateway, tmp_path)
    assert (ran.exit_code, failed(ran)) == (1, ["whole", "streamed", "stranger"])


def test_without_console_and_echo_the_rest_is_said_to_be_left(gateway: FaultyGateway, tmp_path: Path) -> None:
    gateway.fault = "model passed by"
    (tmp_path / "token").write_text(TOKEN)
    where = ["--gateway", gateway.url, "--token-file", str(tmp_path / "token"), "--model", "probe", "--wait", "1"]
    ran = CliRunner().invoke(command, where)
    assert ran.exit_code == 0
    assert ran.output.splitlines()[-1] == "7 OK, 0 FAIL, 4 not asked"


@pytest.mark.parametrize("content", ["", "two\nlines", "eyJ\N{EM DASH}"])
def test_a_file_that_holds_no_token_is_wrong_input(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    where = ["--gateway", "http://127.0.0.1:1", "--token-file", str(tmp_path / "token"), "--model", "probe"]
    assert CliRunner().invoke(command, where).exit_code == 2

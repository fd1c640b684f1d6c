"""The development issuer: its folder, its tokens, its two commands."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from click.testing import CliRunner

from extproc.cli.dev import command
from extproc.core.identity import UnverifiedToken
from extproc.core.issuer import Issuer
from extproc.core.reasons import Reason, Unverified
from extproc.local.issuer import ALGORITHMS, mint_token, read_issuer_file, start_issuer


async def test_its_tokens_verify_by_each_algorithm(start: Any, tmp_path: Path) -> None:
    with start_issuer(tmp_path / "issuer") as running:
        authenticator = start(Issuer(running.url, ("extproc",), ALGORITHMS, discovery=True), at=time.time)
        for algorithm in ALGORITHMS:
            minted = mint_token(
                tmp_path / "issuer",
                subject="analyst",
                groups=("ml-team",),
                name="An Analyst",
                audience="extproc",
                issuer=running.url,
                algorithm=algorithm,
                extra={"amr": ["otp"]},
            )
            principal = await authenticator.verify(UnverifiedToken(minted))
            assert (principal.subject, principal.groups, principal.name) == ("analyst", ("ml-team",), "An Analyst")
            assert principal.methods == ("otp",)
            assert 3590 < principal.expires_at - time.time() <= 3600


async def test_eddsa_alone_and_expired(start: Any, tmp_path: Path) -> None:
    with start_issuer(tmp_path) as running:
        authenticator = start(Issuer(running.url, ("extproc",), ("EdDSA",), discovery=True), at=time.time)
        given: dict[str, Any] = {"subject": "s", "groups": [], "audience": "extproc", "issuer": running.url}
        good = UnverifiedToken(mint_token(tmp_path, algorithm="EdDSA", **given))
        assert (await authenticator.verify(good)).subject == "s"
        for reason, token in (
            (Reason.TOKEN_EXPIRED, mint_token(tmp_path, algorithm="EdDSA", ttl_seconds=-31, **given)),
            (Reason.TOKEN_INVALID, mint_token(tmp_path, algorithm="ES256", **given)),
            (Reason.TOKEN_INVALID, mint_token(tmp_path, algorithm="EdDSA", **given | {"audience": "else"})),
        ):
            with pytest.raises(Unverified) as raised:
                await authenticator.verify(UnverifiedToken(token))
            assert raised.value.reason is reason


def test_it_listens_on_its_own_loopback_address_only(tmp_path: Path) -> None:
    with start_issuer(tmp_path) as issuer, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", urlsplit(issuer.url).port or 0), timeout=5)


def test_the_folder_is_private_and_lasts(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "issuer"
    with start_issuer(folder, audience="mine") as running:
        first = httpx.get(f"{running.url}/jwks", trust_env=False).content
        assert b'"d"' not in first
        assert httpx.get(f"{running.url}/es256.pem", trust_env=False).status_code == 404
        assert read_issuer_file(folder).issuer == running.url
        assert read_issuer_file(folder).audience == "mine"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["eddsa.pem", "es256.pem", "issuer.json", "rs256.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    port = int(running.url.rsplit(":", 1)[1])
    with start_issuer(folder, port) as again:
        assert again.url == running.url
        assert httpx.get(f"{again.url}/jwks", trust_env=False).content == first
    (folder / "es256.pem").chmod(0o644)
    with pytest.raises(PermissionError):
        start_issuer(folder)
    with pytest.raises(ValueError, match="signed with one of"):
        mint_token(folder, subject="s", groups=(), audience="a", issuer="i", algorithm="HS256")


def test_dev_token_prints_the_token_and_nothing_else(tmp_path: Path) -> None:
    with start_issuer(tmp_path):
        pass
    run = CliRunner().invoke(
        command,
        ["token", "--subject", "s", "--groups", "g, h,", "--ttl", "5m", "--algorithm", "EdDSA"],
        env={"EXTPROC_DEV_DIRECTORY": str(tmp_path)},
    )
    assert run.exit_code == 0, run.output
    assert run.stderr == ""
    assert len(run.stdout.split(".")) == 3
    assert run.stdout.count("\n") == 1
    assert run.stdout.endswith("\n")


def test_dev_token_says_of_a_sign_in_what_it_is_told_and_nothing_else(tmp_path: Path) -> None:
    with start_issuer(tmp_path, audience="the-issuers"):
        pass

    def claims(*more: str) -> dict[str, Any]:
        run = CliRunner().invoke(command, ["token", "--subject", "s", "--directory", str(tmp_path), *more])
        assert run.exit_code == 0, run.output
        found: dict[str, Any] = jwt.decode(run.stdout.strip(), options={"verify_signature": False})
        return found

    plain = claims()
    assert (plain["aud"], {"amr", "auth_time", "tenant"} & set(plain)) == ("the-issuers", set())
    assert (plain["name"], claims("--name", "Sue")["name"]) == ("s", "Sue")
    told = claims("--amr", "pwd, mfa", "--auth-time", "5m", "--tenant", "north", "--audience", "mine")
    assert (told["amr"], told["tenant"], told["aud"]) == (["pwd", "mfa"], "north", "mine")
    several = claims("--groups", "a,b", "--groups", "c", "--amr", "pwd", "--amr", "otp")
    assert (several["groups"], several["amr"]) == (["a", "b", "c"], ["pwd", "otp"])
    assert 300 <= told["iat"] - told["auth_time"] + 1 <= 302


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["token", "--subject", "s", "--directory", "nowhere"], "extproc dev issuer --directory nowhere"),
        (["token", "--subject", "s", "--ttl", "soon"], "not a duration"),
        (["token", "--subject", "s", "--ttl", "0h"], "not a duration"),
        (["token"], "--subject"),
        (["token", "--subject", "s", "--algorithm", "HS256"], "HS256"),
        (["issuer", "--directory", "/proc/nowhere"], "cannot start"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_ends_with_2_and_says_what_is_needed(arguments: list[str], says: str) -> None:
    run = CliRunner().invoke(command, arguments)
    assert run.exit_code == 2
    assert run.stdout == ""
    assert says in run.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_dev_issuer_runs_until_told_to_end(tmp_path: Path, number: int) -> None:
    program = "from extproc.cli.main import main; main(prog_name='extproc')"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "dev", "issuer", "--directory", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        document = httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False).json()
        assert document["issuer"] == url
        process.send_signal(number)
        assert process.communicate(timeout=10) == (b"", b"")
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()

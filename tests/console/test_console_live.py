"""A real identity provider, the real process, TLS: from a person's login and a client's assertion to a principal."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook

from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import open_store
from extproc.audit.keys.keys import open_keys
from extproc.audit.log.journal import Journal
from extproc.cli.main import main
from extproc.console.provider_file import ProviderFile
from extproc.console.request_signer import RequestSigner
from extproc.console.saml_request import login_url
from extproc.console.token import GRANT_TYPE
from extproc.core.approval import ApprovalRequest
from extproc.core.identity import UnverifiedToken
from extproc.core.issuer import Issuer
from extproc.core.principal import Principal
from extproc.core.trust import Masked
from extproc.edge.authenticator import Authenticator
from extproc.edge.settings_console import ConsoleSettings, KeyPair, SamlSettings
from extproc.edge.settings_file import load_settings
from extproc.pb import approvals_pb2 as pb
from extproc.pb import approvals_pb2_grpc as pb_grpc
from tests.approvals.receivers import Receiver
from tests.console.conftest import token_of
from tests.console.idp import Keys
from tests.console.live import HOOK_SECRET, ROOT, RealConsole, RealProvider, configure, log_in, write_pem


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProvider]:
    running = RealProvider(tmp_path_factory.mktemp("idp"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, provider: RealProvider) -> Iterator[RealConsole]:
    running = RealConsole.start(tmp_path_factory.mktemp("console"), provider)
    yield running
    running.stop()


def exchange(console: RealConsole, assertion: str) -> httpx.Response:
    with console.client() as client:
        return client.post("/token", data={"grant_type": GRANT_TYPE, "assertion": assertion})


async def verify(console: RealConsole, token: str) -> Principal:
    """As a worker does it, with an ordinary issuer entry."""
    issuer = Issuer(console.url, ("extproc",), ("ES256",), jwks_url=f"{console.url}/jwks.json")
    async with httpx.AsyncClient(verify=console.trust, trust_env=False) as client:
        authenticator = Authenticator((issuer,), client)
        fetching = asyncio.create_task(authenticator.run())
        try:
            return await authenticator.verify(UnverifiedToken(token))
        finally:
            fetching.cancel()
            await asyncio.wait([fetching])


def test_a_person_logs_in_at_the_real_provider(console: RealConsole) -> None:
    with console.client() as browser:
        done = log_in(browser)
        assert done.status_code == 303, done.text
        front = browser.get("/").text
        assert "Änna Analyst" in front
        assert "analysts, staff" in front
        browser.post("/logout", data={"csrf": token_of(browser.get("/").text)})
        assert "Nobody is logged in" in browser.get("/").text


async def test_the_real_provider_s_assertion_becomes_a_principal_of_a_worker(
    console: RealConsole, provider: RealProvider
) -> None:
    answer = exchange(console, provider.assertion(f"{console.url}/token"))
    assert answer.status_code == 200, answer.text
    principal = await verify(console, answer.json()["access_token"])
    assert (principal.uid, principal.name, principal.groups) == (
        f"{console.url}|anna", "Änna Analyst", ("analysts", "staff"),
    )  # fmt: skip
    assert principal.kind == "person"
    assert principal.methods == ("pwd",)
    assert abs(principal.authenticated_at - time.time()) < 3600


async def test_tokens_of_either_key_hold_while_the_console_rotates(
    console: RealConsole, provider: RealProvider
) -> None:
    before = exchange(console, provider.assertion(f"{console.url}/token")).json()["access_token"]
    done = CliRunner().invoke(main, ["console", "rotate-keys", "--config", str(console.config)])
    assert done.exit_code == 0, done.output
    assert " signs from 20" in done.output
    assert len(published(console)) == 2
    assert (await verify(console, before)).subject == "anna"
    done = CliRunner().invoke(main, ["console", "rotate-keys", "--compromised", "--config", str(console.config)])
    assert " signs now" in done.output
    assert len(published(console)) == 1
    after = exchange(console, provider.assertion(f"{console.url}/token")).json()["access_token"]
    assert (await verify(console, after)).subject == "anna"
    with pytest.raises(Exception, match="token_invalid"):
        await verify(console, before)


def test_the_provider_s_new_certificate_counts_once_it_is_in_the_file(
    console: RealConsole, provider: RealProvider
) -> None:
    audience = f"{console.url}/token"
    provider.rotate()
    assert exchange(console, provider.assertion(audience)).status_code == 400
    provider.write_metadata(console.folder / "idp.xml")
    assert exchange(console, provider.assertion(audience)).status_code == 200
    (console.folder / "idp.xml").write_text("<broken")
    assert exchange(console, provider.assertion(audience)).status_code == 200
    provider.write_metadata(console.folder / "idp.xml")


def test_the_real_provider_verifies_a_signed_request_and_no_other(tmp_path: Path, provider: RealProvider) -> None:
    provider.write_metadata(tmp_path / "idp.xml")
    key, certificate = write_pem(tmp_path, "sp", Keys.make(now=time.time()))
    saml = SamlSettings(tmp_path / "idp.xml", "https://c/saml/metadata", signing=KeyPair(certificate, key))
    settings = ConsoleSettings("https://c.example", tmp_path, saml)
    file, signer = ProviderFile(saml, time.time()), RequestSigner.load(KeyPair(certificate, key))
    signed, other = (login_url(file.current(time.time()), settings, signer, name, time.time()) for name in ("_a", "_b"))
    bare = login_url(file.current(time.time()), settings, None, "_a", time.time())
    mixed = signed.partition("&SigAlg=")[0] + "&SigAlg=" + other.partition("&SigAlg=")[2]
    provider.get("/_trust", cert=str(certificate))
    try:
        answers = [httpx.get(url, trust_env=False) for url in (signed, bare, mixed)]
    finally:
        provider.get("/_trust", cert="")
    assert [each.status_code for each in answers] == [200, 403, 403]
    assert "SAMLResponse" in answers[0].text


def test_what_happens_is_counted_where_metrics_are_scraped(console: RealConsole) -> None:
    exchange(console, "x")
    text = httpx.get(f"http://127.0.0.1:{console.metrics_port}/metrics", trust_env=False).text
    (line,) = [line for line in text.splitlines() if 'event="auth.fail"' in line and 'refused="not_xml"' in line]
    assert line.startswith("extproc_console_events_total{")
    assert float(line.rpartition(" ")[2]) >= 1


def test_what_happens_to_an_approval_is_told_with_a_link_that_leads_to_it(console: RealConsole) -> None:
    receiver = Receiver()
    receiver.up()
    (console.folder / "hook.url").write_text(receiver.url)  # read anew for each message
    store = open_store(ApprovalSettings(f"sqlite:///{console.folder}/approvals.db"), lambda _, x: x, lambda _, x: x)
    now = time.time()
    asked = ApprovalRequest(
        "apr-1", "x-1", "https://idp.test|anna", "Anna", "bulk", "", "sha256:00", "00", "main", "chat", "small", (),
        ("approvers",), now, now + 600, Masked(b"{}"),
    )  # fmt: skip
    store.open(asked)
    while not receiver.got:
        assert console.process.poll() is None, console.log()
        time.sleep(0.02)
    store.close()
    receiver.down()
    (got,) = receiver.got
    told = Webhook(HOOK_SECRET).verify(got.body, got.headers)
    assert (told["type"], told["data"]["approval"]["id"]) == ("approval.opened", "apr-1")
    with console.client() as browser:
        stranger = browser.get(told["data"]["link"])
        assert (stranger.status_code, stranger.headers["location"][:10]) == (303, "/login?to=")
        log_in(browser)
        assert browser.get(told["data"]["link"]).headers["location"].startswith("/approvals/apr-1?link=")
    metrics = httpx.get(f"http://127.0.0.1:{console.metrics_port}/metrics", trust_env=False).text
    assert 'extproc_notifications_total{channel="hook",outcome="sent"} 1.0' in metrics


def test_everything_is_in_a_log_that_verifies_beside_a_worker_s_and_after_a_kill(
    tmp_path_factory: pytest.TempPathFactory, provider: RealProvider
) -> None:
    folder = tmp_path_factory.mktemp("recorded")
    killed = RealConsole.start(folder, provider)
    worker = open_journal(killed.config, "worker-0")
    with killed.client() as browser:
        assert log_in(browser).status_code == 303
        killed.process.kill()
        killed.process.wait()
        console = killed.start_again()
        try:
            browser.post(
                "/logout", data={"csrf": token_of(browser.get("/").text)}
            )  # the session is the store's, not the process's
            given = provider.assertion(f"{console.url}/token")
            assert [exchange(console, given).status_code for _ in range(2)] == [200, 400]
            worker.close()
        finally:
            assert console.stop() == 0, console.log()
    said = [
        (
            line["metadata"]["event_code"],
            line["actor"]["user"]["uid"],
            line.get("unmapped", {}).get("detail", {}).get("refused"),
        )
        for line in evidence(folder)
        if line["metadata"]["event_code"].startswith(("auth.", "admin."))
    ]
    anna = f"{console.url}|anna"
    assert said == [
        ("admin.key_rotate", "extproc", None),
        ("auth.login", anna, None), ("auth.logout", anna, None), ("auth.issue", anna, None), ("auth.fail", anna, "replayed"),
    ]  # fmt: skip
    verified = CliRunner().invoke(main, ["audit", "verify", "--config", str(console.config)])
    assert verified.exit_code == 0, verified.output
    assert given[:30] not in console.log()
    assert "Änna" not in console.log()


def test_a_console_that_cannot_start_says_why(tmp_path: Path, provider: RealProvider) -> None:
    _, _, config = configure(tmp_path, provider)
    (tmp_path / "idp.xml").write_text("<broken")
    ended = subprocess.run(
        [sys.executable, "-m", "extproc", "console", "--config", str(config)],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "console.saml.metadata: the file is not well-formed XML without a DTD"


def open_journal(config: Path, writer: str) -> Journal:
    """Another process's, as far as the spool knows."""
    settings = load_settings(config).audit
    return Journal.open(settings, open_keys(settings), writer=writer, deliver=lambda run: run())


def published(console: RealConsole) -> list[Any]:
    with console.client() as client:
        keys: list[Any] = client.get("/jwks.json").json()["keys"]
        return keys


def evidence(folder: Path) -> list[Any]:
    """Every record in the store: the console ships by itself."""
    files = sorted((folder / "store").rglob("*.jsonl"))
    lines = [json.loads(line) for file in files if "/evidence/" in str(file) for line in file.read_text().splitlines()]
    own = [line for line in lines if "/console/" in line["chain"]["origin"]]
    return sorted(own, key=lambda line: (line["time"], line["chain"]["seq"]))


def test_programs_are_served_by_the_same_process(console: RealConsole) -> None:
    """The JSON API and the gRPC service, both over the console's own key pair; without a token nobody is."""
    with console.client() as client:
        assert client.get("/api/v1/openapi.json").json()["servers"] == [{"url": f"{console.url}/api/v1"}]
        assert client.get("/api/v1/approvals").json()["code"] == "token_missing"
    settings = load_settings(console.config).console
    assert settings is not None
    root = grpc.ssl_channel_credentials((console.folder / "server.crt").read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{settings.grpc_port}", root) as channel:
        stub = pb_grpc.ApprovalsStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as refused:
            stub.List(pb.ListRequest(), timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with grpc.insecure_channel(f"127.0.0.1:{settings.grpc_port}") as plain, pytest.raises(grpc.RpcError) as unread:
        pb_grpc.ApprovalsStub(plain).List(pb.ListRequest(), timeout=5)  # type: ignore[no-untyped-call]
    assert unread.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

"""The real process, TLS, the certified OpenID provider: from the configuration file to a person with a role."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from extproc.audit.keys.keys import AuditKeys
from extproc.local.ports import free_port
from tests.audit.configured import write_config
from tests.console.conftest import token_of
from tests.console.live import RealConsole, server_keys, write_pem
from tests.console.oidc import CLIENT, SECRET, RealOidc, Walk, path_of


@pytest.fixture
def console(tmp_path: Path) -> Iterator[tuple[RealConsole, RealOidc]]:
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    provider = RealOidc(url)
    key, certificate = write_pem(tmp_path, "server", server_keys())
    AuditKeys.load_or_create(tmp_path / "keys")
    (tmp_path / "client.secret").write_text(SECRET)
    config = write_config(
        tmp_path,
        issuer={"issuer": provider.url},
        console={
            "url": url,
            "port": port,
            "tls": {"certificate": str(certificate), "key": str(key)},
            "keys": "console",
            "oidc": {
                "issuer": provider.url,
                "client_id": CLIENT,
                "client_secret_file": "client.secret",
                "scopes": ["openid", "profile", "groups"],
            },
            "roles": {"approver": ["approvers"]},
        },
    )
    running = RealConsole.start_at(tmp_path, url, 0, config)
    yield running, provider
    running.stop()
    provider.stop()


def test_a_person_logs_in_by_openid_connect_over_tls_and_has_their_role(
    console: tuple[RealConsole, RealOidc],
) -> None:
    running, provider = console
    walk = Walk(provider)
    with running.client() as browser:
        assert browser.get("/approvals").status_code == 303
        begun = browser.get("/oidc/login", params={"to": "/approvals"})
        answered = walk.say(walk.to_login(begun.headers["location"]), "anna", "approvers")
        assert answered.startswith(f"{running.url}/oidc/callback?")
        done = browser.get(path_of(answered))
        assert (done.status_code, done.headers["location"]) == (303, f"{running.url}/approvals"), done.text
        cookies = done.headers.get_list("set-cookie")
        assert any("__Host-extproc-session=" in each and "Secure" in each and "HttpOnly" in each for each in cookies)
        assert browser.get("/approvals").status_code == 200
        front = browser.get("/").text
        assert f"{provider.url}|anna" in front
        assert browser.get("/evidence").status_code == 403
        replayed = browser.get(path_of(answered))
        assert (replayed.status_code, "wrong_state" in replayed.text) == (403, True)
        browser.post("/logout", data={"csrf": token_of(front)})
        assert browser.get("/approvals").status_code == 303
    walk.close()
    code = dict(pair.split("=", 1) for pair in urlsplit(answered).query.split("&"))["code"]
    said = running.log()
    assert code not in said
    assert SECRET not in said

"""The Compose file comes up: each service by its own command line, in its order, and a request goes through all of them."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.approvals.postgres_server import PostgresServer, started_postgres
from tests.conformance.service.conftest import Upstream, run_upstream
from tests.image.laptop import COMPOSE, Laptop

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    model, server = run_upstream()
    yield model
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with started_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def laptop(upstream: Upstream, postgres: PostgresServer) -> Iterator[Laptop]:
    """In the order of `depends_on`; the database is there already, with a user and a name of its own."""
    machine = Laptop(int(upstream.url.rsplit(":", 1)[1]))
    try:
        machine.run("setup")
        url = machine.root / "etc/extproc/secrets/database/url"
        where = f"127.0.0.1:{machine.ports['5433']}/extproc"
        assert url.read_text("ascii") == f"postgresql+psycopg://extproc:{_password(machine)}@{where}"
        url.write_text(f"postgresql+psycopg://app@{postgres.address}/postgres", "ascii")
        machine.start("issuer")
        machine.run("bootstrap")
        for name in ("extproc", "envoy", "console"):
            machine.start(name)
        yield machine
    finally:
        codes = machine.stop()
    assert codes == [0, 0, 0, 0]


def _password(machine: Laptop) -> str:
    return (machine.root / "etc/extproc/secrets/database/password").read_text("ascii")


def _token(machine: Laptop, subject: str, groups: str) -> str:
    """By the command that the file's first lines name."""
    named = re.search(r"extproc (dev token .*)", " ".join(line[1:] for line in _file().splitlines() if line[:1] == "#"))
    assert named is not None
    words = named[1].split("All share")[0].split()
    words[words.index("--subject") + 1], words[words.index("--groups") + 1] = subject, groups
    machine.services["token"] = {**machine.services["issuer"], "command": words}
    return machine.run("token").strip()


def _file() -> str:
    return (Path(__file__).parents[2] / "helm/image/compose/compose.yaml").read_text("utf-8")


def test_a_request_goes_through_and_its_card_number_does_not(laptop: Laptop, upstream: Upstream) -> None:
    answer = httpx.post(
        f"http://127.0.0.1:{laptop.ports['8080']}/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "laptop: card 4111 1111 1111 1111"}]},
        headers={"authorization": f"Bearer {_token(laptop, 'alice', 'analysts')}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    (seen,) = upstream.requests("laptop:")
    assert b"4111" not in seen.body
    assert b"[PAN]" in seen.body


def test_the_console_lets_people_log_in_at_the_issuer(laptop: Laptop) -> None:
    away = httpx.get(f"http://127.0.0.1:{laptop.ports['8090']}/oidc/login", follow_redirects=False, timeout=30)
    assert away.status_code in (302, 303)
    assert away.headers["location"].startswith(f"http://127.0.0.1:{laptop.ports['8099']}/")


def test_a_second_setup_changes_no_secret(laptop: Laptop) -> None:
    folder = laptop.root / "etc/extproc/secrets"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    laptop.run("setup")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert len(before) == 4
    for path in before:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_uid == (65532 if os.geteuid() == 0 else os.geteuid())


def test_nobody_but_this_machine_is_listened_to(laptop: Laptop) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    ours = {str(port) for port in laptop.ports.values()}
    places = [line.split()[3].rsplit(":", 1) for line in listening.splitlines()]
    wide = [(host, port) for host, port in places if port in ours and host not in ("127.0.0.1", "[::1]")]
    assert wide == []


def test_the_order_of_the_start_is_the_file_s() -> None:
    after = {name: set(service.get("depends_on", {})) for name, service in COMPOSE["services"].items()}
    assert after["extproc"] == {"issuer", "database"}
    assert after["envoy"] == {"bootstrap", "extproc"}
    assert (after["bootstrap"], after["console"]) == ({"issuer"}, {"extproc"})

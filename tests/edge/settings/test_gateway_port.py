"""`ext_proc`: the port for another gateway's Envoy is on loopback, or asks for a certificate with a name that may call."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.edge.gateway_callers import GatewayCallers
from extproc.edge.settings import ExtProcSettings, GatewayTls
from extproc.edge.settings_file import SettingsInvalid, load_settings

TLS = {
    "certificate": "tls/server.crt",
    "key": "tls/server.key",
    "client_ca": "tls/clients.crt",
    "clients": ["spiffe://cluster.local/ns/gateways/sa/proxy"],
}


def problems(folder: Path, example: Path, ext_proc: dict[str, Any]) -> list[str]:
    document = yaml.safe_load(example.read_text("utf-8"))
    (folder / "policy.yaml").write_text("")
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**document, "ext_proc": ext_proc}), "utf-8")
    try:
        load_settings(path)
    except SettingsInvalid as invalid:
        return [f"{problem.path}: {problem.message}" for problem in invalid.problems]
    return []


def test_with_a_certificate_and_names_it_may_stand_in_a_network(folder: Path, example: Path) -> None:
    assert problems(folder, example, {"address": "0.0.0.0", "port": 9443, "tls": TLS}) == []
    settings = load_settings(folder / "config.yaml").ext_proc
    assert settings == ExtProcSettings(
        port=9443,
        address="0.0.0.0",
        tls=GatewayTls(
            folder / "tls" / "server.crt",
            folder / "tls" / "server.key",
            folder / "tls" / "clients.crt",
            frozenset(TLS["clients"]),
        ),
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_without_tls_it_may_stand_on_loopback(folder: Path, example: Path, address: str) -> None:
    assert problems(folder, example, {"address": address, "port": 9443}) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.1", "::"])
def test_without_tls_it_stands_nowhere_else(folder: Path, example: Path, address: str) -> None:
    (problem,) = problems(folder, example, {"address": address, "port": 9443})
    assert "is not loopback and has no `tls`" in problem


@pytest.mark.parametrize("key", ["client_ca", "clients"])
def test_tls_is_mutual_and_names_who_may_call(folder: Path, example: Path, key: str) -> None:
    tls = {name: value for name, value in TLS.items() if name != key}
    (problem,) = problems(folder, example, {"address": "0.0.0.0", "port": 9443, "tls": tls})
    assert key in problem


def test_the_port_is_nobody_elses(folder: Path, example: Path) -> None:
    taken = yaml.safe_load(example.read_text("utf-8"))["listener"]["port"]
    (problem,) = problems(folder, example, {"port": taken})
    assert f"takes port {taken}" in problem


@pytest.mark.parametrize(
    ("names", "welcome"),
    [
        ([b"gateway.example"], True),
        ([b"other.example", b"gateway.example"], True),
        ([b"gateway.example.evil"], False),
        ([b"evil.gateway.example"], False),
        ([b"GATEWAY.example"], False),
        ([], False),
    ],
)
def test_a_name_counts_when_it_is_the_whole_name(tmp_path: Path, names: list[bytes], welcome: bool) -> None:
    tls = GatewayTls(tmp_path, tmp_path, tmp_path, frozenset({"gateway.example"}))
    callers = GatewayCallers(ExtProcSettings(port=1, tls=tls))
    assert callers.welcome({"x509_subject_alternative_name": names}) is welcome
    assert callers.welcome({"x509_common_name": [b"gateway.example"]}) is False

"""A folder with everything that the example configuration names."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

EXAMPLE = Path(__file__).parents[3] / "envoy" / "config.example.yaml"

Document = dict[str, Any]


@pytest.fixture
def example() -> Path:
    return EXAMPLE


@pytest.fixture(scope="session")
def certificate() -> tuple[bytes, bytes]:
    """A certificate and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return built.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture
def folder(tmp_path: Path, certificate: tuple[bytes, bytes]) -> Path:
    """The files beside the configuration."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "model.key").write_text("model-key\n")
    for at, name in enumerate(("digest.key", "mask.key", "old-mask.key")):
        (tmp_path / "secrets" / name).write_bytes(bytes(range(at, at + 32)))
    (tmp_path / "secrets" / "robots.jwks.json").write_text('{"keys": []}')
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "server.crt").write_bytes(certificate[0])
    (tmp_path / "tls" / "clients.crt").write_bytes(certificate[0])
    (tmp_path / "tls" / "server.key").write_bytes(certificate[1])
    return tmp_path


@pytest.fixture
def minimal() -> Document:
    """Only what a configuration must have."""
    return {
        "apiVersion": "extproc/v1",
        "kind": "Config",
        "deployment": "test",
        "run_directory": "/run/extproc",
        "connections": [{"name": "model", "upstream": "http://127.0.0.1:8000"}],
        "identity": {
            "issuers": [
                {"issuer": "https://idp", "audiences": ["extproc"], "algorithms": ["RS256"], "discovery": True},
            ]
        },
        "policy": "policy.yaml",
        "digest_key": "secrets/digest.key",
        "approvals": {"database": "sqlite:///approvals.db"},
        "audit": {"spool": "spool", "keys": "keys", "store": {"directory": "store"}},
    }


@pytest.fixture
def put(folder: Path) -> Callable[[Document], Path]:
    """Writes a document as `config.yaml` into the folder."""

    def write(document: Document) -> Path:
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        return path

    return write

"""The files by which Envoy finds its certificates; `tests/conformance/envoy/test_envoy_renewal.py` shows what they do."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from extproc.edge.bootstrap import write_secret_configs
from extproc.edge.settings import TlsSettings
from extproc.edge.settings_file import load_settings


def secret(run_directory: Path, name: str) -> dict[str, Any]:
    path = run_directory / f"{name}.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (resource,) = yaml.safe_load(path.read_text("utf-8"))["resources"]
    assert resource["name"] == name
    return dict(resource)


def test_each_is_read_again_when_its_own_folder_changes(
    minimal: dict[str, Any], put: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    where = TlsSettings(Path("/tls/tls.crt"), Path("/tls/tls.key"), Path("/clients/ca.crt"))
    settings = load_settings(put(minimal))
    settings = replace(settings, run_directory=tmp_path / "run", listener=replace(settings.listener, tls=where))
    write_secret_configs(settings)
    certificate = secret(settings.run_directory, "certificate")["tls_certificate"]
    assert certificate == {
        "certificate_chain": {"filename": "/tls/tls.crt"},
        "private_key": {"filename": "/tls/tls.key"},
        "watched_directory": {"path": "/tls"},
    }
    assert secret(settings.run_directory, "client-ca")["validation_context"] == {
        "trusted_ca": {"filename": "/clients/ca.crt"},
        "watched_directory": {"path": "/clients"},
    }

"""Envoy's certificates as files that it watches: a renewed one serves new connections, and no connection is closed.

A certificate that stands in the bootstrap by its file's name is read once, at start. One that a small file of its own
names (SDS by path) is read again when its folder changes as Kubernetes and every careful renewal change it: by a rename
into the folder (`..data` of a mounted Secret, `mv` of a new file).
"""

from pathlib import Path
from typing import Any

import yaml

from extproc.edge.bootstrap_check import write_private
from extproc.edge.bootstrap_classes import core, plain, tls
from extproc.edge.settings import Settings, TlsSettings

CERTIFICATE = "certificate"
CLIENT_CA = "client-ca"
_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def secret_config(settings: Settings, name: str) -> Any:
    """Where Envoy finds the secret of this name."""
    source = core.PathConfigSource(path=str(_path(settings, name)))
    version = core.ApiVersion.V3
    return tls.SdsSecretConfig(
        name=name, sds_config=core.ConfigSource(path_config_source=source, resource_api_version=version)
    )


def write_secret_configs(settings: Settings) -> None:
    """The files that `secret_config` names, in the run directory; they hold paths. Envoy does not start without them.

    Raises OSError.
    """
    where = settings.listener.tls
    if where is None:
        return
    settings.run_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, secret in _secrets(where).items():
        resource = {"@type": _TYPE, **plain(secret)}
        write_private(_path(settings, name), yaml.safe_dump({"resources": [resource]}, sort_keys=False))


def _secrets(settings: TlsSettings) -> dict[str, Any]:
    certificate = tls.TlsCertificate(
        certificate_chain=core.DataSource(filename=str(settings.certificate)),
        private_key=core.DataSource(filename=str(settings.key)),
        watched_directory=_folder(settings.certificate),
    )
    secrets = {CERTIFICATE: tls.Secret(name=CERTIFICATE, tls_certificate=certificate)}
    if settings.client_ca is not None:
        authorities = tls.CertificateValidationContext(
            trusted_ca=core.DataSource(filename=str(settings.client_ca)), watched_directory=_folder(settings.client_ca)
        )
        secrets[CLIENT_CA] = tls.Secret(name=CLIENT_CA, validation_context=authorities)
    return secrets


def _folder(file: Path) -> Any:
    return core.WatchedDirectory(path=str(file.parent))


def _path(settings: Settings, name: str) -> Path:
    return settings.run_directory / f"{name}.yaml"

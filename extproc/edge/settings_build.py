"""The checked values of a configuration file to `Settings`. A key that is left out has the default of its dataclass."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from extproc.approvals.settings import ApprovalSettings, Migrate
from extproc.audit.settings import AuditSettings, DirectoryStore, KmsKeys, LockMode, S3Store
from extproc.core.masking.settings import Side
from extproc.core.policy import Operation
from extproc.core.snapshot import Limits
from extproc.core.units import parse_duration, parse_size
from extproc.edge.identity_settings import ISSUER_FILES, build_dpop, build_issuer
from extproc.edge.settings import (
    ConnectionSettings,
    EnvoySettings,
    ExtProcSettings,
    GatewayTls,
    HealthSettings,
    ListenerSettings,
    MaskKeySettings,
    ProbeSettings,
    Settings,
    TlsSettings,
)
from extproc.edge.settings_console import (
    MFA_CONTEXTS,
    ConsoleSettings,
    KeyPair,
    OidcSettings,
    RoleSettings,
    SamlAttributes,
    SamlSettings,
    TokenSettings,
)
from extproc.edge.settings_notify import build_channels
from extproc.edge.settings_telemetry import build_telemetry

Values = Mapping[str, Any]


def absolute(folder: Path, name: str) -> Path:
    """`name` as the file means it: relative to `folder`, `..` taken out, symlinks left as they are."""
    return Path(os.path.normpath(folder / name))


def build_settings(values: Values, folder: Path) -> Settings:
    """`values` have passed the schema and every check; `folder` is absolute. `approvals.database` is there."""
    approvals = values["approvals"]
    limits = _limits(values.get("limits", {}), Limits())
    return Settings(
        deployment=values["deployment"],
        run_directory=absolute(folder, values["run_directory"]),
        workers=values.get("workers", 1),
        drain_seconds=parse_duration(values.get("drain", "30s")),
        health=HealthSettings(**values["health"]) if "health" in values else None,
        listener=_listener(values.get("listener", {}), folder),
        envoy=_envoy(values.get("envoy", {}), folder),
        connections=tuple(_connection(each, folder, limits) for each in values["connections"]),
        issuers=tuple(
            build_issuer(each, {key: str(absolute(folder, each[key])) for key in ISSUER_FILES if key in each})
            for each in values["identity"]["issuers"]
        ),
        dpop=build_dpop(values["identity"].get("dpop", {})),
        dpop_nonce=values["identity"].get("dpop", {}).get("nonce", False),
        trust_domains=tuple(values["identity"].get("spiffe", {}).get("trust_domains", ())),
        policy_file=absolute(folder, values["policy"]),
        digest_key_file=absolute(folder, values["digest_key"]),
        mask_keys=tuple(
            MaskKeySettings(each["id"], absolute(folder, each["file"])) for each in values.get("mask_keys", ())
        ),
        approvals=ApprovalSettings(
            database=_database(approvals["database"], folder),
            migrate=Migrate(approvals.get("migrate", Migrate.AUTOMATIC.value)),
            channels=build_channels(approvals.get("notify", []), lambda name: absolute(folder, name)),
            **_seconds(approvals, "poll"),
        ),
        approvals_url=approvals.get("url", ""),
        audit=_audit(values["audit"], values["deployment"], folder),
        telemetry=build_telemetry(values.get("telemetry", {}), lambda name: absolute(folder, name)),
        limits=limits,
        console=_console(values["console"], folder) if "console" in values else None,
        ext_proc=_ext_proc(values["ext_proc"], folder) if "ext_proc" in values else None,
    )


def _seconds(values: Values, *keys: str) -> dict[str, Any]:
    """Of `keys` those that are given, as `<key>_seconds`."""
    return {f"{key}_seconds": parse_duration(values[key]) for key in keys if key in values}


def _bytes(values: Values, *keys: str) -> dict[str, Any]:
    """Of `keys` those that are given, as `<key>_bytes`."""
    return {f"{key}_bytes": parse_size(values[key]) for key in keys if key in values}


def _plain(values: Values, *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _path(folder: Path, values: Values, key: str) -> Path | None:
    return absolute(folder, values[key]) if key in values else None


def _listener(values: Values, folder: Path) -> ListenerSettings:
    tls = values.get("tls")
    if tls is None:
        return ListenerSettings(**values)
    settings = TlsSettings(
        certificate=absolute(folder, tls["certificate"]),
        key=absolute(folder, tls["key"]),
        client_ca=_path(folder, tls, "client_ca"),
    )
    return ListenerSettings(**_plain(values, "address", "port"), tls=settings)


def _ext_proc(values: Values, folder: Path) -> ExtProcSettings:
    tls = values.get("tls")
    if tls is None:
        return ExtProcSettings(**values)
    files = {key: absolute(folder, tls[key]) for key in ("certificate", "key", "client_ca")}
    return ExtProcSettings(
        **_plain(values, "address", "port"), tls=GatewayTls(**files, clients=frozenset(tls["clients"]))
    )


def _envoy(values: Values, folder: Path) -> EnvoySettings:
    log = values.get("access_log", "")
    return EnvoySettings(
        access_log=str(absolute(folder, log)) if log else "",
        **_plain(values, "admin_port", "status_address", "status_port", "ends_with_service", "concurrency"),
        **_seconds(values, "max_hold"),
    )


def _connection(values: Values, folder: Path, limits: Limits) -> ConnectionSettings:
    opaque = values.get("opaque", {})
    return ConnectionSettings(
        credential_file=_path(folder, values, "credential_file"),
        hosts=tuple(values.get("hosts", ())),
        models=tuple(values.get("models", ())),
        limits=_limits(values["limits"], limits) if "limits" in values else None,
        probe=ProbeSettings(**values.get("probe", {})),
        opaque=frozenset((Operation(name), Side(side)) for name, sides in opaque.items() for side in sides),
        **_plain(values, "name", "upstream", "path_prefix", "credential_header", "dialect", "model_map", "only_mapped"),
    )


def _database(text: str, folder: Path) -> str:
    url = make_url(text)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(absolute(folder, url.database)))
    return url.render_as_string(hide_password=False)


def _audit(values: Values, deployment: str, folder: Path) -> AuditSettings:
    sizes = {"segment": "segment_size", "max_spool": "max_spool", "reserve": "reserve"}
    times = {"segment": "segment_interval", "heartbeat": "heartbeat", "max_lag": "max_lag"}
    store = _store(values["store"], folder)
    kept = values.get("content_retention", "")
    period: dict[str, Any] = {"cryptoperiod_days": _days(values["cryptoperiod"])} if "cryptoperiod" in values else {}
    return AuditSettings(
        deployment=deployment,
        spool=absolute(folder, values["spool"]),
        keys=absolute(folder, values["keys"]),
        store=store,
        content_retention_days=_days(kept) if kept else store.retention_days,
        shredders=tuple(values.get("shredders", ())),
        sealed_key=_path(folder, values.get("sealed_originals", {}), "public_key"),
        openers=tuple(values.get("openers", ())),
        kms=KmsKeys(**values["kms"]) if "kms" in values else None,
        **period,
        **_plain(values, "refuse_unsynchronised_clock"),
        **_bytes({name: values[key] for name, key in sizes.items() if key in values}, *sizes),
        **_seconds({name: values[key] for name, key in times.items() if key in values}, *times),
    )


def _store(values: Values, folder: Path) -> DirectoryStore | S3Store:
    if "directory" in values:
        return DirectoryStore(absolute(folder, values["directory"]))
    s3 = values["s3"]
    given = _plain(s3, "bucket", "prefix", "endpoint_url", "region", "keys_bucket", "accept_no_object_lock")
    given |= {f"{key}_days": _days(s3[key]) for key in ("retention", "max_retention") if key in s3}
    if "content_mode" in s3:
        given["content_mode"] = LockMode(s3["content_mode"])
    return S3Store(**given)


def _days(text: str) -> int:
    return int(text.removesuffix("d"))


def _limits(values: Values, others: Limits) -> Limits:
    """`others`, but for what is given."""
    return replace(
        others,
        **_plain(values, "max_channels", "max_json_depth", "max_scan_steps"),
        **_bytes(values, "max_header", "max_body", "max_response", "max_event", "max_unreleased"),
        **_seconds(values, "hold_margin"),
    )


def _console(values: Values, folder: Path) -> ConsoleSettings:
    saml, token, tls, url = values.get("saml"), values.get("token"), values.get("tls"), values["url"].rstrip("/")
    return ConsoleSettings(
        url=url,
        keys=absolute(folder, values["keys"]),
        saml=_saml(saml, url, folder) if saml else None,
        oidc=_oidc(values["oidc"], folder) if "oidc" in values else None,
        roles=RoleSettings(**{role: tuple(groups) for role, groups in values.get("roles", {}).items()}),
        tls=_key_pair(tls, folder) if tls else None,
        token=_token(token, url) if token else None,
        proxies=tuple(ipaddress.ip_network(each) for each in values.get("proxies", ())),
        **_plain(values, "address", "port", "metrics_port", "grpc_port"),
        **_whole_seconds(values, session="session", idle="idle"),
    )


def _saml(saml: Values, url: str, folder: Path) -> SamlSettings:
    return SamlSettings(
        metadata=absolute(folder, saml["metadata"]),
        entity_id=saml.get("entity_id", f"{url}/saml/metadata"),
        mfa_contexts=tuple(saml.get("mfa_contexts", MFA_CONTEXTS)),
        attributes=SamlAttributes(**saml.get("attributes", {})),
        signing=_key_pair(saml["signing"], folder) if "signing" in saml else None,
        **_plain(saml, "allow_unsolicited"),
        **_whole_seconds(saml, skew="clock_skew"),
    )


def _oidc(oidc: Values, folder: Path) -> OidcSettings:
    lists: dict[str, Any] = {key: tuple(oidc[key]) for key in ("scopes", "audiences") if key in oidc}
    secret = _path(folder, oidc, "client_secret_file")
    return OidcSettings(oidc["issuer"], oidc["client_id"], client_secret_file=secret, **lists)


def _key_pair(values: Values, folder: Path) -> KeyPair:
    return KeyPair(absolute(folder, values["certificate"]), absolute(folder, values["key"]))


def _token(values: Values, url: str) -> TokenSettings:
    return TokenSettings(
        issuer=values.get("issuer", url),
        audience=values["audience"],
        **_whole_seconds(values, lifetime="lifetime", rotate="rotate_after", announce="announce"),
    )


def _whole_seconds(values: Values, **keys: str) -> dict[str, Any]:
    """Of the keys those that are given, each as `<name>_seconds`."""
    return {f"{name}_seconds": int(parse_duration(values[key])) for name, key in keys.items() if key in values}

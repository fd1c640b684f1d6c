"""The configuration file: the example in full, the defaults, and every problem with its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.approvals.settings import ApprovalSettings
from extproc.audit.settings import NO_OBJECT_LOCK_SENTENCE, AuditSettings, DirectoryStore, KmsKeys, LockMode, S3Store
from extproc.core.document import Problem
from extproc.core.dpop import DpopTerms
from extproc.core.issuer import Issuer, IssuerKind, ServiceAccounts
from extproc.core.masking.settings import Side
from extproc.core.policy import Operation
from extproc.core.schema import load_schema
from extproc.core.snapshot import Limits
from extproc.edge.settings import (
    ConnectionSettings,
    EnvoySettings,
    ExtProcSettings,
    GatewayTls,
    HealthSettings,
    ListenerSettings,
    MaskKeySettings,
    Settings,
    TlsSettings,
)
from extproc.edge.settings_file import SettingsInvalid, load_settings
from extproc.edge.settings_telemetry import TelemetrySettings

Put = Callable[[dict[str, Any]], Path]


def problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(SettingsInvalid) as invalid:
        load_settings(path)
    return invalid.value.problems


def set_at(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """`document` with `value` at a path like `audit.store`; what is missing on the way is made."""
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    here: Any = document
    for step in steps:
        here = here[step] if isinstance(step, int) else here.setdefault(step, {})
    here[last] = value
    return document


def test_the_example_means_what_it_says(example: Path, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_bytes(example.read_bytes())
    assert load_settings(path) == Settings(
        deployment="example",
        run_directory=folder / "run",
        workers=1,
        drain_seconds=30.0,
        listener=ListenerSettings(
            tls=TlsSettings(folder / "tls/server.crt", folder / "tls/server.key", folder / "tls/clients.crt")
        ),
        ext_proc=ExtProcSettings(
            port=9443,
            tls=GatewayTls(
                folder / "tls/server.crt",
                folder / "tls/server.key",
                folder / "tls/clients.crt",
                frozenset({"gateway.envoy-gateway-system.svc"}),
            ),
        ),
        envoy=EnvoySettings(),
        connections=(
            ConnectionSettings(
                "chat",
                "http://127.0.0.1:8000",
                credential_file=folder / "secrets/model.key",
                path_prefix="/",
                hosts=("models.example.org", "*.models.example.org"),
                models=("llama-*", "gpt-4o"),
                dialect="vllm",
                limits=Limits(
                    max_body_bytes=8 * 2**20,
                    max_response_bytes=8 * 2**20,
                    max_event_bytes=512 * 1024,
                    max_channels=64,
                    max_json_depth=32,
                ),
                opaque=frozenset({(Operation.EMBEDDINGS, Side.RESPONSE)}),
                model_map={"gpt-4o": "llama-3-70b"},
            ),
            ConnectionSettings("embeddings", "http://127.0.0.1:8001", "/embed"),
        ),
        issuers=(
            Issuer(
                "https://login.example.org/realms/main",
                ("extproc",),
                ("RS256", "ES256", "EdDSA"),
                discovery=True,
                token_types=("at+jwt", "jwt", ""),
                authorized_parties=("chat-ui", "build-tools"),
                service_accounts=ServiceAccounts(("idtyp",), ("app",)),
                mfa_classes=frozenset({"phr", "phrh"}),
            ),
            Issuer("build-robots", ("extproc",), ("EdDSA",), jwks_file=str(folder / "secrets/robots.jwks.json")),
        ),
        policy_file=folder / "policy.yaml",
        digest_key_file=folder / "secrets/digest.key",
        mask_keys=(MaskKeySettings("k1", folder / "secrets/mask.key"),),
        approvals=ApprovalSettings(f"sqlite:///{folder}/approvals.db"),
        health=HealthSettings("127.0.0.1", 9465),
        approvals_url="https://console.example.org/approvals/{id}",
        audit=AuditSettings("example", folder / "spool", folder / "keys", DirectoryStore(folder / "store")),
        telemetry=TelemetrySettings(),
        limits=Limits(),
        dpop=DpopTerms(external_urls=("https://models.example.org",)),
        trust_domains=("example.org",),
    )


def test_the_example_shows_every_key_that_the_schema_knows(example: Path) -> None:
    document = yaml.safe_load(example.read_text("utf-8"))
    later = {"$ref": "#/$defs/later"}
    shown_otherwise = {
        "audit.store.s3",
        "audit.kms",
        "audit.sealed_originals",
        "identity.issuers.jwks_url",
        "identity.issuers.jwks_file",
        "identity.issuers.ca_file",
        "identity.issuers.token_file",
        "approvals.database_file",
        "approvals.notify",
        "console",
        "connections.opaque",
        "connections.probe",
        *(f"telemetry.{key}" for key in ("otlp_protocol", "otlp_ca_file", "otlp_headers_file", "sampling")),
    }

    def missing(schema: dict[str, Any], value: Any, at: str) -> list[str]:
        if schema.get("type") == "array":
            return missing(schema["items"], value[0], at) if "properties" in schema["items"] else []
        found = []
        for key, inner in schema.get("properties", {}).items():
            place = f"{at}.{key}".removeprefix(".")
            if inner == later or place in shown_otherwise:
                continue
            found += [place] if key not in value else missing(inner, value[key], place)
        return found

    assert missing(load_schema("config"), document, "") == []


def test_what_is_left_out_has_the_default(minimal: dict[str, Any], put: Put) -> None:
    settings = load_settings(put(minimal))
    assert settings.listener == ListenerSettings()
    assert settings.envoy == EnvoySettings()
    assert settings.limits == Limits()
    assert (settings.workers, settings.drain_seconds) == (1, 30.0)


KMS_KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

GOOD: list[tuple[str, object, Callable[[Settings], object], object]] = [
    ("workers", 64, lambda s: s.workers, 64),
    ("drain", "0s", lambda s: s.drain_seconds, 0.0),
    ("drain", "2.5s", lambda s: s.drain_seconds, 2.5),
    ("envoy.max_hold", "1h", lambda s: s.envoy.max_hold_seconds, 3600.0),
    ("envoy.access_log", "/dev/stdout", lambda s: s.envoy.access_log, "/dev/stdout"),
    ("limits.max_body", "1GiB", lambda s: s.limits.max_body_bytes, 1 << 30),
    ("limits.max_channels", 3, lambda s: s.limits.max_channels, 3),
    ("limits.max_scan_steps", 100000, lambda s: s.limits.max_scan_steps, 100000),
    ("listener", {"address": "::", "port": 443}, lambda s: s.listener, ListenerSettings("::", 443)),
    ("telemetry.metrics_port", 9000, lambda s: s.telemetry.metrics_port, 9000),
    ("health", {"address": "0.0.0.0", "port": 9465}, lambda s: s.health, HealthSettings("0.0.0.0", 9465)),
    ("envoy.status_port", 9902, lambda s: (s.envoy.status_address, s.envoy.status_port), ("127.0.0.1", 9902)),
    ("envoy.status_address", "::", lambda s: (s.envoy.status_address, s.envoy.status_port), ("::", 0)),
    ("approvals.poll", "50ms", lambda s: s.approvals.poll_seconds, 0.05),
    (
        "approvals.database",
        "postgresql+psycopg://u:p@db/approvals",
        lambda s: s.approvals.database,
        "postgresql+psycopg://u:p@db/approvals",
    ),
    ("audit.segment_size", "1MiB", lambda s: s.audit.segment_bytes, 1 << 20),
    ("audit.segment_interval", "250ms", lambda s: s.audit.segment_seconds, 0.25),
    ("audit.refuse_unsynchronised_clock", True, lambda s: s.audit.refuse_unsynchronised_clock, True),
    ("audit.max_lag", "1h", lambda s: s.audit.max_lag_seconds, 3600.0),
    ("audit.cryptoperiod", "90d", lambda s: s.audit.cryptoperiod_days, 90),
    (
        "audit.kms",
        {"signing_key": KMS_KEY, "content_key": KMS_KEY.replace("key/", "alias/")},
        lambda s: s.audit.kms,
        KmsKeys(KMS_KEY, KMS_KEY.replace("key/", "alias/")),
    ),
    (
        "audit.store",
        {
            "s3": {
                "bucket": "audit-bucket",
                "prefix": "a/b",
                "endpoint_url": "http://127.0.0.1:9000",
                "retention": "365d",
            }
        },
        lambda s: s.audit.store,
        S3Store("audit-bucket", "a/b", "http://127.0.0.1:9000", "", 365),
    ),
    (
        "audit.store",
        {
            "s3": {
                "bucket": "audit-bucket",
                "keys_bucket": "audit-keys",
                "max_retention": "400d",
                "content_mode": "COMPLIANCE",
                "accept_no_object_lock": "these objects can be deleted",
            }
        },
        lambda s: s.audit.store,
        S3Store(
            "audit-bucket",
            max_retention_days=400,
            content_mode=LockMode.COMPLIANCE,
            keys_bucket="audit-keys",
            accept_no_object_lock=NO_OBJECT_LOCK_SENTENCE,
        ),
    ),
    (
        "identity.issuers.0.claims",
        {"groups": ["realm_access", "roles"]},
        lambda s: s.issuers[0].claims.groups,
        (("realm_access", "roles"),),
    ),
    (
        "identity.issuers.0.claims",
        {"groups": [["groups"], ["https://idp/claims", "a.b"]]},
        lambda s: s.issuers[0].claims.groups,
        (("groups",), ("https://idp/claims", "a.b")),
    ),
    ("identity.issuers.0.ca_file", "/dev/null", lambda s: s.issuers[0].ca_file, "/dev/null"),
    ("identity.issuers.0.token_file", "/dev/null", lambda s: s.issuers[0].token_file, "/dev/null"),
    ("identity.issuers.0.kind", "kubernetes", lambda s: s.issuers[0].kind, IssuerKind.KUBERNETES),
    ("identity.issuers.0.token_types", ["at+jwt"], lambda s: s.issuers[0].token_types, ("at+jwt",)),
    ("identity.issuers.0.groups_overage", "ignore", lambda s: s.issuers[0].groups_overage, "ignore"),
    ("identity.issuers.0.mfa", {"methods": ["hwk"]}, lambda s: s.issuers[0].mfa_methods, frozenset({"hwk"})),
    ("identity.dpop", {"max_age": "5m", "nonce": True}, lambda s: (s.dpop, s.dpop_nonce), (DpopTerms((), 300), True)),
    ("identity.issuers.0.leeway", "0s", lambda s: s.issuers[0].leeway_seconds, 0),
    ("connections.0.path_prefix", "/a/b.c-d", lambda s: s.connections[0].path_prefix, "/a/b.c-d"),
]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: f"{case[0]}={str(case[1])[:20]}")
def test_each_setting_arrives(case: tuple[str, object, Any, object], minimal: dict[str, Any], put: Put) -> None:
    path, value, read, expected = case
    assert read(load_settings(put(set_at(minimal, path, value)))) == expected


BAD: list[tuple[str, object, str, str]] = [
    ("workers", 0, "workers", "at least 1"),
    ("workers", 65, "workers", "at most 64"),
    ("workers", True, "workers", "must be a whole number"),
    ("wrokers", 1, "wrokers", "unknown key"),
    ("notifications", {}, "notifications", "not supported by this version"),
    ("drain", 30, "drain", "must be a duration"),
    ("drain", "30 s", "drain", "must be a duration"),
    ("run_directory", "/" + "r" * 90, "run_directory", "bytes"),
    ("listener.port", 0, "listener.port", "at least 1"),
    ("listener.address", "localhost", "listener.address", "IP address"),
    ("listener.tls", {"certificate": "tls/none", "key": "tls/server.key"}, "listener.tls.certificate", "no such file"),
    ("listener.tls", {"certificate": "tls/server.crt"}, "listener.tls.key", "is missing"),
    (
        "listener.tls",
        {"certificate": "tls/server.crt", "key": "secrets/model.key"},
        "listener.tls.key",
        "belong together",
    ),
    (
        "listener.tls",
        {"certificate": "tls/server.crt", "key": "tls/server.key", "client_ca": "secrets/model.key"},
        "listener.tls.client_ca",
        "PEM",
    ),
    ("envoy.admin_port", 8080, "envoy.admin_port", "takes port 8080, which `listener.port` has"),
    ("telemetry.metrics_port", 65536, "telemetry.metrics_port", "at most 65535"),
    ("telemetry.otlp_endpoint", "127.0.0.1:4317", "telemetry.otlp_endpoint", "http://host:port"),
    ("envoy.max_hold", "5s", "envoy.max_hold", "hold_margin"),
    ("limits.max_body", "16MB", "limits.max_body", "must be a size"),
    ("limits.max_body", "0B", "limits.max_body", "more than nothing"),
    ("connections", [], "connections", "must not be empty"),
    ("connections.0.upstream", "http://host", "connections[0].upstream", "http://host:port"),
    ("connections.0.upstream", "https://host:1", "connections[0].upstream", "http://host:port"),
    ("connections.0.upstream", "http://u:p@host:1", "connections[0].upstream", "http://host:port"),
    ("connections.0.upstream", "http://host:1/v1", "connections[0].upstream", "http://host:port"),
    ("connections.0.upstream", "http://host:99999", "connections[0].upstream", "http://host:port"),
    *(
        ("connections.0.path_prefix", prefix, "connections[0].path_prefix", "must be `/` or like")
        for prefix in ("", "a", "/a/", "//", "/a//b", "/a/../b", "/.", "/a?b", "/%61", "/a b", "/a\n")
    ),
    ("connections.0.credential_file", "secrets/none", "connections[0].credential_file", "no such file"),
    ("connections.0.credential_file", "secrets", "connections[0].credential_file", "is a directory"),
    ("connections.0.credential_header", "x-key", "connections[0].credential_header", "no effect without"),
    ("identity.issuers", [], "identity.issuers", "must not be empty"),
    ("identity.issuers.0.audiences", [], "identity.issuers[0].audiences", "must not be empty"),
    ("identity.issuers.0.audiences", [""], "identity.issuers[0].audiences[0]", "must not be empty"),
    ("identity.issuers.0.algorithms", [], "identity.issuers[0].algorithms", "must not be empty"),
    ("identity.issuers.0.algorithms", ["HS256"], "identity.issuers[0].algorithms[0]", "not an asymmetric"),
    ("identity.issuers.0.algorithms", ["none"], "identity.issuers[0].algorithms[0]", "not an asymmetric"),
    ("identity.issuers.0.discovery", False, "identity.issuers[0]", "exactly one"),
    ("identity.issuers.0.jwks_url", "https://idp/jwks", "identity.issuers[0]", "exactly one"),
    ("identity.issuers.0.issuer", "http://idp", "identity.issuers[0].issuer", "neither https nor on loopback"),
    ("identity.issuers.0.issuer", "https://idp|x", "identity.issuers[0].issuer", "must not hold `|`"),
    ("identity.issuers.0.leeway", "1h", "identity.issuers[0].leeway", "at most 300s"),
    ("identity.issuers.0.leeway", "500ms", "identity.issuers[0].leeway", "whole seconds"),
    ("identity.issuers.0.refresh", "0s", "identity.issuers[0].refresh", "more than nothing"),
    ("identity.issuers.0.ca_file", "no.pem", "identity.issuers[0].ca_file", "cannot be read"),
    ("identity.issuers.0.token_file", "no.token", "identity.issuers[0].token_file", "cannot be read"),
    ("identity.issuers.0.kind", "saml", "identity.issuers[0].kind", "is not a kind of issuer"),
    (
        "identity.issuers.0.token_types",
        ["id"],
        "identity.issuers[0].token_types[0]",
        "is not a type of an access token",
    ),
    (
        "identity.issuers.0.groups_overage",
        "fetch",
        "identity.issuers[0].groups_overage",
        "is not a way to take a token",
    ),
    ("identity.issuers.0.service_accounts", {"claim": ["a"]}, "identity.issuers[0].service_accounts.values", "missing"),
    ("identity.issuers.0.mfa", {}, "identity.issuers[0].mfa", "must not be empty"),
    ("identity.issuers.0.authorized_parties", [], "identity.issuers[0].authorized_parties", "must not be empty"),
    (
        "identity.issuers.0.claims",
        {"groups": ["a", ["b"]]},
        "identity.issuers[0].claims.groups",
        "mixes names and paths",
    ),
    (
        "identity.issuers.0.claims",
        {"groups": [7]},
        "identity.issuers[0].claims.groups[0]",
        "must be the name of a claim",
    ),
    ("identity.dpop", {"max_age": "11m"}, "identity.dpop.max_age", "at most 600s"),
    (
        "identity.dpop",
        {"external_urls": ["models.example"]},
        "identity.dpop.external_urls[0]",
        "must be `https://host`",
    ),
    ("identity.dpop", {"external_urls": ["https://u:p@h"]}, "identity.dpop.external_urls[0]", "must be `https://host`"),
    ("identity.spiffe", {"trust_domains": ["Example"]}, "identity.spiffe.trust_domains[0]", "must be a trust domain"),
    ("identity.spiffe", {"trust_domains": ["example.org"]}, "identity.spiffe", "needs `listener.tls.client_ca`"),
    ("identity.issuers.0.claims", {"groups": []}, "identity.issuers[0].claims.groups", "must not be empty"),
    ("digest_key", "secrets/model.key", "digest_key", "shorter than 32 bytes"),
    ("mask_keys", [{"id": "k1", "file": "secrets/digest.key"}], "mask_keys[0].file", "the same key as `digest_key`"),
    ("mask_keys", [{"id": "key", "file": "secrets/mask.key"}], "mask_keys[0].id", "such as `k1`"),
    ("mask_keys", [{"id": "k1", "file": "secrets/model.key"}], "mask_keys[0].file", "shorter than 32 bytes"),
    (
        "mask_keys",
        [{"id": "k1", "file": f"secrets/{name}.key"} for name in ("mask", "old-mask")],
        "mask_keys[1].id",
        "already",
    ),
    ("health", {"address": "127.0.0.1"}, "health.port", "missing"),
    ("health", {"port": 8080}, "health.port", "takes port 8080, which `listener.port` has"),
    ("health", {"address": "localhost", "port": 1}, "health.address", "must be an IP address"),
    ("envoy.status_port", 8080, "envoy.status_port", "takes port 8080, which `listener.port` has"),
    ("envoy.status_address", "pod", "envoy.status_address", "must be an IP address"),
    ("approvals", {"migrate": "manual"}, "approvals", "exactly one of `database` and `database_file`"),
    ("approvals.database", "sqlite://", "approvals.database", "sqlite:///FILE"),
    ("approvals.database", "sqlite:///:memory:", "approvals.database", "sqlite:///FILE"),
    ("approvals.database", "mysql://u:hunter2@h/d", "approvals.database", "sqlite:///FILE"),
    ("approvals.database", "approvals.db", "approvals.database", "sqlite:///FILE"),
    ("approvals.url", "https://console/approvals", "approvals.url", "`{id}`"),
    ("approvals.url", "javascript:{id}", "approvals.url", "`{id}`"),
    ("audit.keys", "spool/keys", "audit.keys", "outside of `audit.spool`"),
    ("audit.store", {"directory": "."}, "audit.store", "outside of"),
    ("audit.store", {}, "audit.store", "must not be empty"),
    ("audit.store", {"directory": "d", "s3": {"bucket": "bucket"}}, "audit.store", "only 1"),
    ("audit.store", {"s3": {"bucket": "bucket", "retention": "364d"}}, "audit.store.s3.retention", "at least 365d"),
    ("audit.store", {"s3": {"bucket": "bucket", "retention": 400}}, "audit.store.s3.retention", "whole days"),
    ("audit.cryptoperiod", "0d", "audit.cryptoperiod", "at least 1d"),
    ("audit.cryptoperiod", "1096d", "audit.cryptoperiod", "at most 1095d"),
    ("audit.cryptoperiod", "12h", "audit.cryptoperiod", "whole days"),
    ("audit.kms", {"signing_key": KMS_KEY}, "audit.kms.content_key", "missing"),
    ("audit.kms", {"signing_key": "1234", "content_key": KMS_KEY}, "audit.kms.signing_key", "the ARN of"),
    (
        "audit.kms",
        {"signing_key": KMS_KEY, "content_key": KMS_KEY, "endpoint_url": "ftp://x"},
        "audit.kms.endpoint_url",
        "https://host",
    ),
    *(
        ("audit.store", {"s3": {"bucket": "bucket", **more}}, f"audit.store.s3.{place}", message)
        for more, place, message in (
            ({"retention": "1201d"}, "retention", "more than `max_retention`"),
            ({"max_retention": "399d"}, "max_retention", "more than `max_retention`"),
            ({"keys_bucket": "bucket"}, "keys_bucket", "the same as `bucket`"),
            ({"content_mode": "governance"}, "content_mode", "not known"),
            ({"accept_no_object_lock": "yes"}, "accept_no_object_lock", NO_OBJECT_LOCK_SENTENCE),
            ({"accept_no_object_lock": True}, "accept_no_object_lock", "text"),
        )
    ),
    ("audit.reserve", "1GiB", "audit.reserve", "not less than"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]}={str(case[1])[:30]!r}")
def test_each_wrong_setting_is_told_with_its_place(
    case: tuple[str, object, str, str], minimal: dict[str, Any], put: Put
) -> None:
    path, value, place, message = case
    if place == "audit.reserve":
        set_at(minimal, "audit.max_spool", "1GiB")
    found = problems(put(set_at(minimal, path, value)))
    assert {problem.path for problem in found} == {place}
    assert message in found[0].message
    assert found[0].line > 1
    assert "hunter2" not in str(found)


def test_the_url_of_the_approval_store_may_stand_in_a_file(minimal: dict[str, Any], put: Put, folder: Path) -> None:
    minimal["approvals"] = {"database_file": "secrets/database.url"}
    secret = folder / "secrets" / "database.url"
    secret.write_text("postgresql+psycopg://u:hunter2@db/approvals\n", "ascii")
    settings = load_settings(put(minimal))
    assert settings.approvals.database == "postgresql+psycopg://u:hunter2@db/approvals"
    assert "hunter2" not in repr(settings)
    secret.write_text("sqlite:///approvals.db", "ascii")
    assert load_settings(put(minimal)).approvals.database == f"sqlite:///{folder}/approvals.db"
    minimal["approvals"]["database"] = "sqlite:///other.db"
    assert [problem.path for problem in problems(put(minimal))] == ["approvals"]


@pytest.mark.parametrize("text", ["", "mysql://u:hunter2@db/a", "sqlite://", "hunter2\nhunter2\n", None])
def test_a_file_without_a_url_of_the_approval_store_is_refused_and_not_quoted(
    text: str | None, minimal: dict[str, Any], put: Put, folder: Path
) -> None:
    minimal["approvals"] = {"database_file": "secrets/database.url"}
    if text is not None:
        (folder / "secrets" / "database.url").write_text(text, "ascii")
    found = problems(put(minimal))
    assert [problem.path for problem in found] == ["approvals.database_file"]
    assert "hunter2" not in str(found)


def test_names_prefixes_and_issuers_are_unique(minimal: dict[str, Any], put: Put) -> None:
    minimal["connections"] *= 2
    minimal["identity"]["issuers"] *= 2
    path = put(minimal)
    path.write_text(yaml.dump(minimal, Dumper=NoAliases))
    assert {problem.path for problem in problems(path)} == {
        "connections[1].name",
        "connections[1].path_prefix",
        "identity.issuers[1].issuer",
    }


class NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def test_all_problems_come_at_once(minimal: dict[str, Any], put: Put) -> None:
    chosen = {path: case for case in BAD for path in [case[0].split(".")[0]] if path not in ("connections", "identity")}
    for path, value, _, _ in chosen.values():
        set_at(minimal, path, value)
    del minimal["deployment"]
    found = {problem.path for problem in problems(put(minimal))}
    assert found >= {case[2] for case in chosen.values() if case[0] != "audit.reserve"} | {"deployment"}


def test_paths_are_resolved_against_the_folder_whose_name_was_given(
    minimal: dict[str, Any], put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ConfigMap's files are symlinks into a folder with another name; what stands beside them is meant."""
    real = put(minimal)
    data = tmp_path / "..data"
    data.mkdir()
    real.rename(data / "config.yaml")
    real.symlink_to("..data/config.yaml")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("config.yaml"))
    assert settings.policy_file == tmp_path / "policy.yaml"
    assert settings == replace(settings, digest_key_file=tmp_path / "secrets/digest.key")


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "none.yaml")[0].message
    assert "is a directory" in problems(tmp_path)[0].message
    (tmp_path / "empty.yaml").touch()
    assert problems(tmp_path / "empty.yaml")[0].message == "the document is empty"


def test_the_longest_socket_path_counts(minimal: dict[str, Any], put: Put) -> None:
    directory = "/" + "r" * 84
    assert load_settings(put(minimal | {"run_directory": directory, "workers": 10})).workers == 10
    assert problems(put(minimal | {"run_directory": directory, "workers": 11}))[0].path == "run_directory"


@pytest.mark.parametrize("key", ["authorized_parties", "service_accounts", "mfa", "groups_overage", "claims"])
def test_what_means_nothing_for_service_accounts_is_refused(key: str, minimal: dict[str, Any], put: Put) -> None:
    """A control that would be inert is an error."""
    values: dict[str, object] = {
        "authorized_parties": ["a"],
        "service_accounts": {"claim": ["a"], "values": ["b"]},
        "mfa": {"methods": ["otp"]},
        "groups_overage": "ignore",
        "claims": {"subject": ["sub"]},
    }
    minimal["identity"]["issuers"][0] |= {"kind": "kubernetes", key: values[key]}
    (problem,) = problems(put(minimal))
    assert "means nothing for `kind: kubernetes`" in problem.message
    assert key in problem.path


@pytest.mark.parametrize("key", ["ca_file", "token_file"])
def test_a_file_for_fetching_is_refused_where_nothing_is_fetched(key: str, minimal: dict[str, Any], put: Put) -> None:
    issuer = minimal["identity"]["issuers"][0] | {"jwks_file": "secrets/robots.jwks.json", key: "secrets/digest.key"}
    del issuer["discovery"]
    minimal["identity"]["issuers"] = [issuer]
    (problem,) = problems(put(minimal))
    assert (problem.path, problem.message) == (f"identity.issuers[0].{key}", "means nothing beside `jwks_file`")

"""What the README shows is what the console does: its snippets are parsed, its tables are the code's."""

import base64
import ipaddress
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import extproc.console
from extproc.console.oidc_codes import OIDC_SENTENCES
from extproc.console.roles import MAY
from extproc.console.saml_codes import SENTENCES
from extproc.core.schema import load_schema
from extproc.edge.settings_console import (
    ConsoleSettings,
    KeyPair,
    OidcSettings,
    RoleSettings,
    SamlAttributes,
    SamlSettings,
    TokenSettings,
)
from extproc.edge.settings_file import SettingsInvalid, load_settings
from tests.audit.configured import write_config
from tests.console.idp import ec_keys
from tests.console.live import write_pem

README = (Path(extproc.console.__file__).parent / "README.md").read_text("utf-8")


def snippets() -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]


def test_the_configuration_means_what_it_says(tmp_path: Path) -> None:
    console, identity = snippets()
    for name in ("tls", "saml"):
        (tmp_path / name).mkdir()
        write_pem(tmp_path / name, "console", ec_keys())
    config = write_config(tmp_path, **identity, **console)
    settings = load_settings(config)
    assert settings.issuers[1].jwks_url == "https://console.example.org/jwks.json"
    url = "https://console.example.org"
    assert settings.console == ConsoleSettings(
        url=url,
        metrics_port=9470,
        grpc_port=8091,
        oidc=OidcSettings(
            "https://login.example.org", "extproc-console", tmp_path / "oidc.secret",
            ("openid", "profile", "email", "groups"), ("extproc",),
        ),
        roles=RoleSettings(("staff",), ("approvers", "team-leads"), ("audit",), ("platform",)),
        proxies=(ipaddress.ip_network("127.0.0.1"),),
        keys=tmp_path / "console-keys",
        saml=SamlSettings(
            tmp_path / "idp-metadata.xml",
            f"{url}/saml/metadata",
            attributes=SamlAttributes(
                "employeeNumber", "displayName", "groups", "organisation",
                "http://schemas.microsoft.com/claims/authnmethodsreferences",
            ),
            signing=KeyPair(tmp_path / "saml" / "console.crt", tmp_path / "saml" / "console.key"),
            mfa_contexts=("https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn"),
        ),
        tls=KeyPair(tmp_path / "tls" / "console.crt", tmp_path / "tls" / "console.key"),
        token=TokenSettings(url, "extproc"),
    )  # fmt: skip


def test_the_configuration_shows_every_key() -> None:
    def missing(schema: dict[str, Any], value: dict[str, Any], at: str) -> list[str]:
        found = []
        for key, inner in schema.get("properties", {}).items():
            found += [f"{at}.{key}"] if key not in value else missing(inner, value[key], f"{at}.{key}")
        return found

    assert missing(load_schema("config")["properties"]["console"], snippets()[0]["console"], "console") == []


def test_the_command_encodes_an_assertion_with_any_base64(tmp_path: Path) -> None:
    """No flag that only one system's base64 has, and what comes out is base64url in one line."""
    (command,) = re.findall(r"assertion=\"\$\((.*)\)\"", README)
    assert " -" not in command.partition("| tr")[0]
    data = bytes(range(256)) * 3
    (tmp_path / "assertion.xml").write_bytes(data)
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=20)
    assert done.stdout == base64.urlsafe_b64encode(data)


def test_the_table_of_codes_is_the_code_s() -> None:
    shown = re.findall(r"^\| `(\w+)` \| ([A-Z].+[.?]) \|$", README, re.MULTILINE)
    said = [*SENTENCES.items(), *OIDC_SENTENCES.items()]
    assert sorted(shown) == sorted((code.value, sentence) for code, sentence in said)


def test_the_table_of_roles_is_the_code_s() -> None:
    table = README.partition("| role | may see and do |")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| (\w+) \| (.+) \|$", table, re.MULTILINE)) == MAY


GOOD: dict[str, Any] = {"url": "https://c.example", "keys": "ck", "saml": {"metadata": "m.xml"}}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a path": ({"url": "https://c.example/console"}, "console.url", "nothing behind it"),
    "no network": ({"proxies": ["10.1.2.3/16"]}, "console.proxies[0]", "is no network"),
    "every network": ({"proxies": ["10.0.0.1", "0.0.0.0/0"]}, "console.proxies[1]", "is every address"),
    "the same port": ({"metrics_port": 8090}, "console.metrics_port", "port of the console itself"),
    "plain http": ({"url": "http://c.example"}, "console.url", "must be `https://host`"),
    "another address": ({"address": "0.0.0.0"}, "console.address", "without TLS"),
    "a long session": ({"session": "25h"}, "console.session", "60s to 86400s"),
    "a part of a second": ({"session": "90.5s"}, "console.session", "whole seconds"),
    "a wide skew": ({"saml": {"metadata": "m.xml", "clock_skew": "6m"}}, "console.saml.clock_skew", "0s to 300s"),
    "no metadata": ({"saml": {}}, "console.saml.metadata", "is missing"),
    "no login": ({"saml": None}, "console", "neither `oidc` nor `saml`"),
    "another issuer": ({"oidc": {"issuer": "https://ipd", "client_id": "c"}}, "console.oidc.issuer", "none of `identity.issuers`"),
    "no openid": ({"oidc": {"issuer": "https://idp", "client_id": "c", "scopes": ["email"]}}, "console.oidc.scopes", "`openid`"),
    "an unknown role": ({"roles": {"approvers": ["g"]}}, "console.roles.approvers", "unknown key"),
    "an unknown attribute": ({"saml": {"metadata": "m", "attributes": {"group": "g"}}}, "console.saml.attributes.group", "unknown key"),
    "a long token": ({"token": {"audience": "a", "lifetime": "16m"}}, "console.token.lifetime", "30s to 900s"),
    "no audience": ({"token": {}}, "console.token.audience", "is missing"),
    "a bar": ({"token": {"audience": "a", "issuer": "a|b"}}, "console.token.issuer", "must not hold `|`"),
    "too long an announcement": ({"token": {"audience": "a", "announce": "30d"}}, "console.token.announce", "not shorter"),
    "another audience": ({"url": "https://idp", "token": {"audience": "extprok"}}, "console.token.audience", "not accepted"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_each_wrong_setting_is_told_with_its_place(tmp_path: Path, case: tuple[dict[str, Any], str, str]) -> None:
    change, place, text = case
    with pytest.raises(SettingsInvalid) as invalid:
        load_settings(write_config(tmp_path, console={k: v for k, v in (GOOD | change).items() if v is not None}))
    found = [(each.path, each.message) for each in invalid.value.problems]
    assert len(found) == 1
    assert found[0][0] == place
    assert text in found[0][1]

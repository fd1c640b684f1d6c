"""Each configuration on `IDENTITY.md` is one, and takes a token as that provider sends it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import extproc.core
from extproc.core.claims import Claims, read_principal
from extproc.core.principal import Principal
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.refusal import refusal_code
from extproc.edge.settings import Settings
from extproc.edge.settings_file import load_settings

PAGE = (Path(extproc.core.__file__).parent / "IDENTITY.md").read_text("utf-8")
SNIPPETS = {
    title: yaml.safe_load(block)
    for title, block in re.findall(r"## ([^\n]+)\n(?:(?!\n## ).)*?```yaml\n(.*?)```", PAGE, re.DOTALL)
}
EXP = 1_800_000_000
TENANT = "11111111-2222-3333-4444-555555555555"
GUID = "9a1f0000-0000-4000-8000-00000000000"

KEYCLOAK: dict[str, Any] = {
    "exp": EXP, "iat": EXP - 300, "auth_time": EXP - 400, "jti": "onrtac:1", "iss": "https://sso.example.org/realms/main",
    "aud": ["extproc", "account"], "sub": "2f1c", "typ": "Bearer", "azp": "chat-ui", "sid": "s", "acr": "gold",
    "realm_access": {"roles": ["offline_access", "analysts"]},
    "resource_access": {"extproc": {"roles": ["approver"]}, "account": {"roles": ["manage-account"]}},
    "scope": "openid profile", "groups": ["/payments/cards"], "preferred_username": "anna",
}  # fmt: skip
ENTRA: dict[str, Any] = {
    "aud": "66666666-7777-8888-9999-000000000000", "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "iat": EXP - 300, "nbf": EXP - 300, "exp": EXP, "azp": "a-1", "azpacr": "0", "name": "Anna A.", "oid": "o-1",
    "preferred_username": "anna@example.org", "rh": "0.A", "scp": "chat", "sub": "pairwise", "tid": TENANT,
    "uti": "u", "ver": "2.0", "groups": [GUID + "1"], "roles": ["Analyst"],
}  # fmt: skip
OKTA: dict[str, Any] = {
    "ver": 1, "jti": "AT.1", "iss": "https://example.okta.com/oauth2/aus1", "aud": "api://extproc", "iat": EXP - 300,
    "exp": EXP, "cid": "0oa1chat", "uid": "00u1", "scp": ["chat"], "auth_time": EXP - 400, "sub": "anna@example.org",
    "groups": ["Everyone", "Analysts"],
}  # fmt: skip
AUTH0: dict[str, Any] = {
    "iss": "https://example.eu.auth0.com/", "sub": "auth0|1", "aud": ["https://models.example.org"], "iat": EXP - 300,
    "exp": EXP, "azp": "abc", "scope": "openid", "https://models.example.org/groups": ["analysts"],
    "https://models.example.org/org": {"id": "org_1"},
}  # fmt: skip
CLUSTER: dict[str, Any] = {
    "aud": ["extproc"], "exp": EXP, "iat": EXP - 300, "iss": "https://kubernetes.default.svc.cluster.local", "jti": "j",
    "kubernetes.io": {"namespace": "batch", "pod": {"name": "scorer-7d9"}, "serviceaccount": {"name": "scorer"}},
    "nbf": EXP - 300, "sub": "system:serviceaccount:batch:scorer",
}  # fmt: skip

# title: claims, and of the principal: subject, groups, tenant, kind, mfa
TOKENS: list[tuple[str, dict[str, Any], tuple[str, tuple[str, ...], str, str, bool]]] = [
    ("Keycloak", KEYCLOAK,
     ("2f1c", ("offline_access", "analysts", "approver", "/payments/cards"), "", "person", True)),
    ("Keycloak", KEYCLOAK | {"azp": "batch", "client_id": "batch", "preferred_username": "service-account-batch", "acr": "1"},
     ("2f1c", ("offline_access", "analysts", "approver", "/payments/cards"), "", "service", False)),
    ("Microsoft Entra ID", ENTRA, ("o-1", (GUID + "1", "Analyst"), TENANT, "person", False)),
    ("Microsoft Entra ID", {k: v for k, v in ENTRA.items() if k not in ("scp", "groups")} | {"sub": "o-1"},
     ("o-1", ("Analyst",), TENANT, "service", False)),
    ("Okta", OKTA, ("anna@example.org", ("Everyone", "Analysts", "chat"), "", "person", False)),
    ("Okta", {k: v for k, v in OKTA.items() if k not in ("uid", "groups")} | {"sub": "0oa2batch", "cid": "0oa2batch"},
     ("0oa2batch", ("chat",), "", "service", False)),
    ("Auth0, and other namespaced claims", AUTH0, ("auth0|1", ("analysts",), "org_1", "person", False)),
    ("Auth0, and other namespaced claims", AUTH0 | {"sub": "abc@clients", "gty": "client-credentials"},
     ("abc@clients", ("analysts",), "org_1", "service", False)),
    ("Kubernetes ServiceAccounts", CLUSTER,
     (CLUSTER["sub"], ("system:serviceaccounts", "system:serviceaccounts:batch"), "batch", "service", False)),
]  # fmt: skip


Put = Callable[[dict[str, Any]], Path]


@pytest.fixture
def settings_of(minimal: dict[str, Any], put: Put, folder: Path) -> Callable[[str], Settings]:
    tls = {"certificate": "tls/server.crt", "key": "tls/server.key", "client_ca": "tls/clients.crt"}
    account = folder / "account"
    account.mkdir()
    for name in ("ca.crt", "token"):
        (account / name).write_text("x")

    def load(title: str) -> Settings:
        here = yaml.safe_dump(SNIPPETS[title]).replace("/var/run/secrets/kubernetes.io/serviceaccount", str(account))
        return load_settings(put({**minimal, **yaml.safe_load(here), "listener": {"tls": tls}}))

    return load


def test_every_snippet_is_tried() -> None:
    assert PAGE.count("```yaml") == len(SNIPPETS)
    assert {title for title, *_ in TOKENS} <= set(SNIPPETS)


@pytest.mark.parametrize("title", SNIPPETS)
def test_every_snippet_is_a_configuration(title: str, settings_of: Callable[[str], Settings]) -> None:
    settings = settings_of(title)
    assert len(settings.issuers) == 1
    assert settings.dpop_nonce == ("nonce" in str(SNIPPETS[title]))


@pytest.mark.parametrize("number", range(len(TOKENS)), ids=lambda n: f"{TOKENS[n][0]} {n}")
def test_a_token_as_the_provider_sends_it_becomes_the_principal(
    number: int, settings_of: Callable[[str], Settings]
) -> None:
    title, claims, expected = TOKENS[number]
    (issuer,) = settings_of(title).issuers
    assert claims["iss"] == issuer.issuer
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    assert set(audiences) & set(issuer.audiences)
    principal: Principal = read_principal(Claims(claims), issuer)
    seen = (principal.subject, principal.groups, principal.tenant, principal.kind, principal.mfa)
    assert seen == expected


def test_the_table_of_refusals_says_what_happens() -> None:
    rows = re.findall(r"^\| .* \| (\d{3}) \| `(\w+)` \| `([\w.]+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 11
    for status, code, record in rows:
        assert REFUSALS[Reason(code)].status == int(status)
        assert refusal_code(Reason(code)).value == record

"""Claims to principals: tokens as the usual providers send them, and what none of them may."""

from dataclasses import replace
from typing import Any

import pytest

from extproc.core.binding import UNBOUND, Binding, read_binding
from extproc.core.claims import MAX_GROUPS, Claims, read_principal
from extproc.core.issuer import ClaimPaths, Issuer, IssuerKind, ServiceAccounts
from extproc.core.principal import Principal
from extproc.core.reasons import Reason, Unverified

NOW = 1_800_000_000
ISSUER = Issuer("https://idp", ("extproc",), ("RS256",), discovery=True)
BASE: dict[str, Any] = {"iss": "https://idp", "aud": "extproc", "sub": "u-1", "exp": NOW + 60}
TWO = replace(ISSUER, claims=ClaimPaths(groups=(("groups",), ("realm_access", "roles"))))


def read(issuer: Issuer = ISSUER, **claims: Any) -> Principal:
    return read_principal(Claims(BASE | claims), issuer)


def refusal(issuer: Issuer = ISSUER, **claims: Any) -> Reason:
    with pytest.raises(Unverified) as raised:
        read(issuer, **claims)
    return raised.value.reason


# Groups --------------------------------------------------------------------------------------------------------------


def test_groups_of_several_claims_are_put_together() -> None:
    assert read(TWO, groups=["b", "a"], realm_access={"roles": ["c", "a"]}).groups == ("b", "a", "c")
    assert read(TWO, realm_access={"roles": ["c"]}).groups == ("c",)
    assert read(TWO).groups == ()


def test_a_name_with_dots_and_slashes_is_one_name() -> None:
    paths = ClaimPaths(groups=(("https://models.example/groups",), ("kubernetes.io", "x.y")))
    issuer = replace(ISSUER, claims=paths)
    claims = {"https://models.example/groups": ["a"], "kubernetes.io": {"x.y": "b"}}
    assert read(issuer, **claims).groups == ("a", "b")


def test_all_groups_together_have_one_bound() -> None:
    half = [f"g{number}" for number in range(MAX_GROUPS // 2)]
    others = [f"r{number}" for number in range(MAX_GROUPS // 2)]
    assert len(read(TWO, groups=half, realm_access={"roles": others}).groups) == MAX_GROUPS
    assert refusal(TWO, groups=half, realm_access={"roles": [*others, "one"]}) is Reason.TOKEN_INVALID


@pytest.mark.parametrize("name", ["scp", "scope"])
def test_scopes_are_words_and_groups_are_not(name: str) -> None:
    scopes = replace(ISSUER, claims=ClaimPaths(groups=((name,),)))
    assert read(scopes, **{name: "chat embed"}).groups == ("chat", "embed")
    assert read(scopes, **{name: ["chat", "embed"]}).groups == ("chat", "embed")
    assert read(groups="Card Data").groups == ("Card Data",)


LEFT_OUT = [
    {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example/me"}}},
    {"_claim_names": {"groups": "src1"}, "groups": ["some"]},
    {"_claim_names": "groups"},
    {"hasgroups": True},
    {"hasgroups": "true"},
]


@pytest.mark.parametrize("claims", LEFT_OUT, ids=str)
def test_a_token_that_leaves_its_groups_out_is_refused_for_that(claims: dict[str, Any]) -> None:
    """A deny rule for a group would not see that somebody is in it."""
    assert refusal(**claims) is Reason.TOKEN_GROUPS_UNKNOWN
    assert read(replace(ISSUER, groups_overage="ignore"), **claims).groups == tuple(claims.get("groups", ()))


def test_groups_that_nobody_asks_for_may_be_left_out() -> None:
    roles = replace(ISSUER, claims=ClaimPaths(groups=(("roles",),)))
    assert read(roles, roles=["chat"], _claim_names={"groups": "src1"}, hasgroups=True).groups == ("chat",)
    assert read(hasgroups=False).groups == ()
    assert read(_claim_names={"address": "src1"}).groups == ()


# Who asked for it ----------------------------------------------------------------------------------------------------

PARTIES = replace(ISSUER, authorized_parties=("ui", "batch"))


@pytest.mark.parametrize("name", ["azp", "client_id", "appid", "cid"])
def test_an_authorized_party_is_accepted_under_every_name(name: str) -> None:
    assert read(PARTIES, **{name: "ui"}).client == "ui"
    assert refusal(PARTIES, **{name: "other"}) is Reason.TOKEN_INVALID


def test_a_token_without_a_party_or_with_a_second_one_is_refused() -> None:
    assert refusal(PARTIES) is Reason.TOKEN_INVALID
    assert refusal(PARTIES, azp="") is Reason.TOKEN_INVALID
    assert refusal(PARTIES, azp="ui", client_id="other") is Reason.TOKEN_INVALID
    assert refusal(PARTIES, azp="ui", cid="other") is Reason.TOKEN_INVALID
    assert refusal(PARTIES, azp=["ui"]) is Reason.TOKEN_INVALID
    assert read(PARTIES, azp="ui", client_id="batch").client == "ui"
    assert read(azp="anybody", cid=7).client == "anybody"


@pytest.mark.parametrize("kind", ["ID", "Refresh", "Offline", "Logout"])
def test_what_keycloak_calls_another_kind_of_token_is_none_for_us(kind: str) -> None:
    assert refusal(typ=kind) is Reason.TOKEN_INVALID
    assert read(typ="Bearer").subject == "u-1"


# People and programs -------------------------------------------------------------------------------------------------

PROGRAMS: dict[str, dict[str, Any]] = {
    "Entra says so": {"idtyp": "app", "oid": "o", "tid": "t"},
    "Entra's own object": {"sub": "o", "oid": "o", "tid": "t", "roles": ["chat"]},
    "Auth0": {"gty": "client-credentials", "sub": "abc@clients"},
    "Keycloak": {"preferred_username": "service-account-batch", "client_id": "Batch", "sub": "f81d"},
    "Keycloak before 23": {"preferred_username": "service-account-batch", "clientId": "batch", "sub": "f81d"},
    "Okta": {"sub": "0oa2batch", "cid": "0oa2batch", "scp": ["chat"]},
    "RFC 9068": {"sub": "batch", "client_id": "batch"},
    "azp": {"sub": "batch", "azp": "batch"},
}
PEOPLE: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "Entra says so": {"idtyp": "user", "sub": "o", "oid": "o", "tid": "t"},
    "Entra, delegated": {"sub": "s", "oid": "o", "tid": "t", "scp": "chat"},
    "Entra, guest of his own": {"sub": "o", "oid": "o", "tid": "t", "scp": "chat"},
    "Auth0": {"gty": "password", "sub": "auth0|1", "azp": "abc"},
    "a name like a program's": {"preferred_username": "service-account-ui", "azp": "ui", "sub": "f81d"},
    "Okta": {"sub": "anna@example.org", "cid": "0oa1chat", "uid": "00u1", "scp": ["chat"]},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_tokens_of_programs_are_told(name: str) -> None:
    assert read(**PROGRAMS[name]).kind == "service"


@pytest.mark.parametrize("name", PEOPLE)
def test_tokens_of_people_are_told(name: str) -> None:
    assert read(**PEOPLE[name]).kind == "person"


def test_a_rule_of_the_configuration_decides_alone() -> None:
    issuer = replace(ISSUER, service_accounts=ServiceAccounts(("ext", "kind"), ("robot", "batch")))
    assert read(issuer, ext={"kind": "robot"}).kind == "service"
    assert read(issuer, ext={"kind": ["person", "batch"]}).kind == "service"
    assert read(issuer, ext={"kind": True}).kind == "person"
    assert read(issuer, **PROGRAMS["RFC 9068"]).kind == "person"
    with pytest.raises(ValueError, match="claim and its values"):
        replace(ISSUER, service_accounts=ServiceAccounts(("kind",), ()))


def test_several_factors_are_what_the_configuration_calls_so() -> None:
    classes = replace(ISSUER, mfa_classes=frozenset({"gold"}))
    assert read(amr=["pwd", "mfa"]).mfa
    assert not read(amr=["pwd", "otp"], acr="gold").mfa
    assert read(classes, acr="gold").mfa
    assert not read(classes, acr="silver").mfa
    assert not read(classes).mfa
    assert read(replace(ISSUER, mfa_methods=frozenset({"hwk"})), amr="hwk").mfa
    assert not read(replace(ISSUER, mfa_methods=frozenset({"hwk"})), amr=["mfa"]).mfa


# Kubernetes ----------------------------------------------------------------------------------------------------------

CLUSTER = replace(
    ISSUER,
    kind=IssuerKind.KUBERNETES,
    claims=ClaimPaths(tenant=("kubernetes.io", "namespace")),
    mfa_methods=frozenset(),
)
ACCOUNT: dict[str, Any] = {
    "aud": ["extproc"],
    "iat": NOW,
    "nbf": NOW,
    "jti": "0a1b",
    "kubernetes.io": {
        "namespace": "batch",
        "node": {"name": "node-1", "uid": "b2"},
        "pod": {"name": "scorer-7d9", "uid": "c3"},
        "serviceaccount": {"name": "scorer", "uid": "d4"},
        "warnafter": NOW + 3607,
    },
    "sub": "system:serviceaccount:batch:scorer",
}


def test_a_service_account_has_the_name_and_the_groups_that_kubernetes_gives_it() -> None:
    assert read(CLUSTER, **ACCOUNT, groups=["admins"], name="root") == Principal(
        issuer="https://idp",
        subject="system:serviceaccount:batch:scorer",
        name="batch/scorer",
        groups=("system:serviceaccounts", "system:serviceaccounts:batch"),
        tenant="batch",
        token_id="0a1b",
        client="scorer-7d9",
        expires_at=NOW + 60,
        kind="service",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "system:serviceaccount:kube-system:scorer"},
        {"sub": "scorer"},
        {"kubernetes.io": {}},
        {"kubernetes.io": "batch"},
        {"kubernetes.io": {"namespace": "batch", "serviceaccount": {"name": "other"}}},
        {"kubernetes.io": {"namespace": "", "serviceaccount": {"name": ""}}, "sub": "system:serviceaccount::"},
    ],
    ids=str,
)
def test_a_service_account_that_is_named_in_two_ways_is_refused(change: dict[str, Any]) -> None:
    assert refusal(CLUSTER, **ACCOUNT | change) is Reason.TOKEN_INVALID


# Keys ----------------------------------------------------------------------------------------------------------------

THUMB = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_binding_is_read_and_one_that_cannot_be_enforced_is_refused() -> None:
    assert read_binding({}) is UNBOUND
    assert read_binding({"cnf": {"jkt": THUMB}}) == Binding(jkt=THUMB)
    assert read_binding({"cnf": {"x5t#S256": THUMB, "kid": "x"}}) == Binding(x5t=THUMB)
    for bad in (
        None,
        {},
        "x",
        [THUMB],
        {"jkt": THUMB[1:]},
        {"jkt": THUMB + "="},
        {"jkt": 7},
        {"kid": "k"},
        {"jwk": {"kty": "EC"}},
        {"jku": "https://evil.test"},
        {"jkt": THUMB, "x5t#S256": ""},
    ):
        with pytest.raises(Unverified) as raised:
            read_binding({"cnf": bad})
        assert raised.value.reason is Reason.TOKEN_INVALID


# Aliases -------------------------------------------------------------------------------------------------------------


def test_other_names_of_a_person_are_folded_and_each_kept_once() -> None:
    named = read(email="Anna@Example.ORG", preferred_username=" anna@example.org", upn="ANNA")
    assert named.aliases == ("anna@example.org", "anna")
    assert read(sub="Anna@example.org").aliases == ("anna@example.org",)
    assert read().aliases == ()


@pytest.mark.parametrize(("verified", "counts"), [(True, True), (None, True), (False, False), ("false", False)])
def test_an_address_that_its_issuer_calls_unverified_is_nobodys(verified: object, counts: bool) -> None:
    claims = {"email": "a@x"} | ({} if verified is None else {"email_verified": verified})
    assert read(**claims).aliases == (("a@x",) if counts else ())


def test_the_configuration_says_where_other_names_stand() -> None:
    elsewhere = replace(ISSUER, claims=ClaimPaths(aliases=(("emails",), ("x", "y"))))
    assert read(elsewhere, emails=["a@x", "b@x"], x={"y": "c"}, email="d@x").aliases == ("a@x", "b@x", "c")


def test_other_names_that_cannot_be_kept_refuse_the_token() -> None:
    assert refusal(preferred_username="4111 1111-1111.1111") is Reason.TOKEN_CARD_DATA
    assert refusal(upn=7) is Reason.TOKEN_INVALID
    many = replace(ISSUER, claims=ClaimPaths(aliases=(("emails",),)))
    assert refusal(many, emails=[f"{number}@x" for number in range(17)]) is Reason.TOKEN_INVALID

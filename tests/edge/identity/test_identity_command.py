"""`extproc identity explain`: the principal, or everything that does not fit."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.cli.main import main
from extproc.core.doubts import find_doubts
from extproc.core.issuer import ClaimPaths, Issuer

Explain = Callable[..., Result]
NOW = 1_800_000_000
PAN = "4111111111111111"


@pytest.fixture
def explain(toy: Any, tmp_path: Path) -> Explain:
    (tmp_path / "digest.key").write_bytes(bytes(range(32)))
    issuer = {
        "issuer": toy.url, "jwks_url": f"{toy.url}/jwks", "audiences": ["extproc"], "algorithms": ["ES256"],
        "authorized_parties": ["ui"],
    }  # fmt: skip
    document = {
        "apiVersion": "extproc/v1",
        "kind": "Config",
        "deployment": "test",
        "run_directory": "/run/extproc",
        "connections": [{"name": "model", "upstream": "http://127.0.0.1:8000"}],
        "identity": {"issuers": [issuer]},
        "policy": "policy.yaml",
        "digest_key": "digest.key",
        "approvals": {"database": "sqlite:///approvals.db"},
        "audit": {"spool": "spool", "keys": "keys", "store": {"directory": "store"}},
    }
    rules = [{"name": "all", "effect": "allow", "match": {"groups": ["g"]}}]
    policy = {"apiVersion": "extproc/v1", "kind": "Policy", "name": "p", "rules": rules}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(document))

    def run(token: str, *arguments: str) -> Result:
        return CliRunner().invoke(
            main, ["identity", "explain", "--config", str(config), "--token-stdin", *arguments], input=token
        )

    return run


def soon(**more: Any) -> dict[str, Any]:
    return {"azp": "ui", "exp": 4_000_000_000} | more


def test_an_accepted_token_shows_the_principal(explain: Explain, toy: Any, key: Any) -> None:
    claims = soon(amr=["mfa"], cnf={"jkt": "A" * 43})
    done = explain(key.token(toy.url, **claims).compact)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert f"uid               {toy.url}|u-1" in lines
    assert "kind              person" in lines
    assert "mfa               True" in lines
    assert lines[-1] == "Each request must also show a DPoP proof."
    document = json.loads(explain(key.token(toy.url, **claims).compact, "--json").output)
    assert (document["accepted"], document["wants"]) == (True, ["a DPoP proof"])
    assert document["principal"]["groups"] == ["g"]


def test_times_are_dates_and_groups_have_the_policys_names_too(
    explain: Explain, toy: Any, key: Any, tmp_path: Path
) -> None:
    policy = yaml.safe_load((tmp_path / "policy.yaml").read_text())
    policy["known"] = {"groups": {"analysts": ["g", "h"], "privacy": ["9a1f"]}}
    policy["rules"][0]["match"]["groups"] = ["analysts"]
    policy["rules"].append({"name": "p", "effect": "allow", "match": {"groups": ["privacy"]}})
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    lines = explain(key.token(toy.url, **soon(auth_time=1_700_000_000)).compact).output.splitlines()
    assert "authenticated_at  2023-11-14T22:13:20Z" in lines
    assert "expires_at        2096-10-02T07:06:40Z" in lines
    assert "groups            g" in lines
    assert "groups in policy  analysts" in lines
    silent = explain(key.token(toy.url, **soon(groups=["x"])).compact).output.splitlines()
    assert "authenticated_at  not said" in silent
    assert "groups in policy  none that `known.groups` names" in silent
    document = json.loads(explain(key.token(toy.url, **soon()).compact, "--json").output)
    assert (document["groups_in_policy"], document["principal"]["authenticated_at"]) == (["analysts"], 0)


def test_an_audience_that_is_not_there_is_missing() -> None:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    issuer = Issuer("https://idp", ("extproc",), ("ES256",), jwks_url="https://idp/jwks")
    claims = {"iss": "https://idp", "sub": "u", "exp": NOW + 60}
    token = f"{part({'alg': 'ES256', 'typ': 'at+jwt'})}.{part(claims)}.{part({})}"
    assert find_doubts(token, (issuer,), NOW) == ("`aud` is missing, accepted are `extproc`",)


def test_a_refused_token_shows_everything_that_does_not_fit(explain: Explain, toy: Any, key: Any) -> None:
    done = explain(key.token(toy.url, aud="other", azp="bad\x1b[31mui", exp=1_700_000_000).compact)
    assert done.exit_code == 1
    assert "refused: token_invalid" in done.output
    assert "- `aud` is `other`, accepted are `extproc`" in done.output
    assert "- `exp` was " in done.output
    assert "- `azp` or `client_id` is no printable text" in done.output
    assert "\x1b" not in done.output
    document = json.loads(explain(key.token(toy.url, **soon(aud="other")).compact, "--json").output)
    assert document == {
        "accepted": False,
        "code": "token_invalid",
        "reasons": ["`aud` is `other`, accepted are `extproc`"],
    }


@pytest.mark.parametrize("claim", ["sub", "groups"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_token_that_names_somebody_by_a_card_number_is_refused_as_the_service_does(
    explain: Explain, toy: Any, key: Any, claim: str, form: tuple[str, ...]
) -> None:
    done = explain(key.token(toy.url, **soon(**{claim: [PAN] if claim == "groups" else PAN})).compact, *form)
    assert done.exit_code == 1
    assert "token_card_data" in done.output
    assert PAN not in done.output


def test_a_card_number_in_any_other_claim_is_not_printed(explain: Explain, toy: Any, key: Any) -> None:
    accepted = explain(key.token(toy.url, **soon(name=f"Anna {PAN}", jti=PAN)).compact)
    assert accepted.exit_code == 0, accepted.output
    refused = explain(key.token(toy.url, **soon(aud=PAN)).compact)
    assert "- `aud` is `[PAN]`" in refused.output
    assert PAN not in accepted.output + refused.output


def test_without_the_policy_that_masks_nothing_is_printed(explain: Explain, toy: Any, key: Any, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").unlink()
    done = explain(key.token(toy.url, **soon()).compact)
    assert done.exit_code == 2
    assert "policy.yaml: the file cannot be read" in done.output


def test_a_token_of_another_key_is_told_by_its_signature(explain: Explain, toy: Any, key: Any) -> None:
    done = explain(key.another("k-1").token(toy.url, **soon()).compact)
    assert done.exit_code == 1
    assert "- its signature does not hold under a key that the issuer publishes" in done.output


def test_keys_that_cannot_be_had_are_no_verdict(explain: Explain, toy: Any, key: Any) -> None:
    toy.status = 503
    done = explain(key.token(toy.url, **soon()).compact)
    assert done.exit_code == 2
    assert "The identity provider's keys are not available." in done.output
    assert explain("").exit_code == 2


DOUBTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"typ": "logout+jwt"}, {}, "`typ` of its header is `logout+jwt`: that is no access token"),
    ({"alg": "none"}, {}, "`alg` is `none`, accepted are `ES256`"),
    ({}, {"iss": "https://idp.tset"}, "`iss` is `https://idp.tset`, which is no issuer of the configuration (did you mean `https://idp.test`?)"),
    ({}, {"exp": ...}, "`exp` is missing"),
    ({}, {"exp": "soon"}, "`exp` is no number of seconds since 1970"),
    ({}, {"exp": NOW - 40}, "`exp` was 40 s ago, tolerated are 30 s"),
    ({}, {"nbf": NOW + 90}, "`nbf` is 90 s in the future, tolerated are 30 s"),
    ({}, {"auth_time": NOW + 90}, "`auth_time` is 90 s in the future, tolerated are 30 s"),
    ({}, {"sub": ""}, "`sub` is missing"),
    ({}, {"oid": ...}, "`claims.subject` names `oid`, and nothing stands there"),
    ({}, {"azp": "x"}, "`azp`, `client_id`, `appid` and `cid` name `x`, accepted are `ui`"),
    ({}, {"azp": ...}, "`azp`, `client_id`, `appid` and `cid` name nothing, accepted are `ui`"),
    ({}, {"cnf": {"kid": "k"}}, "`cnf` binds it in a way that is not known here; known are `jkt` and `x5t#S256`"),
    ({}, {"typ": "ID"}, "its claim `typ` is `ID`: that is no access token"),
    ({}, {"hasgroups": True}, "its groups are too many to be in it; have the provider send fewer, or set `groups_overage: ignore`"),
    ({}, {"groups": [7]}, "a claim is of another type than it should be, too long, or holds what does not print"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DOUBTS)), ids=lambda n: DOUBTS[n][2][:30])
def test_each_thing_that_does_not_fit_is_told(number: int) -> None:
    header, claims, doubt = DOUBTS[number]
    issuer = Issuer(
        "https://idp.test",
        ("extproc",),
        ("ES256",),
        discovery=True,
        authorized_parties=("ui",),
        claims=ClaimPaths(("oid",)),
    )
    good = {"iss": "https://idp.test", "aud": "extproc", "sub": "s", "oid": "o", "azp": "ui", "exp": NOW + 60}
    merged = {name: value for name, value in (good | claims).items() if value is not ...}
    parts = (json.dumps(part).encode() for part in ({"alg": "ES256"} | header, merged))
    compact = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".AAAA"
    assert find_doubts(compact, (issuer,), NOW) == (doubt,)


def test_what_is_no_token_is_told_so() -> None:
    (doubt,) = find_doubts("x", (), NOW)
    assert doubt.startswith("it is no compact JWS")

"""A masking profile that a rule obliges finds at least what the policy's own masking finds, and its problems have places."""

from typing import Any

import pytest

from extproc.core.policy_document import parse_policy
from tests.core.policy_texts import ALLOW, document, problems, said

BADGE = {"name": "badge", "pattern": r"\bB-\d{4}", "keywords": ["badge"]}
OTHER = {"name": "other", "pattern": r"\bO-\d{4}"}
OBLIGES = ALLOW | {"obligations": {"masking": "own"}}


def obliging(own: dict[str, Any], **default: Any) -> bytes:
    return document(OBLIGES, masking=default | {"profiles": {"own": own}})


LESS: dict[str, tuple[bytes, str, str, str]] = {
    "fewer cards": (
        obliging({"profile": "balanced"}),
        ".profile",
        "`balanced` looks for fewer cards than `pci-strict`, by which `masking` does",
        "leave it out",
    ),
    "fewer cards than pci-pii": (
        obliging({"profile": ["balanced", "secrets"]}, profile="secrets"),
        ".profile",
        "`balanced` looks for fewer cards",
        "leave it out",
    ),
    "no personal data": (
        obliging({"profile": "pci-strict"}, profile="pci-pii"),
        ".profile",
        "looks for less than `masking` does: `pci-pii` is missing",
        "list `pci-pii` here, too",
    ),
    "what is not said": (
        obliging({"media": "deny"}, profile=["secrets", "pci-pii"]),
        ".profile",
        "looks for less than `masking` does: `secrets`, `pci-pii` is missing",
        "list `secrets`, `pci-pii` here, too",
    ),
    "no rules": (
        obliging({"profile": "pci-pii"}, rules=[BADGE]),
        ".rules",
        "finds less than `masking` does: the rule `badge` is missing",
        "repeat `badge` of `masking.rules` here",
    ),
    "one rule of two": (
        obliging({"rules": [OTHER]}, rules=[BADGE, OTHER]),
        ".rules",
        "the rule `badge` is missing",
        "repeat `badge` of `masking.rules` here",
    ),
    "a rule of the same name": (
        obliging({"rules": [BADGE | {"pattern": r"\bB-\d{9}"}]}, rules=[BADGE]),
        ".rules",
        "finds something else than `masking` does: `badge` is another rule there",
        "give what differs another name",
    ),
    "media": (
        obliging({"profile": "pci-pii", "media": "opaque"}),
        ".media",
        "`opaque` lets through what `masking` denies",
        "leave it out",
    ),
}


@pytest.mark.parametrize("name", LESS)
def test_a_profile_that_finds_less_is_an_error(name: str) -> None:
    data, key, message, hint = LESS[name]
    path, found, to_do = said(data)
    assert path == f"masking.profiles.own{key}"
    assert message in found
    assert to_do.startswith("a rule may oblige more, never less: ") or name == "a rule of the same name"
    assert hint in to_do


MORE = {
    "only styles": obliging({"styles": {"pan": "numbered"}}),
    "more cards": obliging({"profile": "pci-strict"}, profile="balanced"),
    "as many cards": obliging({"profile": "balanced"}, profile="balanced"),
    "more catalogues": obliging({"profile": ["secrets", "pci-pii"]}, profile="pci-pii"),
    "more rules, in another order": obliging({"rules": [OTHER, BADGE]}, rules=[BADGE]),
    "media as they are": obliging({"media": "opaque"}, media="opaque"),
    "media denied": obliging({"profile": "pci-pii"}, media="opaque"),
}


@pytest.mark.parametrize("name", MORE)
def test_a_profile_that_finds_as_much_is_none(name: str) -> None:
    assert list(parse_policy(MORE[name]).masking_profiles) == ["own"]


def test_problems_inside_a_profile_have_the_path_of_their_key() -> None:
    bad = {"rules": [{"name": "badge", "pattern": "a("}], "styles": {"badge": "label", "track": "numbered"}}
    data = obliging(bad)
    found = problems(data)
    assert [each.path for each in found] == [
        "masking.profiles.own.rules[0].pattern",
        "masking.profiles.own.styles.track",
    ]
    assert [each.column for each in found] == [data.index(b'"a("') + 1, data.index(b'"numbered"') + 1]


@pytest.mark.parametrize("nested", ["masking", "profile"])
def test_a_rule_is_not_called_like_the_sum_of_findings(nested: str) -> None:
    masking: dict[str, Any] = {"rules": [BADGE | {"name": "total"}]}
    data = document(masking=masking) if nested == "masking" else obliging(masking)
    path, message, hint = said(data)
    assert path == ("masking.rules[0].name" if nested == "masking" else "masking.profiles.own.rules[0].name")
    assert message == "`total` is the sum of all findings in a `when`"
    assert hint == "choose another name"

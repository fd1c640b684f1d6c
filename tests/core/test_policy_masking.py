"""The masking section of a policy: profiles in a list, rules, and every problem with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.document import Problem
from extproc.core.masking.checks import POLICY_CHECKS
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.rules import MAX_RULES, RuleSet
from extproc.core.masking.settings import PROFILES, MaskingRule, MaskingSettings, Side, Style
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.core.schema import load_schema


def policy(masking: object) -> bytes:
    text = f"apiVersion: extproc/v1\nkind: Policy\nname: p\nmasking: {json.dumps(masking)}\n"
    return f"{text}rules: [{{name: r, effect: allow, match: {{}}}}]\n".encode()


def masking_of(masking: object) -> MaskingSettings:
    return parse_policy(policy(masking)).masking


def problems(masking: object) -> list[tuple[str, str]]:
    with pytest.raises(PolicyInvalid) as invalid:
        parse_policy(policy(masking))
    assert all(problem.line == 4 for problem in invalid.value.problems)
    return [(problem.path, problem.message) for problem in invalid.value.problems]


def rule(**fields: object) -> dict[str, Any]:
    return {"rules": [{"name": "badge", "pattern": r"\bB-\d{4}"} | fields]}


def test_a_rule_means_what_it_says() -> None:
    written = {"keywords": ["badge", "pass no"], "context": ["visitor"], "check": "luhn"}
    expected = MaskingRule("badge", r"\bB-\d{4}", ("badge", "pass no"), ("visitor",), "luhn")
    assert masking_of(rule(**written)) == MaskingSettings(rules=(expected,))
    assert masking_of(rule()).rules == (MaskingRule("badge", r"\bB-\d{4}"),)


PROFILED = {
    "pci-strict": ("pci-strict", ()),
    "balanced": ("balanced", ()),
    "pci-pii": ("pci-strict", ("pci-pii",)),
    "secrets": ("pci-strict", ("secrets",)),
    "pci-strict secrets": ("pci-strict", ("secrets",)),
    "balanced secrets": ("balanced", ("secrets",)),
    "secrets pci-pii": ("pci-strict", ("secrets", "pci-pii")),
    "pci-pii pci-strict": ("pci-strict", ("pci-pii",)),
}


@pytest.mark.parametrize("names", PROFILED)
def test_profiles_in_a_list(names: str) -> None:
    """Cards are looked for with every one of them."""
    listed = names.split()
    profile, catalogues = PROFILED[names]
    assert masking_of({"profile": listed}) == MaskingSettings(profile=profile, catalogues=catalogues)
    if len(listed) == 1:
        assert masking_of({"profile": names}) == masking_of({"profile": listed})


WRONG_PROFILES: dict[str, tuple[object, str, str]] = {
    "none": ([], "masking.profile", "must not be empty"),
    "unknown": (["secrets", "off"], "masking.profile[1]", "`off` is not a masking profile of this version"),
    "twice": (["secrets", "secrets"], "masking.profile[1]", "is listed twice"),
    "no text": (7, "masking.profile", "`7` is not a masking profile of this version"),
    "nothing": (None, "masking.profile", "`none` is not a masking profile of this version"),
    "no text listed": ([["secrets"]], "masking.profile[0]", "`['secrets']` is not a masking profile of this version"),
    "fewer and strict": (
        ["pci-strict", "balanced"],
        "masking.profile[1]",
        "`balanced` looks for fewer cards than `pci-strict`",
    ),
    "fewer and personal": (
        ["balanced", "pci-pii"],
        "masking.profile[0]",
        "`balanced` looks for fewer cards than `pci-pii`",
    ),
}


@pytest.mark.parametrize("name", WRONG_PROFILES)
def test_profiles_that_mean_nothing(name: str) -> None:
    given_, path, message = WRONG_PROFILES[name]
    assert problems({"profile": given_}) == [(path, message)]


WRONG_RULES: dict[str, tuple[dict[str, object], str, str]] = {
    "no pattern": ({"pattern": None}, "pattern", "must be text, is nothing"),
    "an empty pattern": ({"pattern": ""}, "pattern", "must not be empty"),
    "a long pattern": ({"pattern": "a" * 513}, "pattern", "is longer than 512 characters"),
    "a capital name": ({"name": "Badge"}, "name", "must be a name: 1 to 32 lower-case letters, digits or `_`"),
    "a long name": ({"name": "a" * 33}, "name", "must be a name: 1 to 32 lower-case letters, digits or `_`"),
    "a name with a line": ({"name": "a\n"}, "name", "must be a name: 1 to 32 lower-case letters, digits or `_`"),
    "the name of cards": ({"name": "pan"}, "name", "`pan` is what is found by cards"),
    "the name of a profile's rule": ({"name": "email"}, "name", "`email` is what is found by the profile `pci-pii`"),
    "the kind of a profile's rule": ({"name": "secret"}, "name", "`secret` is what is found by the profile `secrets`"),
    "an unknown key": ({"keyword": ["a"]}, "keyword", "unknown key"),
    "an unknown check": ({"check": "ssn"}, "check", "`ssn` is not a check"),
    "no keywords": ({"keywords": []}, "keywords", "must not be empty"),
    "a keyword of a sign": ({"keywords": ["#"]}, "keywords[0]", "must be a word: 2 to 40 letters"),
    "a keyword with accents": ({"keywords": ["\u00e9t\u00e9"]}, "keywords[0]", "must be a word: 2 to 40 letters"),
    "keywords twice": ({"keywords": ["ab", "ab"]}, "keywords[1]", "is listed twice"),
    "a pattern with a mistake": ({"pattern": "ab$"}, "pattern", "character 3: `$` is not supported"),
    "a pattern that goes back": ({"pattern": "(a+)+$"}, "pattern", "character 6: `$` is not supported"),
    "anything": ({"pattern": ".*"}, "pattern", "matches the empty text"),
    "the empty text": ({"pattern": "a?"}, "pattern", "matches the empty text"),
    "without a bound": ({"pattern": "a+b"}, "pattern", "character 2: this repetition has no bound"),
    "too much held": ({"pattern": "a{400}b{400}"}, "pattern", "would hold back 800 characters of a stream"),
    "a mask": ({"pattern": "[A-Z]{3}"}, "pattern", "matches in `[PAN]`"),
    "its own mask": ({"pattern": "(?i)badge"}, "pattern", "matches in `[BADGE]`"),
}


@pytest.mark.parametrize("name", WRONG_RULES)
def test_rules_that_are_none(name: str) -> None:
    fields, path, message = WRONG_RULES[name]
    ((found_path, found_message),) = problems(rule(**fields))
    assert found_path == f"masking.rules[0].{path}"
    assert found_message.startswith(message)


def test_problems_of_all_rules_come_at_once_with_their_columns() -> None:
    written = {
        "profile": "nope",
        "rules": [
            {"name": "a", "pattern": "x$"},
            {"name": "a", "pattern": "[A-Z]{3}", "check": "sum"},
            {"name": "b", "pattern": "[B]{1}"},
        ],
    }
    data = policy(written)
    with pytest.raises(PolicyInvalid) as invalid:
        parse_policy(data)
    found = invalid.value.problems
    assert [(problem.path, problem.message.split(" ", 1)[0]) for problem in found] == [
        ("masking.profile", "`nope`"),
        ("masking.rules[0].pattern", "character"),
        ("masking.rules[1].name", "`a`"),
        ("masking.rules[1].pattern", "matches"),
        ("masking.rules[1].check", "`sum`"),
        ("masking.rules[2].pattern", "matches"),
    ]
    line = data.decode().splitlines()[3]
    assert [line[problem.column - 1 :][:4] for problem in found] == ['"nop', '"x$"', '"a",', '"[A-', '"sum', '"[B]']


def test_masks_depend_on_the_style_and_the_other_rules() -> None:
    digits = {"rules": [{"name": "badge", "pattern": r"\b\d{6}\b"}]}
    assert masking_of(digits)
    assert problems({**digits, "styles": {"pan": "truncate"}})[0][1].startswith("matches in `411111****1111`")
    two = {"rules": [{"name": "badge", "pattern": r"\bb-\d{4}"}, {"name": "other", "pattern": "BA[A-Z]GE"}]}
    assert problems(two) == [("masking.rules[1].pattern", "matches in `[BADGE]`, which stands for what was found")]
    profiled = {"profile": "pci-pii", "rules": [{"name": "x", "pattern": "PHO.E"}]}
    assert problems(profiled)[0][1].startswith("matches in `[PHONE]`")
    named = {"profile": "pci-pii", "rules": [{"name": "crmktgxyz", "pattern": "=="}]}
    assert problems(named) == [("masking.rules[0].name", "its mask `[CRMKTGXYZ]` is matched by the rule `passport`")]


def test_as_many_rules_as_there_may_be() -> None:
    rules = [{"name": f"r{index}", "pattern": f"x{index}-[0-9]{{4}}"} for index in range(MAX_RULES + 1)]
    assert len(masking_of({"rules": rules[:-1]}).rules) == MAX_RULES
    assert problems({"rules": rules}) == [("masking.rules", f"has more than {MAX_RULES} items")]


def test_the_schema_offers_what_there_is() -> None:
    schema = load_schema("policy")
    assert schema["$defs"]["profile"]["enum"] == [*PROFILES, *CATALOGUES]
    fields = schema["$defs"]["masking_rule"]["properties"]
    assert fields["check"]["enum"] == list(POLICY_CHECKS)
    assert schema["properties"]["masking"]["properties"]["rules"]["maxItems"] == MAX_RULES


@given(st.text(max_size=20), st.sampled_from([*Style]))
def test_what_a_policy_takes_is_a_set_of_rules(pattern: str, style: Style) -> None:
    """Any pattern is a problem with a place, or a rule that can run."""
    written = {"styles": {"pan": style.value}, "rules": [{"name": "r", "pattern": pattern}]}
    try:
        rules = masking_of(written).rules
    except PolicyInvalid as invalid:
        assert {place(problem) for problem in invalid.problems} <= {"masking.rules[0].pattern", "(document)"}  # noqa: PT017
        return
    assert len(RuleSet.of(rules, {("pan", style)}).rules) == 1


def place(problem: Problem) -> str:
    return problem.path


def test_styles_by_kind_and_side() -> None:
    written = {
        "profile": "pci-pii",
        "styles": {"pan": "numbered", "email": {"response": "token"}, "iban": "label", "badge": {"request": "token"}},
        "rules": [{"name": "badge", "pattern": r"\bB-\d{4}"}],
    }
    found = masking_of(written)
    assert found.styles(Side.REQUEST) == {"pan": Style.NUMBERED, "badge": Style.TOKEN}
    assert found.styles(Side.RESPONSE) == {"pan": Style.NUMBERED, "email": Style.TOKEN}
    assert masking_of({"styles": {"pan": "label"}}) == MaskingSettings()


SENSITIVE = "is sensitive authentication data, which is always removed"
ONE_SIDE = "the other direction writes tokens: the two together reveal the PAN"
STYLES_REFUSED: list[tuple[dict[str, Any], str, str]] = [
    *(({kind: "numbered"}, f"masking.styles.{kind}", SENSITIVE) for kind in ("security_code", "track", "pin")),
    ({"pin_block": {"response": "token"}}, "masking.styles.pin_block.response", SENSITIVE),
    ({"cardholder": "token"}, "masking.styles.cardholder", "is always replaced by its label"),
    ({"expiry": "numbered"}, "masking.styles.expiry", "is always replaced by its label"),
    ({"email": "truncate"}, "masking.styles.email", "is no PAN: only these are truncated"),
    ({"emial": "label"}, "masking.styles.emial", "nothing that is looked for"),
    ({"private_key": "token"}, "masking.styles.private_key", "has no bound: a stream gives its mask"),
    ({"pan": {"request": "truncate", "response": "token"}}, "masking.styles.pan.request", ONE_SIDE),
    ({"pan": {"to": "token"}}, "masking.styles.pan.to", "unknown key"),
    ({"pan": {}}, "masking.styles.pan", "must not be empty"),
    ({"pan": ["token"]}, "masking.styles.pan", "is not a style"),
    ({"pan": {"request": "tokens"}}, "masking.styles.pan.request", "is not a style"),
    ({}, "masking.styles", "must not be empty"),
]


@pytest.mark.parametrize("case", STYLES_REFUSED, ids=lambda case: json.dumps(case[0]))
def test_styles_that_are_refused(case: tuple[dict[str, Any], str, str]) -> None:
    styles, path, message = case
    ((found_path, found),) = problems({"profile": ["pci-pii", "secrets"], "styles": styles})
    assert found_path == path
    assert message in found


def test_tokens_need_a_key_of_the_deployment() -> None:
    document = policy({"styles": {"pan": {"response": "token"}}})
    assert parse_policy(document).masking.styles(Side.RESPONSE) == {"pan": Style.TOKEN}
    with pytest.raises(PolicyInvalid, match=r"4:\d+: masking.styles.pan.response: `token` needs a key.*`mask_keys`"):
        parse_policy(document, has_mask_key=False)
    assert parse_policy(policy({"styles": {"pan": "numbered"}}), has_mask_key=False)


def test_a_style_of_a_rule_with_a_problem_is_not_told_again() -> None:
    written = {"styles": {"badge": "token"}, "rules": [{"name": "badge", "pattern": "x$"}]}
    assert [path for path, _ in problems(written)] == ["masking.rules[0].pattern"]


def test_no_rule_matches_in_what_a_style_writes() -> None:
    letters = {"rules": [{"name": "word", "pattern": r"[a-z]{20}"}]}
    assert masking_of(letters)
    for kind in ("pan", "word"):
        ((path, message),) = problems({**letters, "styles": {kind: "token"}})
        assert path == "masking.rules[0].pattern"
        assert message.startswith(f"matches in `[{kind.upper()}_k1_")
    numbers = {"rules": [{"name": "cvn", "pattern": r"\bC-\d{4}"}], "styles": {"cvn": "numbered"}}
    assert problems(numbers) == [("masking.rules[0].name", "its mask `[CVN_123]` is found as card data once more")]

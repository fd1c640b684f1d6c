"""Planted bugs: who may let a held request go on, and on which terms it is held."""

from tests.plants.plant import Plant

TERMS = "tests/core/test_policy_holds.py::"
CLAIMS = "tests/core/test_claims.py::"

PLANTS = (
    Plant(
        "a window of one rule serves what another rule holds as well",
        "core/policy/terms.py",
        "        window_seconds=0.0,\n        window_uses=0,\n",
        "",
        TERMS + "test_where_two_rules_hold_no_one_of_them_makes_it_easier",
    ),
    Plant(
        "an emergency of one rule is one of all",
        "core/policy/terms.py",
        "if all(group in o.emergency_groups for o in others)",
        "",
        TERMS + "test_where_two_rules_hold_no_one_of_them_makes_it_easier",
    ),
    Plant(
        "a quorum may be less than its groups",
        "core/policy/check_holds.py",
        "quorum < len(each_of)",
        "quorum < 1",
        TERMS + "test_terms_that_cannot_be_met_or_change_nothing_are_problems[a quorum below its groups]",
    ),
    Plant(
        "an address that nobody verified is somebody's other name",
        "core/claims.py",
        'not in (False, "false")',
        "is not None",
        CLAIMS + "test_an_address_that_its_issuer_calls_unverified_is_nobodys[False-False]",
    ),
    Plant(
        "other names differ by the case they are written in",
        "core/principal.py",
        "map(folded_uid, (*names, ",
        "map(str, (*names, ",
        CLAIMS + "test_other_names_of_a_person_are_folded_and_each_kept_once",
    ),
)

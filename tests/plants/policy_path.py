"""Planted bugs: what a policy may not loosen, and what is counted on the way of an exchange."""

from tests.plants.plant import Plant

PROFILES = "tests/core/test_policy_masking_profiles.py::"

PLANTS = (
    Plant(
        "an obliged profile may leave out what masking looks for",
        "core/masking_profiles.py",
        "if name not in rule_profiles(own)]",
        "if name in ()]",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may look for fewer cards",
        "core/masking_profiles.py",
        "if card_profile(own) == BALANCED and",
        "if False and",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may leave out a rule of masking",
        "core/masking_profiles.py",
        "        if name not in own:\n",
        "        if name not in own:\n            continue\n        if name not in own:\n",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may have another rule by the name of one of masking",
        "core/masking_profiles.py",
        "elif own[name] != rule:",
        "elif False:",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may let media through",
        "core/masking_profiles.py",
        "if own == Media.OPAQUE and",
        "if False and",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "a problem inside a masking profile has the path of the profile",
        "core/document.py",
        "written(path) + problem.path.removeprefix(name)",
        "written(path)",
        PROFILES + "test_problems_inside_a_profile_have_the_path_of_their_key",
    ),
    Plant(
        "a masking rule is called like the sum of findings",
        "core/masking_document.py",
        "if name == _SUM:",
        "if False:",
        PROFILES + "test_a_rule_is_not_called_like_the_sum_of_findings",
    ),
)

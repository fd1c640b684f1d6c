"""Planted bugs: what operators are told of a policy, its file and its tools."""

from tests.plants.plant import Plant

PIPELINE = "tests/core/test_pipeline_page.py::"

PLANTS = (
    Plant(
        "told: a pipeline installs another program of the same name",
        "core/POLICY.md",
        '"extproc @ git+https://git.example.com/security/extproc@0123456789abcdef0123456789abcdef01234567"',
        "extproc",
        PIPELINE + "test_the_pipeline_installs_one_commit_of_a_repository_and_nothing_by_a_name_of_the_index",
    ),
)

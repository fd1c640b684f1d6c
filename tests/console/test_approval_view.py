"""What an approval's page says of the votes."""

from dataclasses import replace

from extproc.console.approval_view import group_progress
from tests.core.test_approval_votes import PENDING, PEOPLE, vote


def test_of_a_group_that_two_people_are_needed_of_the_page_shows_one_missing() -> None:
    asked = replace(PENDING, each_of=("risk", "risk", "privacy"), quorum=3)
    shown = [(each.name, each.granted) for each in group_progress(vote(asked, PEOPLE[0]))]
    assert shown == [("risk", True), ("risk", False), ("privacy", False)]

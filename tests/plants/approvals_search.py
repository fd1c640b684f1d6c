"""Planted bugs: which approvals are found, and what a review leaves."""

from tests.plants.plant import Plant

SEARCH = "tests/approvals/test_approval_search.py::"
FINDS = SEARCH + "test_each_query_finds_what_it_describes_the_newest_first[sqlite]"
REVIEW = SEARCH + "test_an_emergency_is_reviewed_by_who_comes_first_and_never_by_who_asked[sqlite]"

PLANTS = (
    Plant(
        "whoever may not read reasons learns them by searching",
        "approvals/search.py",
        "*(_REASONS if query.in_reasons else ())",
        "*_REASONS",
        FINDS,
    ),
    Plant(
        "a searched text is a pattern",
        "approvals/search.py",
        "column.icontains(query.text, autoescape=True)",
        "column.icontains(query.text)",
        FINDS,
    ),
    Plant(
        "a part of a group's name is the group",
        "approvals/search.py",
        "position(column, json.dumps(group)) > 0",
        "position(column, group) > 0",
        FINDS,
    ),
    Plant(
        "who has voted is asked again",
        "approvals/search.py",
        "        yield and_(_row.requester_uid != query.decider_uid, not_(voted))\n",
        "        yield _row.requester_uid != query.decider_uid\n",
        FINDS,
    ),
    Plant(
        "an escalation that is still to come asks already",
        "approvals/search.py",
        "        escalated = _row.created_at + _row.escalate_after_seconds <= now\n",
        "        escalated = _row.created_at <= now\n",
        FINDS,
    ),
    Plant(
        "the next page leaves out what is as old as the last of this one",
        "approvals/search.py",
        "        yield or_(_row.created_at < created_at, and_(",
        "        yield and_(_row.created_at < created_at, or_(",
        FINDS,
    ),
    Plant(
        "what is due is counted as waiting",
        "approvals/store.py",
        '        """How many there are, of every state. What is due counts as expired."""\n'
        "        expire_all(self._database, now)\n",
        '        """How many there are, of every state. What is due counts as expired."""\n',
        SEARCH + "test_how_many_are_in_each_state_is_counted_as_of_now[sqlite]",
    ),
    Plant(
        "changes come in the order of ids",
        "approvals/changes.py",
        ".order_by(_row.revision).limit(limit)",
        ".order_by(_row.approval_id).limit(limit)",
        SEARCH + "test_what_has_changed_comes_once_in_the_order_of_its_last_change[sqlite]",
    ),
    Plant(
        "an emergency is reviewed twice",
        "approvals/votes.py",
        "before.emergency and not before.reviewed_by_uid)",
        "before.emergency)",
        REVIEW,
    ),
    Plant(
        "who went on in an emergency reviews it",
        "approvals/votes.py",
        " or folded_uid(later.decided_by_uid) == folded_uid(before.requester_uid):",
        ":",
        REVIEW,
    ),
)

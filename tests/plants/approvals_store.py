"""Planted bugs: what the approval store promises by itself, whoever calls it."""

from tests.plants.plant import Plant

HISTORIES = "tests/approvals/test_store_histories.py::"
MATTERS = HISTORIES + "test_a_history_that_matters_goes_as_the_model_says"
MIGRATIONS = "tests/approvals/test_migrations.py::"

PLANTS = (
    Plant(
        "another key of the client attaches as well",
        "approvals/opening.py",
        "        _row.idempotency == request.idempotency,\n",
        "",
        MATTERS + "[key]",
    ),
    Plant(
        "a request that no window is for is served by one",
        "approvals/opening.py",
        "    if not request.window_uses:\n        return None\n",
        "",
        MATTERS + "[window]",
    ),
    Plant(
        "a window that is over serves on",
        "approvals/opening.py",
        "    return [approval for approval in approvals if not is_due(approval, now)]",
        "    return approvals",
        MATTERS + "[window over]",
    ),
    Plant(
        "a window that was taken back serves on",
        "approvals/opening.py",
        "            _row.state == ApprovalState.GRANTED.value,\n",
        "",
        MATTERS + "[revoked]",
    ),
    Plant(
        "a revocation gives back the uses of a window",
        "approvals/votes.py",
        "    return change.keep(replace(before, state=state, **decision), before)",
        "    return change.keep(replace(later, state=state, **decision), before)",
        MATTERS + "[revoked]",
    ),
    Plant(
        "the uses of a window are not written down",
        "approvals/rows.py",
        '    *("uses", "granted_until",',
        '    *("granted_until",',
        MATTERS + "[window]",
    ),
    Plant(
        "the store does not keep the other names of who voted",
        "approvals/rows.py",
        '        "voter_aliases": json.dumps(vote.aliases),',
        '        "voter_aliases": "[]",',
        MATTERS + "[two]",
    ),
    Plant(
        "the store takes a vote of the requester's other account",
        "approvals/votes.py",
        "    aliases = {*approval.requester_aliases, *(",
        "    aliases = {*(",
        MATTERS + "[two]",
    ),
    Plant(
        "two changes have one number",
        "approvals/changes.py",
        "        self._next += 1\n",
        "",
        MATTERS + "[key]",
    ),
    Plant(
        "an older database is migrated though nobody said so",
        "approvals/database.py",
        "    if revision and migrate is Migrate.MANUAL:\n",
        "    if revision and migrate is None:\n",
        MIGRATIONS + "test_where_nobody_may_migrate_an_older_database_is_left_as_it_is[sqlite]",
    ),
    Plant(
        "a newer database is taken for one of this version",
        "approvals/database.py",
        "    if revision > NEWEST:\n",
        "    if NEWEST > revision > NEWEST:\n",
        MIGRATIONS + "test_a_newer_database_is_left_to_those_who_know_it[sqlite-manual]",
    ),
)

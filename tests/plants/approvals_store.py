"""Planted bugs: what the approval store promises by itself, whoever calls it."""

from tests.plants.plant import Plant

HISTORIES = "tests/approvals/test_store_histories.py::"
MATTERS = HISTORIES + "test_a_history_that_matters_goes_as_the_model_says"
DUE = "tests/approvals/test_due.py::"
CONSOLE_DUE = "tests/console/test_approvals_due.py::"
LEFT = CONSOLE_DUE + "test_what_a_console_left_that_died_is_recorded_by_another_one_after_a_while"
ONE_S = DUE + "test_a_step_is_one_console_s_until_it_is_recorded_or_the_console_is_taken_for_dead"
COMMAND = "tests/approvals/test_approvals_command.py::"
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
        "approvals/revisions.py",
        "    if revision and migrate is Migrate.MANUAL:\n",
        "    if revision and migrate is None:\n",
        MIGRATIONS + "test_where_nobody_may_migrate_an_older_database_is_left_as_it_is[sqlite]",
    ),
    Plant(
        "a newer database is taken for one of this version",
        "approvals/revisions.py",
        "    if revision > NEWEST:\n",
        "    if NEWEST > revision > NEWEST:\n",
        MIGRATIONS + "test_a_newer_database_is_left_to_those_who_know_it[sqlite-manual]",
    ),
    Plant(
        "the command shows a masked request and records nothing of it",
        "cli/approvals.py",
        "Decisions(store, writer(settings, NOT_SHOWN))",
        "Decisions(store, lambda records: None)",
        COMMAND + "test_who_reads_a_masked_request_is_recorded_first",
    ),
    Plant(
        "the command goes on without the record",
        "cli/approvals_store.py",
        "            leave(otherwise, EXIT_INPUT)\n",
        "            click.echo(otherwise, err=True)\n",
        COMMAND + "test_a_reading_that_cannot_be_recorded_shows_nothing[arguments0]",
    ),
    Plant(
        "a step is done with before its record is durable",
        "console/approvals_due.py",
        "                    await self._log.store(_record(step, approval))\n                    owed.popleft()\n"
        "                    await asyncio.to_thread(self._store.recorded, step, approval.approval_id)\n",
        "                    owed.popleft()\n"
        "                    await asyncio.to_thread(self._store.recorded, step, approval.approval_id)\n"
        "                    await self._log.store(_record(step, approval))\n",
        LEFT + "[600-approval.expire-False]",
    ),
    Plant(
        "every console records every step",
        "approvals/steps.py",
        "    free = (_is(step), _row.leased_until <= now)\n",
        "    free = (_is(step),)\n",
        ONE_S + "[sqlite-expired]",
    ),
    Plant(
        "a console that died keeps its steps for ever",
        "approvals/steps.py",
        "values(leased_until=now + LEASE_SECONDS)",
        "values(leased_until=9e12)",
        ONE_S + "[sqlite-escalated]",
    ),
    Plant(
        "what was recorded is recorded again",
        "approvals/steps.py",
        "        connection.execute(delete(UNRECORDED_STEPS).where(_is(step), _row.approval_id == approval_id))\n",
        "        connection.execute(delete(UNRECORDED_STEPS).where(_is(step), _row.approval_id == step))\n",
        ONE_S + "[sqlite-expired]",
    ),
    Plant(
        "who could not record takes the lease of another",
        "approvals/steps.py",
        ", _row.leased_until == leased_at + LEASE_SECONDS)",
        ")",
        ONE_S + "[sqlite-expired]",
    ),
    Plant(
        "what has ended escalates",
        "approvals/due.py",
        "        _row.state == ApprovalState.PENDING.value,\n",
        "",
        DUE + "test_what_escalates_stays_pending_and_what_has_ended_does_not_escalate[sqlite]",
    ),
    Plant(
        "nobody is asked beyond the first group while the log takes nothing",
        "console/approvals_due.py",
        "        expired = await asyncio.to_thread(self._store.expire_due, now)\n",
        "        expired = await asyncio.to_thread(self._store.expire_due, now)\n"
        "        if expired:\n            return deque((Step.EXPIRED, each) for each in expired)\n",
        CONSOLE_DUE + "test_further_groups_are_asked_also_while_nothing_can_be_recorded",
    ),
)

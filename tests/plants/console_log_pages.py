"""Planted bugs: the console's pages of sessions, policy, health, evidence and notifications."""

from tests.plants.plant import Plant

LOG = "tests/console/test_log_pages.py::"
SESSIONS = "tests/console/test_session_pages.py::"

PLANTS = (
    Plant(
        "console pages: facts of a session are read unrecorded",
        "console/pages_session.py",
        '    await record_read(request, person, "audit.show", exchange=exchange_id)\n',
        "",
        SESSIONS + "test_a_reader_sees_the_facts_and_no_word_of_what_was_said",
    ),
    Plant(
        "console pages: a transcript is opened before its reading is recorded",
        "console/pages_session.py",
        '        await record_read(request, person, "audit.replay", exchange=exchange_id, view=view)\n',
        "        pass\n",
        SESSIONS + "test_nothing_of_a_session_is_shown_while_the_reading_cannot_be_recorded[/replay.json]",
    ),
    Plant(
        "console pages: records are downloaded unrecorded",
        "console/pages_session.py",
        '    await record_read(request, person, "audit.export", exchange=exchange_id, format="jsonl")\n',
        "",
        SESSIONS + "test_nothing_of_a_session_is_shown_while_the_reading_cannot_be_recorded[/records.jsonl]",
    ),
    Plant(
        "console pages: a list is read unrecorded",
        "console/pages_sessions.py",
        '    await record_read(request, person, "audit.list", range=asked.range, **dict(asked.said))\n',
        "",
        SESSIONS + "test_a_list_that_cannot_be_recorded_is_not_shown",
    ),
    Plant(
        "console pages: what is typed into a filter is recorded as it is",
        "console/reads.py",
        "return mask_argument(value[:_MAX_MASKED])[:MAX_SAID] if isinstance(value, str) else value",
        "return value[:MAX_SAID] if isinstance(value, str) else value",
        SESSIONS + "test_a_card_number_in_a_filter_is_masked_in_the_record",
    ),
    Plant(
        "console pages: readers read transcripts",
        "console/pages_session.py",
        "    may_read = Role.AUDITOR in roles\n",
        "    may_read = bool(roles)\n",
        SESSIONS + "test_a_reader_sees_the_facts_and_no_word_of_what_was_said",
    ),
    Plant(
        "console pages: what was blocked looks like a success",
        "console/verdicts.py",
        '"blocked": Look(State.FAILING, "Blocked")',
        '"blocked": Look(State.WELL, "Blocked")',
        SESSIONS + "test_what_was_blocked_says_so_first_and_is_no_success",
    ),
    Plant(
        "console pages: what was said is markup",
        "console/templates/spoken.html",
        "{% else %}{{ stretch.text | plain }}{% endif %}{% endfor %}{% endmacro %}",
        "{% else %}{{ stretch.text | safe }}{% endif %}{% endfor %}{% endmacro %}",
        SESSIONS + "test_an_auditor_reads_prompt_and_answer_with_masks_marked_and_markup_as_text",
    ),
    Plant(
        "console pages: one turn fills any page",
        "console/session_view.py",
        "    stretches, left_out = cut(stretches_of(turn), 0, TURN_CHARACTERS)\n",
        "    stretches, left_out = cut(stretches_of(turn), 0, 10**9)\n",
        SESSIONS + "test_a_turn_and_a_page_of_turns_are_bounded",
    ),
    Plant(
        "console pages: a replay loads anything",
        "console/session_view.py",
        "if characters + size > REPLAY_CHARACTERS or parts >= REPLAY_PARTS:",
        "if parts >= REPLAY_PARTS:",
        SESSIONS + "test_a_replay_is_bounded_and_says_what_is_left_out",
    ),
    Plant(
        "console pages: a download is shown by the browser",
        "console/downloads.py",
        """f'attachment; filename="{name}"'""",
        """f'inline; filename="{name}"'""",
        SESSIONS + "test_the_records_are_a_file_and_as_they_are_stored",
    ),
    Plant(
        "console pages: evidence is for every reader",
        "console/pages_evidence.py",
        '    """Drop the pack from memory."""\n    await require_role(request, Role.AUDITOR)\n',
        '    """Drop the pack from memory."""\n    await require_role(request, Role.READER)\n',
        LOG + "test_each_route_is_for_its_roles_alone[reader]",
    ),
    Plant(
        "console pages: a pack is begun unrecorded",
        "console/pages_evidence.py",
        '    await record_read(request, person, "evidence", from_ms=from_ms, to_ms=to_ms)\n',
        "",
        LOG + "test_no_pack_is_begun_while_the_reading_cannot_be_recorded",
    ),
    Plant(
        "console pages: a pack is downloaded unrecorded",
        "console/pages_evidence.py",
        '    await record_read(request, person, "evidence.download", file=name, period=_words(ready))\n',
        "",
        LOG + "test_a_pack_is_made_and_downloaded_and_both_are_recorded_first",
    ),
    Plant(
        "console pages: another site has dead letters sent",
        "console/pages_notifications.py",
        "    form = await read_own_form(request)\n",
        "    from extproc.console.forms import read_form\n\n    form = await read_form(request)\n",
        LOG + "test_nothing_is_told_again_by_a_form_of_another_site",
    ),
    Plant(
        "console pages: records are looked over unrecorded",
        "console/looking.py",
        '            await record_read(request, person, "audit.overview", range=asked)\n',
        "            pass\n",
        LOG + "test_health_is_shown_while_nothing_can_be_recorded_and_the_records_are_not",
    ),
    Plant(
        "console pages: any policy of a worker is the file's",
        "console/pages_policy.py",
        '[(writer.policy, "" if writer.policy == file.digest else "another policy") for writer in writers]',
        '[(writer.policy, "") for writer in writers]',
        LOG + "test_the_policy_page_says_when_file_and_workers_differ",
    ),
    Plant(
        "console pages: a failure that is not over is said to be over",
        "audit/reading/overview.py",
        "sorted((each for each in self.incidents.found if not each.end_ms), key=lambda each: -each.start_ms)",
        "[]",
        LOG + "test_health_says_what_failed_and_whether_it_is_over",
    ),
    Plant(
        "console pages: what went wrong unexpectedly is told to whoever looks",
        "console/jobs.py",
        'job.failure = "it failed unexpectedly; the console\'s log says how"',
        "job.failure = str(error)",
        "tests/console/test_jobs.py::test_why_it_failed_is_said_where_it_is_ours_to_say",
    ),
    Plant(
        "console pages: a pack stays in memory for good",
        "console/jobs.py",
        "if job is not None and job.ended and self._clock() - job.ended > KEEP_SECONDS:",
        "if job is not None and job.ended and self._clock() - job.ended > 10**9:",
        "tests/console/test_jobs.py::test_a_result_is_kept_for_a_while_and_no_longer",
    ),
)

"""Planted bugs: one session as a page shows it, and the command that makes the session index anew."""

from tests.plants.plant import Plant

ACCOUNT = "approvals/account.py"
CONTENT = "approvals/session_content.py"
LIGHT = "audit/verify/light.py"
REINDEX = "approvals/index/reindex.py"
COMMAND = "cli/audit_reindex.py"
ACCOUNT_TESTS = "tests/audit/test_session_account.py::"
REINDEX_TESTS = "tests/audit/test_audit_reindex.py::"

PLANTS = (
    Plant(
        "what was said is opened before its reading is recorded",
        CONTENT,
        "    await record_first()\n    return await asyncio.to_thread(_read_content, source, exchange_id, max(first_event, 0))",
        "    found = await asyncio.to_thread(_read_content, source, exchange_id, max(first_event, 0))\n"
        "    await record_first()\n    return found",
        ACCOUNT_TESTS + "TestNotReadable::test_nothing_is_opened_when_the_reading_cannot_be_recorded",
    ),
    Plant(
        "a mask across two pieces is not marked",
        CONTENT,
        'find("".join(text for _, text in said))',
        "find(said[0][1])",
        ACCOUNT_TESTS + "test_what_was_said_has_its_masks_marked",
    ),
    Plant(
        "what was said steers the terminal and hides",
        CONTENT,
        "append((step.at, printable(step.said.text)))",
        "append((step.at, step.said.text))",
        ACCOUNT_TESTS + "test_what_was_said_has_its_masks_marked",
    ),
    Plant(
        "an event fills any page",
        CONTENT,
        "piece.data[:EVENT_SHOWN].decode",
        "piece.data.decode",
        ACCOUNT_TESTS + "test_an_event_is_shown_to_a_bound_and_pages_go_on",
    ),
    Plant(
        "what is under way reads as whole",
        CONTENT,
        "        ContentState.READABLE if transcript.closed else ContentState.UNDER_WAY,\n",
        "        ContentState.READABLE,\n",
        ACCOUNT_TESTS + "test_an_event_is_shown_to_a_bound_and_pages_go_on",
    ),
    Plant(
        "an exchange of which only some records are there has ended",
        ACCOUNT,
        "ended_ms=last.time_ms if exchange.ended else 0,",
        "ended_ms=last.time_ms,",
        ACCOUNT_TESTS + "TestNotReadable::test_states_that_are_no_errors",
    ),
    Plant(
        "phases overlap",
        ACCOUNT,
        "        at = end\n",
        "        at = 0.0\n",
        ACCOUNT_TESTS + "test_phases_follow_one_another_and_end_with_the_exchange",
    ),
    Plant(
        "a shredding has no reason on the page",
        ACCOUNT,
        'shredded_why=str(shredded.detail.get("reason", ""))',
        'shredded_why=""',
        ACCOUNT_TESTS + "TestNotReadable::test_a_shredded_transcript_says_so_and_a_lost_key_does_not_pass_for_it",
    ),
    Plant(
        "records that were changed hold in a light check",
        LIGHT,
        "        verify_evidence(signed.manifest, read)\n",
        "",
        ACCOUNT_TESTS + "TestChecks::test_what_was_changed_does_not_hold[records]",
    ),
    Plant(
        "a transcript that was changed holds in a light check",
        LIGHT,
        "        verify_content(\n",
        "        (lambda *_, **__: None)(\n",
        ACCOUNT_TESTS + "TestChecks::test_what_was_changed_does_not_hold[transcripts]",
    ),
    Plant(
        "a journal passes for signed",
        LIGHT,
        "CheckState.NOT_SEALED, ",
        "CheckState.HOLDS, ",
        ACCOUNT_TESTS + "TestChecks::test_a_journal_has_no_signature_yet_and_a_sealed_segment_holds",
    ),
    Plant(
        "reindex reads everything each time",
        REINDEX,
        "first = mark.next_segment if mark else 1",
        "first = 1",
        REINDEX_TESTS + "test_it_reads_what_is_new_and_nothing_twice",
    ),
    Plant(
        "reindex from a time on reads only what is new",
        REINDEX,
        "first = min(first, reader.first_segment(epochs[origin]))",
        "pass",
        REINDEX_TESTS + "test_from_a_time_on_it_reads_again_what_was_sealed_since",
    ),
    Plant(
        "reindex is recorded nowhere",
        COMMAND,
        '    where.record_read("audit.reindex", {"from": since, "rebuild": rebuild})\n',
        "",
        REINDEX_TESTS + "TestCommand::test_it_is_recorded_first_and_says_what_it_did",
    ),
    Plant(
        "a rebuild keeps what is there",
        COMMAND,
        "            writer.empty()\n",
        "",
        REINDEX_TESTS + "TestCommand::test_a_rebuild_says_what_it_means_and_makes_the_same",
    ),
    Plant(
        "reindex ends well with segments left out",
        COMMAND,
        "        sys.exit(EXIT_INPUT)\n",
        "",
        REINDEX_TESTS + "TestCommand::test_a_segment_that_is_not_what_was_sealed_is_named_and_ends_with_2",
    ),
    Plant(
        "a segment that is not what was sealed is taken over",
        "audit/reading/reader.py",
        '            raise AuditRefused("is not what it says in its manifest")\n',
        "            pass\n",
        REINDEX_TESTS + "TestCommand::test_a_segment_that_is_not_what_was_sealed_is_named_and_ends_with_2",
    ),
    Plant(
        "what was said stands in an error's words",
        CONTENT,
        '    text: str = field(repr=False)\n    masked: str = ""\n',
        '    text: str\n    masked: str = ""\n',
        ACCOUNT_TESTS + "test_what_was_said_has_its_masks_marked",
    ),
)

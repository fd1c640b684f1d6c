"""Planted bugs: reading the log."""

from tests.plants.plant import Plant

LIST = "tests/audit/test_audit_list.py::"
REPLAY = "tests/audit/test_audit_replay.py::"
SAID = "tests/audit/test_audit_said.py::"
EXPORT = "tests/audit/test_audit_export.py::"
QUERIES = "tests/audit/test_audit_queries.py::"

PLANTS = (
    Plant(
        "reading: a span leaves out what a clock that was set put a little outside",
        "audit/reading/reader.py",
        "CLOCK_SLACK_MS = 10 * 60 * 1000",
        "CLOCK_SLACK_MS = 0",
        LIST + "test_a_clock_that_was_set_a_little_hides_nothing",
    ),
    Plant(
        "reading: a span fetches every segment that is older",
        "audit/reading/reader.py",
        "        if not self.span.since_ms:",
        "        if True:",
        LIST + "test_a_span_finds_what_is_in_it_and_reads_little_else",
    ),
    Plant(
        "reading: the days after a span are listed",
        "audit/reading/reader.py",
        "> span.last_day:",
        "> span.last_day and False:",
        LIST + "test_days_after_the_span_are_not_even_listed",
    ),
    Plant(
        "reading: an ended exchange is kept until all is read",
        "audit/reading/exchanges.py",
        "            del under_way[exchange_id]\n",
        "            continue\n",
        LIST + "test_memory_holds_the_exchanges_under_way_only",
    ),
    Plant(
        "reading: what follows an end is taken for another exchange",
        "audit/reading/exchanges.py",
        "if not exchange_id or exchange_id in ended or code not in",
        "if not exchange_id or code not in",
        LIST + "test_what_is_under_way_comes_last_and_what_follows_an_end_is_no_other_exchange",
    ),
    Plant(
        "reading: an exchange under way has an outcome",
        "audit/reading/exchanges.py",
        "return str(self.last.status) if self.ended else UNDER_WAY",
        "return str(self.last.status)",
        LIST + "test_what_is_under_way_comes_last_and_what_follows_an_end_is_no_other_exchange",
    ),
    Plant(
        "reading: evidence that is not what its manifest says is read like any other",
        "audit/reading/reader.py",
        "if hashlib.sha256(evidence).hexdigest() != segment.seal.evidence.sha256:",
        "if False:",
        EXPORT + "TestWholeOrNotAtAll::test_a_log_that_is_not_as_its_manifests_say_is_not_exported",
    ),
    Plant(
        "reading: a segment that is missing is passed over",
        "audit/reading/reader.py",
        '                self._note(epoch, number, "is missing")\n',
        "",
        LIST + "TestCommand::test_a_missing_segment_is_said",
    ),
    Plant(
        "reading: a list is shown though the reading could not be recorded",
        "cli/audit_list.py",
        '    where.record_read("audit.list", {name: value for name, value in asked.items() if value})\n',
        "",
        REPLAY + "test_nothing_is_shown_when_the_reading_cannot_be_recorded",
    ),
    Plant(
        "reading: a replay is shown though the reading could not be recorded",
        "cli/audit_replay.py",
        '    where.record_read("audit.replay", {"exchange": exchange_id[:128], "view": "raw" if raw else "conversation"})\n',
        "",
        REPLAY + "test_nothing_is_shown_when_the_reading_cannot_be_recorded",
    ),
    Plant(
        "reading: an export begins though it could not be recorded",
        "cli/audit_export.py",
        '    where.record_read("audit.export", {**asked, "state": "begun"})\n',
        "",
        EXPORT + "TestRecorded::test_nothing_is_exported_when_that_cannot_be_recorded",
    ),
    Plant(
        "replay: what a model says steers the terminal",
        "cli/audit_play.py",
        'printable(step.said.text).replace("\\n", "\\n" + _INDENT)',
        'step.said.text.replace("\\n", "\\n" + _INDENT)',
        REPLAY + "test_a_conversation_has_roles_texts_and_tool_calls",
    ),
    Plant(
        "replay: a conversation takes no time",
        "cli/audit_play.py",
        "        self._pace.wait(step.at)\n",
        "",
        REPLAY + "test_it_takes_as_long_as_it_took",
    ),
    Plant(
        "replay: events that a group commit cut are lost",
        "audit/reading/answer_stream.py",
        "        del self._buffer[:start]\n",
        "        self._buffer.clear()\n",
        SAID + "test_a_streamed_text_is_joined",
    ),
    Plant(
        "replay: what no dialect knows is left out",
        "audit/reading/said.py",
        'return [Said(0, "answer", as_text(document))] if said is None else',
        "return [] if said is None else",
        SAID + "test_what_is_not_understood_is_said_as_it_is",
    ),
    Plant(
        "export: an event has our own field at its top",
        "audit/reading/export_ocsf.py",
        '{"chain": event.pop("chain"), "outcome"',
        '{"chain": event["chain"], "outcome"',
        EXPORT + "TestOcsf::test_every_event_with_every_outcome_is_a_valid_one",
    ),
    Plant(
        "what a killed export left stays for ever",
        "audit/reading/export.py",
        "    _remove_dead(output)\n",
        "",
        EXPORT + "TestWholeOrNotAtAll::test_what_a_killed_export_left_is_taken_away_by_the_next_and_nothing_else",
    ),
    Plant(
        "an export takes away the half of one that lives",
        "audit/reading/export.py",
        "                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        EXPORT + "TestWholeOrNotAtAll::test_what_a_killed_export_left_is_taken_away_by_the_next_and_nothing_else",
    ),
    Plant(
        "export: what was half written stays",
        "audit/reading/export.py",
        "        shutil.rmtree(work, ignore_errors=True)\n",
        "",
        EXPORT + "TestWholeOrNotAtAll::test_a_disk_that_is_full_leaves_nothing",
    ),
    Plant(
        "export: counts of findings are those of the prompt",
        "audit/reading/export_parquet.py",
        '"response_kinds": found(record.findings_response)',
        '"response_kinds": found(record.findings_request)',
        QUERIES + "test_who_saw_card_data",
    ),
    Plant(
        "export: the rows that do not fill a group are lost",
        "audit/reading/export_parquet.py",
        "        try:\n            self._columns()\n",
        "        try:\n",
        EXPORT + "test_rows_go_in_groups_and_none_is_lost",
    ),
    Plant(
        "export: a later part of a day takes the place of the first",
        "audit/reading/export.py",
        "number = sum(1 for _ in folder.iterdir())",
        "number = len(self._open)",
        EXPORT + "test_files_stay_open_for_a_few_days_only_and_late_records_get_a_part",
    ),
    Plant(
        "reading: a bucket is listed in all its planes",
        "audit/reading/reader.py",
        'store.list(f"v1/evidence/{deployment}/" if deployment else "v1/evidence/")',
        'store.list("v1/")',
        LIST + "test_days_after_the_span_are_not_even_listed",
    ),
    Plant(
        "replay: a refused exchange is silent",
        "cli/audit_play.py",
        "{_heading(exchange)}\\n{words}",
        "",
        REPLAY + "TestNothingCrossed::test_a_refused_exchange_says_why",
    ),
)

"""Planted bugs: what the evidence pack and a second shredding may say."""

from tests.plants.plant import Plant

SHRED = "tests/audit/test_audit_shred.py::"
JUDGED = "tests/audit/test_evidence_judgements.py::"

PLANTS = (
    Plant(
        "an exchange without transcript is shredded",
        "audit/retention/shred.py",
        "    if not over.has_transcript and not _approvals(over):",
        "    if False:",
        SHRED + "test_without_transcript_nothing_is_shredded",
    ),
    Plant(
        "a key that was lost is excused by two people",
        "audit/retention/shred.py",
        "            if not found.holders and not begun and exchange.has_transcript:",
        "            if False:",
        SHRED + "test_a_key_that_was_lost_is_not_called_shredded",
    ),
    Plant(
        "a second confirmation is a second shredding",
        "audit/retention/shred.py",
        "            if not found.holders and _is_done(exchange):",
        "            if False:",
        SHRED + "test_a_second_confirmation_destroys_and_records_nothing",
    ),
    Plant(
        "evidence: a shredding that destroyed nothing counts",
        "audit/evidence/facts.py",
        'and (keys := int(_number(detail.get("keys")))):',
        'and (keys := 1 + int(_number(detail.get("keys")))):',
        JUDGED + "test_shreddings_are_counted_by_what_they_destroyed",
    ),
    Plant(
        "evidence: a client that left was refused",
        "audit/evidence/facts.py",
        "        elif record.status is Outcome.ABANDONED:",
        "        elif False:",
        JUDGED + "test_a_client_that_left_was_refused_by_nobody",
    ),
    Plant(
        "evidence: of key files only some are counted",
        "audit/evidence/requirements_data.py",
        "sum(key.provider is Provider.FILE for key in subject.keys)",
        "sum(key.falls_short for key in subject.keys)",
        JUDGED + "test_keys_are_counted_as_the_table_lists_them",
    ),
    Plant(
        "evidence: moments are numbers",
        "audit/evidence/page.py",
        'case int() | float() if name.endswith("_ms"):',
        "case int() | float() if not name:",
        "tests/audit/test_evidence_pack.py::TestHtml::test_what_records_say_is_shown_in_words",
    ),
    Plant(
        "replay: a rule's refusal has a sentence that nobody was told",
        "approvals/spoken.py",
        "    if reason == Reason.POLICY_DENIED and exchange.rule:",
        "    if not reason:",
        "tests/audit/test_audit_replay.py::TestNothingCrossed::test_a_refused_exchange_says_why",
    ),
    Plant(
        "evidence: a log that does not hold shows what it says",
        "audit/evidence/requirement.py",
        "        if doubt and self.basis is Basis.RECORDS:",
        "        if False:",
        JUDGED + "test_what_rests_on_records_is_not_shown_by_a_log_that_does_not_hold",
    ),
    Plant(
        "evidence: an open alarm is no doubt",
        "audit/evidence/subject.py",
        "        if any(name != AlarmName.SILENT for name, _ in alarms):",
        "        if False:",
        JUDGED + "test_what_rests_on_records_is_not_shown_by_a_log_that_does_not_hold",
    ),
    Plant(
        "evidence: today's settings show a period without records",
        "audit/evidence/requirement.py",
        "        if subject.facts.records == 0:",
        "        if False:",
        JUDGED + "test_a_period_without_records_shows_nothing",
    ),
    Plant(
        "a register that lacks its first entry says when the log began",
        "audit/verify/registry.py",
        "            return 0\n        return min(chain[1].registered_ms for chain in self._chains.values())",
        "            pass\n        return min(min(chain.values(), key=lambda link: link.registered_ms).registered_ms for chain in self._chains.values())",
        "tests/audit/test_audit_range.py::test_a_register_without_its_first_entry_does_not_say_when_the_log_began",
    ),
    Plant(
        "evidence: why a period is incomplete is not said",
        "audit/evidence/rows.py",
        "if begin is not None and report.begins_ms > begin and",
        "if begin is None and",
        "tests/audit/test_evidence_pack.py::TestOutcomes::test_a_period_that_begins_before_the_log_is_said_to",
    ),
    Plant(
        "evidence: what only tells counts as a finding",
        "audit/verify/report.py",
        "            self.against += finding.level > Level.TELLS",
        "            self.against += 1",
        "tests/audit/test_evidence_pack.py::TestOutcomes"
        "::test_beside_a_living_worker_what_it_has_written_counts_and_is_proven",
    ),
)

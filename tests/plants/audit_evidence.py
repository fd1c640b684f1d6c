"""Planted bugs: the evidence pack."""

from tests.plants.plant import Plant

PACK = "tests/audit/test_evidence_pack.py::"
NUMBERS = PACK + "TestNumbers::"

PLANTS = (
    Plant(
        "evidence: records outside of the period are counted",
        "audit/evidence/facts.py",
        "if not self.from_ms <= record.time_ms < self.to_ms:",
        "if not self.from_ms <= record.time_ms <= self.to_ms:",
        "tests/audit/test_evidence_judgements.py::test_a_period_ends_before_its_end",
    ),
    Plant(
        "evidence: two passwords are two factors",
        "audit/evidence/factors.py",
        "len({_FACTORS[method] for method in said if method in _FACTORS}) > 1",
        "len({method for method in said if method in _FACTORS}) > 1",
        PACK + "test_two_methods_of_one_kind_are_one_factor",
    ),
    Plant(
        "evidence: programs count as people",
        "audit/evidence/facts.py",
        "            factors.automated += 1\n            return\n",
        "            factors.automated += 1\n",
        NUMBERS + "test_factors_of_people_and_not_of_programs",
    ),
    Plant(
        "evidence: findings of a response are not counted",
        "audit/evidence/facts.py",
        '("response", record.findings_response)',
        '("response", record.findings_request)',
        NUMBERS + "test_findings_by_kind_and_direction_and_what_was_not_looked_into",
    ),
    Plant(
        "evidence: a second report of a failure is a second failure",
        "audit/evidence/incidents.py",
        "            known.reports += 1\n            known.origin = origin\n            return\n",
        "            known.reports += 1\n",
        NUMBERS + "test_failures_of_controls_with_start_end_duration_and_cause",
    ),
    Plant(
        "evidence: a failure that is not over is counted as ended",
        "audit/evidence/requirements_log.py",
        "ended = sum(bool(each.end_ms) for each in found)",
        "ended = len(found)",
        NUMBERS + "test_failures_of_controls_with_start_end_duration_and_cause",
    ),
    Plant(
        "evidence: the oldest retention check is shown",
        "audit/evidence/facts.py",
        "item.record.time_ms >= known.record.time_ms",
        "item.record.time_ms < known.record.time_ms",
        NUMBERS + "test_policies_decisions_shreddings_retention_and_clocks",
    ),
    Plant(
        "evidence: what was not looked into does not matter",
        "audit/evidence/requirements_data.py",
        "(Status.ENFORCED, subject.detects(*kinds) and subject.requests > 0 and opaque == 0)",
        "(Status.ENFORCED, subject.detects(*kinds) and subject.requests > 0)",
        NUMBERS + "test_findings_by_kind_and_direction_and_what_was_not_looked_into",
    ),
    Plant(
        "evidence: a wait that was over is a refusal",
        "audit/evidence/facts.py",
        "        elif code is EventCode.APPROVAL_WAIT_OVER:\n            self.wait_over += 1\n",
        "",
        "tests/audit/test_evidence_judgements.py::test_who_waited_for_a_decision_in_vain_was_refused_by_nobody",
    ),
    Plant(
        "evidence: key files meet 3.6.1.2",
        "audit/keys/register.py",
        "return is_there and self.provider is Provider.FILE and self.purpose is not Purpose.DIGEST",
        "return is_there and self.purpose is Purpose.MASK",
        NUMBERS + "test_callers_and_keys_and_the_store",
    ),
    Plant(
        "evidence: a local directory is write-once",
        "audit/evidence/requirements_log.py",
        "locks = isinstance(store, S3Store) and not store.accept_no_object_lock and not accepted",
        "locks = not accepted",
        NUMBERS + "test_callers_and_keys_and_the_store",
    ),
    Plant(
        "evidence: foreign text is not masked",
        "edge/evidence_making.py",
        "return lambda text: printable_line(scanner.masker().mask_text(text))",
        "return printable_line",
        PACK + "TestHtml::test_no_card_number_is_in_either_file",
    ),
    Plant(
        "evidence: the reading is recorded when the pack is written",
        "cli/evidence.py",
        '        where.record_read("evidence", {"from_ms": from_ms, "to_ms": to_ms})\n',
        "",
        PACK + "TestOutcomes::test_the_reading_is_recorded_first_and_without_that_nothing_is_written",
    ),
    Plant(
        "evidence: an empty period is proven",
        "audit/evidence/build.py",
        "empty = facts.records == 0",
        "empty = False",
        PACK + "TestOutcomes::test_an_empty_period_is_incomplete_and_says_so",
    ),
    Plant(
        "evidence: half a pack is left behind",
        "audit/evidence/files.py",
        "            shutil.rmtree(made)\n",
        "            made.rmdir()\n",
        PACK + "TestOutcomes::test_a_failed_write_leaves_no_half_pack",
    ),
    Plant(
        "evidence: a policy for everybody denies strangers",
        "audit/evidence/subject.py",
        "return all(authorize(self.policy, each).effect is Effect.DENY for each in inputs)",
        "return any(inputs)",
        PACK + "TestOutcomes::test_an_open_policy_is_not_called_deny_all",
    ),
    Plant(
        "evidence: names without number",
        "audit/evidence/tally.py",
        "if name in self._counts or len(self._counts) < MAX_NAMES:",
        "if name:",
        PACK + "test_a_tally_holds_so_many_names_and_counts_the_rest",
    ),
    Plant(
        "evidence: an inspection of long ago shows what the store enforces",
        "audit/evidence/requirements_log.py",
        "passed = seen is not None and seen.immutable and days is not None and days <= INSPECTION_DAYS",
        "passed = seen is not None and seen.immutable and days is not None",
        "tests/audit/test_evidence_judgements.py::test_a_status_follows_from_the_facts",
    ),
    Plant(
        "evidence: a store that was accepted in words is locked",
        "audit/evidence/requirements_log.py",
        " and not accepted\n    seen",
        "\n    seen",
        "tests/audit/test_evidence_judgements.py::test_a_status_follows_from_the_facts",
    ),
    Plant(
        "evidence: an inspection that only began counts",
        "audit/evidence/facts.py",
        "case EventCode.STORE_INSPECT if capabilities(detail) is not None:",
        "case EventCode.STORE_INSPECT:",
        "tests/audit/test_evidence_judgements.py::test_a_begun_inspection_is_none",
    ),
)

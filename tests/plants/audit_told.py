"""Planted bugs: what verify and the anchor say of what they cannot prove, and of which part of it."""

from tests.plants.plant import Plant

_ROTATED = "tests/audit/test_audit_keys.py::TestRotation::"
_TOLD_ONCE = f"{_ROTATED}test_with_the_old_public_keys_what_the_new_one_signed_is_told_once_and_by_its_cause"
_LIVING = f"{_ROTATED}test_a_living_epoch_of_another_key_is_told_once_too_and_damage_is_told_as_damage"
_CLOSED = "tests/audit/test_audit_anchor.py::TestRotation::test_the_alarms_of_a_new_key_close_once_the_public_key_file_holds_it"
_RANGE = "tests/audit/test_audit_range.py::"
_LEFT_OUT = f"{_RANGE}TestSpans::test_a_broken_segment_is_left_out"
_UNFILLED = f"{_RANGE}TestSpans::test_what_another_epoch_proves_of_that_time_does_not_fill_it"
_MISSING = f"{_RANGE}TestSpans::test_a_missing_epoch_leaves_all_out_from_its_beginning_on"
_LISTED = f"{_RANGE}TestSpans::test_the_report_lists_them_and_says_that_findings_stand"
_COPY = f"{_RANGE}TestCopyOfALivingLog::"
_LATE = f"{_COPY}test_a_tail_that_was_cut_is_missed_also_where_the_segment_before_it_was_sealed_late"
_NAMED = "tests/audit/test_audit_cli.py::TestVerify::test_a_finding_about_an_object_names_its_key"
_SETTINGS = "tests/audit/test_audit_anchor_cli.py::test_wrong_settings_end_with_2_and_name_file_place_and_remedy"
_OUTLIVED = (
    "tests/audit/test_audit_anchor.py::TestEpochThatOutlivesItsRetention::"
    "test_a_segment_may_go_when_the_next_one_was_begun_before_the_retention"
)
_SEVERAL = "tests/audit/test_audit_anchor_cli.py::test_several_alarms_are_acknowledged_at_once_all_or_none"
_FORGED = (
    "tests/audit/test_audit_anchor.py::TestRotation::test_what_a_forger_signed_stays_open_also_behind_a_part_that_holds"
)

PLANTS = (
    Plant(
        "a key that is not in the public key file is taken for damage",
        "audit/verify/segment.py",
        "    except UnnamedKey as error:\n        raise Broken(Name.ALTERED, str(error), Part.MANIFEST) from error\n",
        "",
        _TOLD_ONCE,
    ),
    Plant(
        "a key that is not in the public key file is told for each object",
        "audit/verify/report.py",
        "if finding.what == UNNAMED_KEY and self._is_told_again():",
        "if False:",
        _TOLD_ONCE,
    ),
    Plant(
        "the spool's newest entry is missed where its key is not known",
        "audit/verify/registry.py",
        "return known or self._unnamed_links.get((head.spool, head.number)) == head.digest",
        "return known",
        _TOLD_ONCE,
    ),
    Plant(
        "a head that is remembered of a key that is not known is cut",
        "audit/verify/epoch.py",
        "elif any(found.what == UNNAMED_KEY for found in self.findings):",
        "elif False:",
        _TOLD_ONCE,
    ),
    Plant(
        "the key of a living epoch that is not known is taken for damage",
        "audit/verify/epoch_account.py",
        "        except UnnamedKey as error:\n            raise Broken(Name.ALTERED, str(error)) from error\n",
        "",
        _LIVING,
    ),
    Plant(
        "a damaged certificate is taken for one of another key",
        "audit/verify/segment.py",
        "        verify_document(signer, Domain.MANIFEST, document)\n        certificate =",
        "        certificate =",
        _LIVING,
    ),
    Plant(
        "an alarm of a key that came into the public key file stays open",
        "audit/anchor/anchor.py",
        "over += [each.id for each in named]",
        "pass",
        _CLOSED,
    ),
    Plant(
        "an alarm that the anchor closed stays open in what it gives out",
        "audit/anchor/anchor.py",
        "            for each in named\n        ]\n",
        "            for each in named[:0]\n        ]\n",
        _CLOSED,
    ),
    Plant(
        "an epoch of a key that is not known falls silent as well",
        "audit/anchor/look.py",
        "            if origin in self.unnamed:\n",
        "            if False:\n",
        _CLOSED,
    ),
    Plant(
        "the alarms of a key that is not known are a finding each",
        "audit/verify/anchored.py",
        "        if what == UNNAMED_KEY:\n",
        "        if False:\n",
        _CLOSED,
    ),
    Plant(
        "a forger's alarm closes with those of the new key",
        "audit/anchor/anchor.py",
        "            and (alarm.name, alarm.where) not in wrong\n",
        "",
        _FORGED,
    ),
    Plant(
        "of several alarms one is acknowledged",
        "cli/audit_anchor.py",
        "anchor.acknowledge(acknowledge, ",
        "anchor.acknowledge(acknowledge[:1], ",
        _SEVERAL,
    ),
    Plant(
        "of several alarms one that is not there is passed over",
        "audit/anchor/anchor.py",
        "        if closed:\n",
        "        alarm_ids = [each for each in alarm_ids if each not in closed]\n        if False:\n",
        _SEVERAL,
    ),
    Plant(
        "what is broken is within what is proven",
        "audit/verify/epoch.py",
        "        self._broken, self._silent = segment, True\n        self.holes.begin(self._known_ms())\n",
        "        self._broken, self._silent = segment, True\n",
        _LEFT_OUT,
    ),
    Plant(
        "behind what is broken nothing is proven any more",
        "audit/verify/epoch.py",
        "        self.holes.end(started_ms)\n",
        "",
        _LEFT_OUT,
    ),
    Plant(
        "behind a tail that was cut time is proven",
        "audit/verify/epoch.py",
        "        if name in _UNENDED:\n",
        "        if False:\n",
        _UNFILLED,
    ),
    Plant(
        "the time of a missing epoch is proven",
        "audit/verify/verify.py",
        "        self.report.lacks([(origin.started_ms - 1, 0)])\n\n    def _report_missing(",
        "\n    def _report_missing(",
        _MISSING,
    ),
    Plant(
        "findings without a time are not told beside what is proven",
        "cli/audit_report.py",
        'if shown and report.exit_code == FINDING else ""',
        'if False else ""',
        _LISTED,
    ),
    Plant(
        "the report has the whole range for what is proven of it",
        "cli/audit_report.py",
        '"spans": [_range(*each) for each in spans[:MAX_FINDINGS]]',
        '"spans": [_range(*proven)]',
        _LISTED,
    ),
    Plant(
        "a segment covers all that came before it was sealed",
        "audit/verify/epoch.py",
        "return max(self._covered_ms, self._claims.manifest.started_ms) >= self.asked.to_ms",
        "return self._claims.manifest.sealed_ms >= self.asked.to_ms",
        _LATE,
    ),
    Plant(
        "a finding about an object does not name it",
        "audit/verify/epoch.py",
        'key = self.origin.object_key(part, segment) if part else ""',
        'key = ""',
        f"{_NAMED}[EVIDENCE]",
    ),
    Plant(
        "a finding about a key bag does not name it",
        "audit/verify/segment.py",
        '"the key bag has a line that was not signed", Part.KEYS)',
        '"the key bag has a line that was not signed")',
        f"{_NAMED}[KEYS]",
    ),
    Plant(
        "what is wrong in anchor.yaml is told without its place",
        "audit/anchor/settings.py",
        'f"{path}:{problem}" for problem in report.problems',
        "f'{path}: {problem.message}' for problem in report.problems",
        f"{_SETTINGS}[interval]",
    ),
    Plant(
        "an interval of nothing",
        "audit/anchor/settings.py",
        "if duration is not None and parse_duration(duration) <= 0:",
        "if False:",
        f"{_SETTINGS}[no-interval]",
    ),
    Plant(
        "a segment may go whenever another one follows it",
        "audit/anchor/look.py",
        "return self.now_ms - began_ms > self.retention_ms",
        "return True",
        f"{_OUTLIVED}[old-and-young]",
    ),
    Plant(
        "an epoch that outlives its retention has gaps",
        "audit/anchor/look.py",
        "if not self._is_over(head, lost[-1], stored):",
        "if True:",
        f"{_OUTLIVED}[oldest]",
    ),
    Plant(
        "segments may go when the first of them was over its retention",
        "audit/anchor/look.py",
        "self._is_over(head, lost[-1], stored)",
        "self._is_over(head, lost[0], stored)",
        f"{_OUTLIVED}[old-and-young]",
    ),
    Plant(
        "copies are kept where the gateway writes, by another path",
        "audit/anchor/settings.py",
        "return DirectoryStore(store.directory.resolve())",
        "return store",
        "tests/audit/test_audit_anchor_cli.py::test_copies_are_not_kept_where_the_gateway_writes",
    ),
    Plant(
        "what is provable is said by what is open alone",
        "cli/audit_report.py",
        "min(report.open_ms, spans[-1][1])",
        "report.open_ms",
        "tests/audit/test_audit_range.py::TestCopyOfALivingLog::test_an_epoch_that_has_only_begun_moves_nothing",
    ),
    Plant(
        "who tried to decide counts as who decided",
        "audit/evidence/facts.py",
        ' and not detail.get("refused"):',
        ":",
        "tests/audit/test_evidence_pack.py::TestNumbers::test_policies_decisions_shreddings_retention_and_clocks",
    ),
)

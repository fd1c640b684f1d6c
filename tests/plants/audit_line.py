"""Planted bugs: the stored form of records."""

from tests.plants.plant import Plant

LINE = "tests/audit/test_audit_line.py::"

PLANTS = (
    Plant(
        "10.2.2: a record that lacks something is written",
        "audit/log/journal.py",
        "if missing := missing_fields(record):",
        "if (missing := missing_fields(record)) and not record.actor.uid:",
        LINE + "test_a_record_without_what_pci_asks_for_is_not_written",
    ),
    Plant(
        "10.2.2: a request goes on although its record lacks something",
        "audit/log/journal.py",
        "            raise Unavailable(Reason.AUDIT_UNAVAILABLE)\n        return self._queue.put_record(",
        "            if done is not None:\n                self._deliver(lambda: done(True))\n            return 0\n        return self._queue.put_record(",
        "tests/edge/session/test_incomplete_record.py",
    ),
    Plant(
        "10.2.2: nobody asks where it came from",
        "core/record.py",
        '        "src_address": record.src_address,\n',
        "",
        LINE + "test_a_record_without_what_pci_asks_for_is_not_written",
    ),
    Plant(
        "a line may hold what nobody knows",
        "audit/records/ocsf.py",
        "omit_defaults=True, forbid_unknown_fields=True):",
        "omit_defaults=True):",
        LINE + "test_a_line_with_a_field_that_nobody_knows_is_refused",
    ),
    Plant(
        "old lines are no longer read",
        "audit/records/line.py",
        "if line.startswith(_V2) else _RECORD_1.decode(line)",
        "if line else _RECORD_1.decode(line)",
        LINE + "test_lines_of_the_first_version_are_read",
    ),
    Plant(
        "a refusal is no denial",
        "audit/records/ocsf_kind.py",
        "    EventCode.POLICY_DENY: (_DENIED, 2),",
        "    EventCode.POLICY_DENY: (_ALLOWED, 1),",
        LINE + "test_every_event_says_what_it_was",
    ),
)

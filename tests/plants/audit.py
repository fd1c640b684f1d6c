"""Planted bugs: the audit log."""

from tests.plants.plant import Plant

CHAIN = "tests/audit/test_audit_chain.py::"
JOURNAL = "tests/audit/test_audit_journal.py::"
ADOPT = "tests/audit/test_audit_adopt.py::"


PLANTS = (
    Plant(
        "p2: the journal acknowledges before it commits",
        "audit/log/journal.py",
        "            payloads = self._payloads(batch)\n            if payloads:",
        "            payloads = self._payloads(batch)\n            self._release(batch.waiting, durable=True)\n            if payloads:",
        JOURNAL + "TestPromise2DurableBeforeDone::test_no_done_before_fdatasync_returns",
    ),
    Plant(
        "p2: the journal acknowledges a commit that failed",
        "audit/log/journal.py",
        "self._release([*batch.waiting, *self._queue.fail()], durable=False)",
        "self._release([*batch.waiting, *self._queue.fail()], durable=True)",
        JOURNAL + "TestRefusing::test_a_failed_sync_fails_everything_that_waits_and_everything_after",
    ),
    Plant(
        "p4: a journal that nobody adopted is taken away with its epoch",
        "audit/log/shipper.py",
        "if not segments(directory, JOURNAL) and not",
        "if not",
        ADOPT + "test_a_journal_that_nobody_has_adopted_yet_is_not_taken_away",
    ),
    Plant(
        "p4: the chain between records is not looked at",
        "audit/verify/epoch.py",
        "if mark.seq != seq or mark.prev != prev or",
        "if mark.seq != seq or",
        CHAIN + "test_p4_records_are_chained",
    ),
    Plant(
        "p4: the numbers of records are not looked at",
        "audit/verify/epoch.py",
        "if mark.seq != seq or mark.prev != prev or",
        "if mark.prev != prev or",
        CHAIN + "test_p4_records_are_numbered",
    ),
    Plant(
        "p4: records may follow the end",
        "audit/verify/epoch_account.py",
        "if self.ended and mark.event_code not in _BEHIND_END:",
        "if False:",
        CHAIN + "test_p4_nothing_follows_the_end",
    ),
    Plant(
        "p4: a transcript is not held against its closing record",
        "audit/verify/transcripts.py",
        "if known is not None and known.hex() != mark.content_digest:",
        "if False:",
        CHAIN + "test_p4_a_transcript_is_the_one_its_closing_record_bound",
    ),
    Plant(
        "p4: a record may name another epoch",
        "audit/verify/epoch.py",
        "if mark.seq != seq or mark.prev != prev or mark.origin != origin:",
        "if mark.seq != seq or mark.prev != prev:",
        CHAIN + "test_p4_a_record_names_its_own_epoch",
    ),
    Plant(
        "p4: evidence without a manifest is passed over",
        "audit/verify/epoch.py",
        'raise Broken(name, "the last segment has no manifest", Part.MANIFEST)',
        "return",
        CHAIN + "test_p4_evidence_behind_the_end_needs_a_manifest_too",
    ),
    Plant(
        "p4: an epoch without an end is only open, however old",
        "audit/verify/epoch.py",
        "        return not -300_000 <= age_ms <= self.account.young_ms",
        "        return False",
        CHAIN + "test_p4_a_last_manifest_that_was_taken_away_is_found",
    ),
)

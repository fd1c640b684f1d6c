"""Planted bugs: checkpoints, and the anchor that remembers them."""

from tests.plants.plant import Plant

CHECKPOINTS = "tests/audit/test_audit_checkpoints.py::"
NOTE = "tests/audit/test_audit_note.py::"
ANCHOR = "tests/audit/test_audit_anchor.py::"
ATTACKS = ANCHOR + "TestAttacks::"
MEMORY = "tests/audit/test_audit_anchor_memory.py::"
CLI = "tests/audit/test_audit_anchor_cli.py::"


PLANTS = (
    Plant(
        "p4: an adopter begins the epoch's tree anew",
        "audit/segment.py",
        "return MerkleTree(self.first_seq - 1, [bytes.fromhex(peak) for peak in self.epoch_peaks])",
        "return MerkleTree()",
        CHECKPOINTS + "test_an_adopter_goes_on_with_the_tree_of_the_dead",
    ),
    Plant(
        "p4: an epoch's checkpoint is not held against its records",
        "audit/verify_epoch.py",
        "if (manifest.epoch_size, manifest.epoch_root) != (self._tree.size, self._tree.root().hex()):",
        "if False:",
        CHECKPOINTS + "test_a_signed_checkpoint_that_the_records_do_not_hash_to_is_found",
    ),
    Plant(
        "p4: a note's signature is not looked at",
        "audit/note.py",
        "    try:\n        key.public.verify(signature, message)",
        "    try:\n        pass",
        NOTE + "test_any_changed_character_of_the_text_is_found",
    ),
    Plant(
        "p4: a cosignature does not cover its time",
        "audit/note.py",
        'return f"cosignature/v1\\ntime {seconds}\\n{text}".encode()',
        'return f"cosignature/v1\\n{text}".encode()',
        NOTE + "test_the_time_of_a_cosignature_is_signed",
    ),
    Plant(
        "p4: a key id does not cover the name",
        "audit/note.py",
        'hashlib.sha256(self.name.encode() + b"\\n" + self._material)',
        "hashlib.sha256(self._material)",
        NOTE + "test_we_sign_as_go_does",
    ),
    Plant(
        "anchor: an epoch that is gone is not missed",
        "audit/anchor_look.py",
        'self.gone[origin] = "its registry entry is gone"',
        "pass",
        ATTACKS + "test_only_a_registry_entry_is_dropped",
    ),
    Plant(
        "anchor: evidence that is gone is not missed",
        "audit/anchor_look.py",
        'self.gone[origin] = "its evidence is gone"',
        "pass",
        ATTACKS + "test_only_the_evidence_of_an_epoch_is_dropped",
    ),
    Plant(
        "anchor: a co-signed end is not held against the store",
        "audit/anchor_look.py",
        "if _digest(self.store.get(manifest.key, manifest.versions[0])) != head.manifest:",
        "if False:",
        ATTACKS + "test_everything_is_rewritten_with_a_stolen_deployment_key",
    ),
    Plant(
        "anchor: segments that are gone are not missed",
        "audit/anchor_look.py",
        "if len(there) < head.segment:",
        "if False:",
        ATTACKS + "test_a_segment_in_the_middle_is_taken_away",
    ),
    Plant(
        "anchor: a delete marker is overlooked",
        "audit/anchor_look.py",
        "if stored.delete_markers:",
        "if False:",
        ATTACKS + "test_a_delete_marker_or_another_version_lies_over_an_object",
    ),
    Plant(
        "anchor: a segment may follow another history",
        "audit/anchor_head.py",
        "if manifest.prev != head.last or manifest.prev_root != head.segment_root:",
        "if False:",
        ANCHOR + "test_a_segment_that_only_claims_to_follow_is_not_co_signed",
    ),
    Plant(
        "anchor: the records of an epoch are not hashed to its signed root",
        "audit/anchor_head.py",
        "if manifest.epoch_root and manifest.epoch_root != tree.root().hex():",
        "if False:",
        ANCHOR + "test_a_root_that_the_records_do_not_hash_to_is_not_co_signed",
    ),
    Plant(
        "anchor: any certified key may sign an epoch's segments",
        "audit/anchor_head.py",
        "if signed.certificate.role is Role.EPOCH and signer != after.certificate:",
        "if False:",
        ANCHOR + "test_a_key_that_log_start_does_not_name_is_not_the_epochs",
    ),
    Plant(
        "anchor: records need not follow each other",
        "audit/anchor_head.py",
        "if (mark.origin, mark.seq, mark.prev) != (head.origin, seq, head.last):",
        "if False:",
        ANCHOR + "test_records_that_do_not_follow_each_other_are_not_co_signed",
    ),
    Plant(
        "anchor: silence is not heard",
        "audit/anchor_look.py",
        "if head.segment and head.is_quiet(self.now_ms):",
        "if False:",
        ANCHOR + "TestSilence::test_a_living_epoch_that_says_nothing_any_more",
    ),
    Plant(
        "anchor: whatever is gone was too old",
        "audit/anchor_look.py",
        "return bool(head.sealed_ms) and self.now_ms - head.sealed_ms > self.retention_ms",
        "return bool(head.sealed_ms)",
        ANCHOR + "TestRetention::test_what_is_younger_may_not",
    ),
    Plant(
        "anchor: an alarm is over when the store is put right",
        "audit/anchor.py",
        "if alarm.name is AlarmName.SILENT and alarm.acknowledged_by and each not in found",
        "if each not in found",
        ANCHOR + "TestAlarms::test_an_alarm_stays_open_when_the_store_is_put_right",
    ),
    Plant(
        "anchor: it signs before it remembers",
        "audit/anchor_memory.py",
        "        with self._transaction() as write:\n            for head in heads:",
        "        with contextlib.suppress(OSError), self._transaction() as write:\n            for head in heads:",
        MEMORY + "TestDeath::test_within_a_commit_leaves_the_memory_as_it_was",
    ),
    Plant(
        "anchor: what was remembered and not given out is forgotten",
        "audit/anchor_memory.py",
        'self.pending = [document for _, document in self._rows("pending")]',
        "self.pending = []",
        MEMORY + "TestDeath::test_after_it_remembers_exactly_that_is_given_out_whatever_the_store_says_then",
    ),
    Plant(
        "anchor: two share a memory",
        "audit/anchor_memory.py",
        "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        MEMORY + "test_two_anchors_do_not_share_a_memory",
    ),
    Plant(
        "anchor: a changed row is believed",
        "audit/anchor_memory.py",
        "if not whole or digest(table.encode(), key.encode(), document) != expected:",
        "if not whole:",
        MEMORY + "TestDamage::test_a_changed_or_missing_row_is_refused",
    ),
    Plant(
        "anchor: missing rows are not counted",
        "audit/anchor_memory.py",
        "if (len(self.heads), len(self.alarms)) != (self.ledger.heads, self.ledger.alarms):",
        "if False:",
        MEMORY + "TestDamage::test_a_changed_or_missing_row_is_refused",
    ),
    Plant(
        "anchor: a memory that was lost is begun anew",
        "audit/anchor_memory.py",
        "if memory.ledger.size == 0 and (left",
        "if False and (left",
        MEMORY + "TestDamage::test_a_lost_memory_is_not_begun_anew",
    ),
    Plant(
        "anchor: its write-once copies are not asked whether the memory is the newest",
        "audit/anchor_given.py",
        '        raise RolledBack(f"it has a roll-up behind line',
        '        f"{memory}" or RolledBack(f"it has a roll-up behind line',
        MEMORY + "TestRollback::test_is_seen_where_its_own_log_is_longer_in_its_write_once_store",
    ),
    Plant(
        "anchor: a log that is longer than the memory knows is written over",
        "audit/anchor_given.py",
        "if size < memory.ledger.file_bytes or not pending.startswith(behind):",
        "if False:",
        MEMORY + "TestRollback::test_of_the_memory_alone_is_refused",
    ),
    Plant(
        "anchor: an open alarm exits with 0",
        "audit/anchor.py",
        "        if self.open_alarms:\n            return 1",
        "        if self.open_alarms:\n            return 0",
        CLI + "test_one_pass_exits_0_when_nothing_is_wrong_1_with_an_open_alarm_2_when_it_is_not_finished",
    ),
    Plant(
        "anchor: verify takes a log that is shorter than the signed one",
        "audit/anchor_log.py",
        "if tail.checkpoint(checkpoint.origin) != checkpoint:",
        "if False:",
        CLI + "TestVerify::test_the_newest_lines_of_its_log_cannot_be_left_out",
    ),
    Plant(
        "anchor: verify does not hold an epoch's co-signed note against the anchor's log",
        "audit/anchored.py",
        "if checkpoint.origin != epoch_origin(head.origin) or not same:",
        "if False:",
        CLI + "TestVerify::test_a_damaged_copy_of_the_anchor_is_not_believed",
    ),
    Plant(
        "anchor: verify does not use what the anchor remembers",
        "cli/audit_verify.py",
        "remembered=anchored.remembered if anchored else None,",
        "remembered=None,",
        CLI
        + "TestVerify::test_a_dropped_epoch_is_found_with_the_anchor_and_without_it_the_report_says_what_it_cannot_see",
    ),
    Plant(
        "anchor: a report without an anchor does not say what it cannot see",
        "cli/audit_report.py",
        "        return UNANCHORED",
        '        return ""',
        CLI
        + "TestVerify::test_a_dropped_epoch_is_found_with_the_anchor_and_without_it_the_report_says_what_it_cannot_see",
    ),
    Plant(
        "anchor: verify passes over its open alarms",
        "audit/anchored.py",
        "if name in set(Name):",
        "if False:",
        CLI + "TestVerify::test_an_open_alarm_of_the_anchor_is_a_finding_until_it_is_acknowledged",
    ),
    Plant(
        "anchor: a store where nothing is exits with 0",
        "audit/anchor.py",
        "return 0 if self.epochs else 2",
        "return 0",
        CLI + "test_a_store_where_nothing_is_yet_or_another_deployment_is_not_called_right",
    ),
    Plant(
        "anchor: a pass does not finish what the one before it had remembered",
        "audit/anchor.py",
        "self.giver.give(self.memory)  # what a pass that died had remembered",
        "pass",
        MEMORY + "TestDeath::test_at_any_step_two_histories_are_never_both_given_out",
    ),
)

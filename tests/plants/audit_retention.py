"""Planted bugs: retention."""

from tests.plants.plant import Plant

RETENTION = "tests/audit/test_audit_retention.py::"

PLANTS = (
    Plant(
        "a check shreds without being told to",
        "audit/retention/over_age.py",
        "        found = check_retention(self.settings, self._look(), now_ms)\n        self._record",
        "        found = check_retention(self.settings, self._look(), now_ms)\n        self._shred(found)\n        self._record",
        RETENTION + "test_what_is_over_age_is_counted_and_left",
    ),
    Plant(
        "over-age keys are destroyed before that is recorded",
        "audit/retention/over_age.py",
        "        after = hashlib.sha256().hexdigest()",
        "        for bag in found.over_age:\n            erase(bag.path)\n        after = hashlib.sha256().hexdigest()",
        RETENTION + "test_without_its_record_nothing_is_destroyed",
    ),
    Plant(
        "a clock that runs ahead destroys everything",
        "audit/retention/over_age.py",
        "if found.outlived and now_ms - found.newest_worker_ms > MAX_SILENCE_DAYS * DAY_MS:",
        "if not found.outlived and now_ms - found.newest_worker_ms > MAX_SILENCE_DAYS * DAY_MS:",
        RETENTION + "test_a_clock_that_runs_ahead_destroys_nothing",
    ),
    Plant(
        "bags that wait in the spool are kept for ever",
        "audit/retention/over_age.py",
        "                if bag.path is not None:\n                    erase",
        "                if bag.path is None:\n                    erase",
        RETENTION + "test_enforced_it_is_recorded_first_and_then_nothing_opens_it",
    ),
    Plant(
        "a store that says yes is believed",
        "audit/retention/over_age.py",
        "        if check_retention(self.settings, self._look(), now_ms).outlived:",
        "        if False:",
        RETENTION + "test_a_store_that_says_yes_and_deletes_nothing_is_not_done",
    ),
    Plant(
        "keys in quarantine are kept for ever",
        "audit/retention/retention.py",
        "        quarantined=quarantined_keys(settings.spool, limit_ms),",
        "        quarantined=(),",
        RETENTION + "test_keys_in_damaged_files_that_were_put_aside_grow_old_too",
    ),
    Plant(
        "keys in quarantine are not blanked",
        "audit/retention/over_age.py",
        "                blank_keys(path)",
        "                path.stat()",
        RETENTION + "test_keys_in_damaged_files_that_were_put_aside_grow_old_too",
    ),
    Plant(
        "an age that cannot be read counts as young",
        "audit/retention/retention.py",
        "        incomplete=outlived.unread or len(known) < len(ages),",
        "        incomplete=outlived.unread or len(known) > len(ages),",
        RETENTION + "test_an_age_that_cannot_be_read_is_incomplete",
    ),
    Plant(
        "over-age is success",
        "cli/audit_retention.py",
        "    if found.outlived or found.out_of_reach or found.unlocked:",
        "    if found.out_of_reach or found.unlocked:",
        RETENTION + "TestCommand::test_exit_codes_and_what_it_says",
    ),
    Plant(
        "a record of over-age keys excuses every loss",
        "audit/verify/verify.py",
        "            elif sealed_ms < self.shredded_before_ms:",
        "            elif self.shredded_before_ms:",
        RETENTION + "test_enforced_it_is_recorded_first_and_then_nothing_opens_it",
    ),
)

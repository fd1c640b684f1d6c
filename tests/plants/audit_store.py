"""Planted bugs: the stores of the audit log."""

from tests.plants.plant import Plant

BAGS = "tests/audit/test_audit_key_bags.py::"
CLOCK = "tests/audit/test_audit_store_clock.py::"
FAILURES = "tests/audit/test_audit_store_failures.py::"
FITNESS = "tests/audit/test_audit_store_fitness.py::"
SUPERVISOR = "tests/edge/test_supervisor.py::"
INSPECT = "tests/audit/test_audit_inspect.py::"
SHIPPING = "tests/audit/test_audit_shipping.py::"


PLANTS = (
    Plant(
        "evidence can be deleted like a key bag",
        "audit/store.py",
        'if Plane.of(key) is not Plane.KEYS or not {"", ".", ".."}',
        'if not {"", ".", ".."}',
        BAGS + "test_nothing_but_a_key_bag_is_ever_touched[keys/a-directory]",
    ),
    Plant(
        "a key bag's name may lead out of its plane",
        "audit/store.py",
        'if Plane.of(key) is not Plane.KEYS or not {"", ".", ".."}.isdisjoint(key.split("/")):',
        "if Plane.of(key) is not Plane.KEYS:",
        BAGS + "test_nothing_but_a_key_bag_is_ever_touched[v1/keys/../evidence/a-directory]",
    ),
    Plant(
        "older versions of a key bag stay",
        "audit/s3.py",
        "            if version.id != keep:\n",
        "            if version.id != keep and version.marker:\n",
        BAGS + "TestVersions::test_every_version_and_every_delete_marker_goes",
    ),
    Plant(
        "the store's word that a key bag is deleted is taken for it",
        "audit/s3.py",
        "        if [version.id for version in self._versions_of(bucket, key)] != ([keep] if keep else []):",
        "        if False:",
        BAGS + "TestVersions::test_a_store_that_says_yes_and_keeps_the_version_is_a_failure",
    ),
    Plant(
        "a deleted key bag's bytes stay on the disk",
        "audit/files.py",
        "        _overwrite(fd)\n        path.unlink(missing_ok=True)",
        "        path.unlink(missing_ok=True)",
        BAGS + "test_the_bytes_on_the_disk_are_overwritten",
    ),
    Plant(
        "what a dead writer left of a key bag stays",
        "audit/store.py",
        "            erase(path)\n            _erase_unfinished(path.parent)",
        "            erase(path)",
        BAGS + "test_the_bytes_on_the_disk_are_overwritten",
    ),
    Plant(
        "a13: a slow clock shortens the retention",
        "audit/store_clock.py",
        "min(max(self._wall(), told), ",
        "min(self._wall(), ",
        CLOCK + "test_a13_retain_until_is_never_in_the_past_and_never_over_the_cap",
    ),
    Plant(
        "a13: clocks may differ by anything",
        "audit/store_clock.py",
        "        if self._differs():\n            raise StoreFailed(CLOCK_DIFFERS, Fault.CLOCK)\n",
        "",
        CLOCK + "test_a13_a_clock_that_steps_is_seen_before_the_next_object",
    ),
    Plant(
        "a13: no retention is too long",
        "audit/store_clock.py",
        "days=min(retention_days, max_retention_days)",
        "days=retention_days",
        CLOCK + "test_no_lock_is_longer_than_the_longest",
    ),
    Plant(
        "a13: the store's time is believed to stand still",
        "audit/store_clock.py",
        "return self._told + self._steady() - self._told_at",
        "return self._told",
        CLOCK + "test_a13_retain_until_is_never_in_the_past_and_never_over_the_cap",
    ),
    Plant(
        "a13: what the store's time was said to be is believed for ever",
        "audit/store_clock.py",
        "or self._steady() - self._told_at > MAX_AGE_SECONDS ",
        "",
        CLOCK + "test_the_stores_time_is_asked_again_after_a_while",
    ),
    Plant(
        "any words accept a bucket without Object Lock",
        "audit/s3.py",
        "if lock is None and settings.accept_no_object_lock != NO_OBJECT_LOCK_SENTENCE:",
        "if lock is None and not settings.accept_no_object_lock:",
        FITNESS + "test_a_bucket_without_object_lock_is_refused_with_the_sentence_that_would_accept_it",
    ),
    Plant(
        "the accepting sentence unlocks a bucket that has Object Lock",
        "audit/s3.py",
        "self._locks = lock is not None",
        "self._locks = lock is not None and not settings.accept_no_object_lock",
        FITNESS + "test_the_sentence_unlocks_no_bucket_that_has_object_lock",
    ),
    Plant(
        "a default retention locks the key bags",
        "audit/s3.py",
        'if bags is not None and bags.get("Rule", {}).get("DefaultRetention"):',
        "if False:",
        FITNESS + "test_a_bucket_that_would_lock_key_bags_is_refused_unless_they_go_elsewhere",
    ),
    Plant(
        "what was accepted is not in the log",
        "audit/journal.py",
        "        **settings.store.words(),\n",
        "",
        FITNESS + "test_every_start_says_in_the_log_what_was_accepted",
    ),
    Plant(
        "evidence is locked like content",
        "audit/s3.py",
        "mode = settings.content_mode if plane is Plane.CONTENT else LockMode.COMPLIANCE",
        "mode = settings.content_mode",
        SHIPPING + "TestWireShape::test_every_put_is_conditional_checksummed_and_locked_but_the_key_bags",
    ),
    Plant(
        "a store that contradicts us is asked again and again",
        "audit/shipper.py",
        "        if (directory / DIVERGENT).exists():\n            raise Divergent(read_divergent(directory))\n",
        "",
        SUPERVISOR + "test_a_store_that_contradicts_a_segment_stops_new_exchanges_until_a_person_has_looked",
    ),
    Plant(
        "exchanges go on while the store contradicts us",
        "audit/alarms.py",
        "        Cause.STORE_DIVERGES: sight.store_diverges,\n",
        "",
        SUPERVISOR + "test_a_store_that_contradicts_a_segment_stops_new_exchanges_until_a_person_has_looked",
    ),
    Plant(
        "a clock that differs is told as a store that is away",
        "edge/supervisor.py",
        'control = "clock" if failed.fault is Fault.CLOCK else "audit_store"',
        'control = "audit_store"',
        SUPERVISOR + "test_a_clock_that_differs_is_a_failure_of_its_own_control",
    ),
    Plant(
        "a refusal for want of rights counts as a lock",
        "audit/inspect_s3.py",
        "    if there and not able:\n        return Finding(rule, Result.NOT_ASKED, NO_RIGHT)\n",
        "",
        INSPECT + "TestOnAServerThatOnlyLooksLikeIt::test_a_refusal_for_want_of_rights_proves_nothing",
    ),
    Plant(
        "versions that were turned off stay off",
        "audit/inspect_s3.py",
        'VersioningConfiguration={"Status": "Enabled"}',
        'VersioningConfiguration={"Status": "Suspended"}',
        INSPECT + "TestOnAServerThatOnlyLooksLikeIt::test_versions_that_it_turned_off_are_on_again",
    ),
    Plant(
        "what was not asked is claimed",
        "audit/inspect.py",
        "all(self.results.get(rule) is Result.ENFORCED for rule in _IMMUTABLE)",
        "all(self.results.get(rule) is not Result.NOT_ENFORCED for rule in _IMMUTABLE)",
        INSPECT + "TestWhatFollows::test_only_what_was_shown_is_claimed",
    ),
    Plant(
        "a rule that matters does not decide",
        "audit/inspect.py",
        "return MEANINGS[self.rule].needed and self.result is not Result.ENFORCED",
        "return MEANINGS[self.rule].needed and self.result is Result.NOT_ASKED",
        INSPECT + "TestWhatFollows::test_a_rule_that_matters_decides_and_another_does_not",
    ),
    Plant(
        "the store is asked before it is recorded",
        "cli/audit_inspect.py",
        '    where.record(\n        EventCode.STORE_INSPECT, operation, {STATE: BEGUN}, "the inspection could not be recorded, so nothing is asked"\n    )\n',
        "",
        INSPECT + "test_nothing_is_asked_that_cannot_be_recorded",
    ),
    Plant(
        "a key that is taken counts as stored",
        "audit/s3.py",
        "                return self._compare(key, data)\n",
        "                return None\n",
        SHIPPING + "TestWireShape::test_a_lost_answer_is_settled_by_comparing",
    ),
    Plant(
        "a conflict is not tried again",
        "audit/s3.py",
        "            except Conflict:\n",
        "            except ZeroDivisionError:\n",
        SHIPPING + "TestWireShape::test_a_conflict_is_tried_again_and_a_refusal_is_not",
    ),
    Plant(
        "a refusal by the clock is told as any other",
        "audit/s3_wire.py",
        '("RequestTimeTooSkewed", "RequestExpired")',
        '("RequestExpired",)',
        FAILURES + "test_a_failure_has_a_cause_and_no_text_from_outside",
    ),
    Plant(
        "a refusal by the key's policy is told as any other",
        "audit/s3_wire.py",
        'fault is Fault.DENIED and "kms:" in',
        'fault is Fault.BUSY and "kms:" in',
        FAILURES + "test_a_failure_has_a_cause_and_no_text_from_outside",
    ),
    Plant(
        "the store's own text goes on",
        "audit/s3_wire.py",
        'return code if _CODE.fullmatch(code) else "unknown"',
        "return code",
        FAILURES + "test_a_failure_has_a_cause_and_no_text_from_outside",
    ),
    Plant(
        "the newest version is read back, not the one that counts",
        "audit/s3.py",
        "kept[-1].id if kept",
        "kept[0].id if kept",
        SHIPPING + "TestWireShape::test_where_no_checksum_is_told_the_version_that_counts_is_read_back",
    ),
    Plant(
        "a checksum that is not told is taken for good",
        "audit/s3.py",
        '            if "ChecksumSHA256" not in answer:',
        "            if False:",
        SHIPPING + "TestWireShape::test_where_no_checksum_is_told_the_version_that_counts_is_read_back",
    ),
    Plant(
        "a key bag's version that another took away is a failure",
        "audit/s3_wire.py",
        "        with suppress(FileNotFoundError):\n            self.call(self.client.delete_object,",
        "        if True:\n            self.call(self.client.delete_object,",
        BAGS + "TestVersions::test_a_version_that_another_took_away_is_gone",
    ),
)

"""Planted bugs: the verifier."""

from tests.plants.plant import Plant

ATTACKS = "tests/audit/test_audit_attacks.py::"
ATTACK = ATTACKS + "test_an_attack_is_found_by_the_log_itself_or_by_a_memory"
MUTATIONS = "tests/audit/test_audit_mutations.py::"
RANGE = "tests/audit/test_audit_range.py::"
MEMORY = "tests/audit/test_audit_verify_memory.py::"

PLANTS = (
    Plant(
        "p4: a remembered head is not compared",
        "audit/verify/epoch.py",
        "            if digest != self.head.last:",
        "            if False:",
        ATTACK + "[rewrite_in_place]",
    ),
    Plant(
        "p4: what only a memory knows is not missed",
        "audit/verify/verify.py",
        "            if not self.report.asked.is_before(seen_ms):",
        "            if False:",
        ATTACK + "[drop_machine]",
    ),
    Plant(
        "p4: a head that is longer than the log is passed over",
        "audit/verify/epoch.py",
        "        elif self._seq > head.size:",
        "        else:",
        ATTACKS + "test_a_head_that_is_longer_than_the_log_is_a_truncation[b]",
    ),
    Plant(
        "p4: delete markers are passed over",
        "audit/verify/census.py",
        "        if stored.delete_markers:",
        "        if False:",
        ATTACK + "[mark_last]",
    ),
    Plant(
        "p4: only the newest version of an object is compared",
        "audit/verify/census.py",
        "    for version in stored.versions:",
        "    for version in stored.versions[-1:]:",
        ATTACK + "[rewrite_on_top]",
    ),
    Plant(
        "p4: behind a break the end is missed too",
        "audit/verify/epoch.py",
        "        if self.account.ended or self.over or self._silent or not last:",
        "        if self.account.ended or self.over or not last:",
        ATTACKS + "test_of_a_broken_segment_the_first_is_named_and_no_other[.jsonl]",
    ),
    Plant(
        "p4: an empty segment follows log.stop",
        "audit/log/journal.py",
        "        if self._stopped:  #",
        "        if False:  #",
        ATTACKS + "test_nothing_follows_the_end_that_could_be_dropped_unmissed",
    ),
    Plant(
        "p4: key bags are taken at their word",
        "audit/verify/segment.py",
        "    if manifest.version > 1 and not _is_part(",
        "    if False and not _is_part(",
        MUTATIONS + "test_a_flip_of_any_byte_is_found[keys]",
    ),
    Plant(
        "p4: a key bag may lose its last byte",
        "audit/verify/segment.py",
        '    if lines.pop() != b"" or len(lines) > manifest.content_keys:',
        "    if len(lines := [line for line in lines if line]) > manifest.content_keys:",
        MUTATIONS + "test_a_cut_at_any_byte_is_found[keys]",
    ),
    Plant(
        "p4: an epoch that nobody registered is taken",
        "audit/verify/verify.py",
        "        if document is None and mine is None:",
        "        if False:",
        MUTATIONS + "test_an_epoch_that_the_registry_does_not_know_is_found",
    ),
    Plant(
        "p4: a registry entry from the future is waited for",
        "audit/verify/verify.py",
        "mine is None and -_SKEW_MS < self.now_ms - registered_ms < _UNBORN_MS:",
        "mine is None and self.now_ms - registered_ms < _UNBORN_MS:",
        MUTATIONS + "test_a_registry_entry_from_the_future_is_no_excuse",
    ),
    Plant(
        "p4: an empty range is proven",
        "audit/verify/verify.py",
        "    if report.records == 0 and report.worst is not Level.FINDING:",
        "    if False:",
        MUTATIONS + "test_an_empty_range_is_not_proven",
    ),
    Plant(
        "p4: a proof that is shorter than asked is as good",
        "audit/verify/report.py",
        "        if begin is not None and self.first_ms > begin:",
        "        if False:",
        RANGE + "TestShorterThanRequested::test_before_the_logs_beginning_nothing_is_proven",
    ),
    Plant(
        "p4: the future is proven",
        "audit/verify/verify.py",
        "            if self.goes_on or min(known_ms, self.now_ms) >= asked.to_ms:",
        "            if True:",
        RANGE + "TestShorterThanRequested::test_the_future_is_never_proven",
    ),
    Plant(
        "p4: an epoch from before the range needs no end",
        "audit/verify/epoch.py",
        "            self._next = passed.segment\n            self._judge(passed, last=True)",
        "            self.account.ended = True",
        RANGE + "test_an_end_that_is_missing_is_missed_also_when_all_that_is_left_lies_before_the_range",
    ),
    Plant(
        "p4: a register without its beginning covers the range",
        "audit/verify/registry.py",
        "        if before == 0 and self.asked.from_ms is not None:",
        "        if before == 0:\n            return\n        if before == 0 and self.asked.from_ms is not None:",
        RANGE + "TestShorterThanRequested::test_a_register_whose_beginning_is_gone_leaves_the_range_open",
    ),
    Plant(
        "the verifier remembers every content object",
        "audit/verify/transcripts.py",
        "            self._streams[exchange] = (digest, number)\n",
        "            self._streams[exchange] = (digest, number)\n"
        "            self.__dict__.setdefault('kept', []).append(bytes(payload))\n",
        MEMORY + "test_memory_does_not_grow_with_the_number_of_segments",
    ),
    Plant(
        "a store that lists out of order is believed",
        "audit/verify/walk.py",
        "        if _order(item) < last:",
        "        if False:",
        MEMORY + "TestListing::test_a_store_that_lists_out_of_order_proves_nothing",
    ),
)

"""Planted bugs: shredding."""

from tests.plants.plant import Plant

SHRED = "tests/audit/test_audit_shred.py::"
PLACES = SHRED + "TestWhereTheKeyIs::"

PLANTS = (
    Plant(
        "one person shreds alone",
        "audit/retention/two_people.py",
        "        if person.may_be(request.requester_uid):",
        "        if person.may_be(request.id):",
        SHRED + "test_who_may_not_confirm_destroys_nothing",
    ),
    Plant(
        "whoever has a token may shred",
        "audit/retention/two_people.py",
        "        if set(groups).isdisjoint(person.groups):",
        "        if not person.groups:",
        SHRED + "test_who_may_not_confirm_destroys_nothing",
    ),
    Plant(
        "a request lasts for ever",
        "audit/retention/two_people.py",
        "now_ms - self.asked_ms < REQUEST_SECONDS * 1000",
        "now_ms - self.asked_ms",
        SHRED + "test_a_request_has_a_day",
    ),
    Plant(
        "a request is believed without proof",
        "audit/retention/two_people.py",
        "        if not proves_epoch(holdings, epoch, key, int(time.time() * 1000)) or len(asked) != 1:",
        "        if len(asked) != 1:",
        SHRED + "test_a_forged_request_is_none",
    ),
    Plant(
        "a key is destroyed before that is recorded",
        "audit/retention/shred.py",
        "            self._record(EventCode.ADMIN_SHRED, person, exchange, detail)",
        "            found.destroy()\n            self._record(EventCode.ADMIN_SHRED, person, exchange, detail)",
        SHRED + "test_without_its_record_nothing_is_destroyed",
    ),
    Plant(
        "a key that stays is called destroyed",
        "audit/retention/shred.py",
        "        if find_keys(self.look(), exchange).holders:",
        "        if False:",
        SHRED + "test_a_key_that_stays_is_a_failure",
    ),
    Plant(
        "a live journal keeps the key",
        "audit/retention/shred.py",
        "            if found.journals:",
        "            if False:",
        PLACES + "test_in_a_live_journal_it_is_refused_and_told",
    ),
    Plant(
        "the key of an exchange that goes on is destroyed",
        "audit/retention/two_people.py",
        "        if not exchange.ended:",
        "        if not exchange.records:",
        PLACES + "test_an_exchange_under_way_is_not_shredded",
    ),
    Plant(
        "the spool keeps the key, and ships it",
        "audit/retention/shredding.py",
        "    return FoundKeys((*_stored(holdings, exchange, key), *local), tuple(journals))",
        "    return FoundKeys((*_stored(holdings, exchange, key),), tuple(journals))",
        PLACES + "test_in_the_spool_it_is_destroyed_and_does_not_come_back",
    ),
    Plant(
        "a torn key stays",
        "audit/retention/shredding.py",
        "([A-Za-z0-9+/=]+)'",
        "([A-Za-z0-9+/=]+)\"'",
        PLACES + "test_in_quarantine_and_in_unfinished_files",
    ),
    Plant(
        "a key that is far from its records stays",
        "audit/retention/shredding.py",
        "        if not found:\n",
        "        if False:\n",
        PLACES + "test_in_a_segment_far_from_its_records",
    ),
    Plant(
        "a shredded bag stops another machine's shipping",
        "audit/log/shipper.py",
        "        if part is not Part.KEYS or not set(",
        "        if part or not set(",
        PLACES + "test_another_machine_s_spool_does_not_stop_shipping_for_it[all but the manifest]",
    ),
)

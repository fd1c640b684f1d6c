"""Planted bugs: keys that are half made, swapped, foreign or of tomorrow, and a KMS that answers for another key."""

from tests.plants.plant import Plant

ATTACKS = "tests/audit/test_audit_key_attacks.py::"

PLANTS = (
    Plant(
        "a death between the first two keys needs a person",
        "audit/keys/keys.py",
        "_BEGUN = (SIGNING_KEY, PUBLIC_KEY)\n",
        "_BEGUN = (SIGNING_KEY, CONTENT_KEY, PUBLIC_KEY)\n",
        ATTACKS + "TestDeath::test_between_the_first_two_keys_is_made_good_by_the_next_start",
    ),
    Plant(
        "a content key is made anew beside one that is there",
        "audit/keys/keys.py",
        "                if not (directory / CONTENT_KEY).exists():\n",
        "                (directory / CONTENT_KEY).unlink(missing_ok=True)\n                if True:\n",
        ATTACKS + "TestDeath::test_between_the_first_two_keys_is_made_good_by_the_next_start",
    ),
    Plant(
        "a second name of a retired key stays",
        "audit/keys/keys.py",
        "        erase_name(unfinished)\n",
        "        pass\n",
        ATTACKS + "TestDeath::test_behind_the_name_of_a_key_leaves_no_second_one_that_outlives_it",
    ),
    Plant(
        "a retired signing key's bytes stay on the disk",
        "audit/keys/keys.py",
        "            replace_erased(directory / SIGNING_KEY, secret)\n",
        "            replace(directory / SIGNING_KEY, secret)\n",
        ATTACKS + "TestDeath::test_the_bytes_of_a_retired_signing_key_are_overwritten",
    ),
    Plant(
        "a new spool begins beside a log of other keys",
        "audit/keys/first_keys.py",
        "    if read_head(settings.spool) is None:\n",
        "    if False:\n",
        ATTACKS + "TestForeignLog::test_a_service_with_other_keys_and_a_new_spool_does_not_begin_beside_it",
    ),
    Plant(
        "a store that was away at the start gets a second log",
        "audit/log/shipper.py",
        "            if entry.number == 1:\n",
        "            if False:\n",
        ATTACKS + "TestForeignLog::test_a_store_that_was_away_at_the_start_gets_nothing_of_it",
    ),
    Plant(
        "a stranger's object keeps a service from starting",
        "audit/log/foreign_log.py",
        "                foreign = True\n",
        "                foreign = True\n                break\n",
        ATTACKS + "TestForeignLog::test_a_strangers_entry_beside_ours_stops_nothing",
    ),
    Plant(
        "a service starts with a key of tomorrow",
        "audit/keys/register.py",
        "        if fact.active and fact.created_ms > now_ms + DAY_MS:\n",
        "        if False:\n",
        ATTACKS + "test_a_service_does_not_start_with_a_key_of_tomorrow[now]",
    ),
    Plant(
        "kms: a data key of any key wraps",
        "audit/keys/kms.py",
        '                if answer["KeyId"] != self._key:\n',
        "                if False:\n",
        ATTACKS + "TestAnotherKeyOfTheKms::test_a_data_key_of_another_key_wraps_nothing",
    ),
    Plant(
        "kms: a description of any key will do",
        "audit/keys/kms.py",
        '    if ":key/" in key and found["Arn"] != key:\n',
        "    if False:\n",
        ATTACKS + "TestAnotherKeyOfTheKms::test_a_description_of_another_key_is_refused",
    ),
)

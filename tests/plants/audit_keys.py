"""Planted bugs: the deployment's keys, in files and in a KMS."""

from tests.plants.plant import Plant

KEYS = "tests/audit/test_audit_keys.py::"
KMS = "tests/audit/test_audit_kms.py::"

PLANTS = (
    Plant(
        "keys: the other half of an ECDSA signature holds too",
        "audit/signed.py",
        "or s > P256_ORDER // 2 or",
        "or",
        KEYS + "test_a_p256_signature_has_one_way_to_be_written",
    ),
    Plant(
        "keys: an epoch begins with a key past its cryptoperiod",
        "audit/log/journal.py",
        "        keys.refuse_expired(int(now * 1000))\n",
        "",
        KEYS + "TestCryptoperiod::test_past_its_end_a_key_begins_no_epoch_and_what_it_signed_stays_proven",
    ),
    Plant(
        "keys: a copied file makes a key young again",
        "audit/keys/register.py",
        "        if created is None:",
        "        if created is None or found_ms > created:",
        KEYS + "test_a_first_sight_is_the_files_time",
    ),
    Plant(
        "keys: a service starts with an old digest key",
        "edge/key_inventory.py",
        "    refuse_expired(facts, now_ms)\n",
        "    refuse_expired(keys.facts, now_ms)\n",
        KEYS + "test_a_service_does_not_start_with_a_key_that_is_past_its_end",
    ),
    Plant(
        "keys: a rotation forgets the key that signed so far",
        "audit/keys/public_keys.py",
        "map(_pem, (key, *others))",
        "map(_pem, (key,))",
        KEYS + "TestRotation::test_new_keys_sign_and_wrap_and_the_old_log_stays_proven_and_readable",
    ),
    Plant(
        "keys: the inventory counts a retired key as in use",
        "edge/key_inventory.py",
        "active=index == 0",
        "active=True",
        KEYS + "TestInventory::test_lists_every_key_and_none_of_its_material",
    ),
    Plant(
        "kms: a data key is not bound to its place",
        "audit/keys/kms.py",
        '            "epoch": origin.epoch,\n',
        "",
        KMS + "test_the_encryption_context_names_deployment_writer_epoch_and_plane",
    ),
    Plant(
        "kms: an epoch begins without a data key",
        "audit/log/journal.py",
        "        keys.content.prepare(transcripts_of(str(origin)))\n",
        "",
        KMS + "test_without_a_data_key_no_epoch_begins",
    ),
    Plant(
        "kms: a signature is believed",
        "audit/keys/kms.py",
        "if not verify_signature(self._public, signature, data):",
        "if not signature:",
        KMS + "test_a_signature_that_does_not_hold_is_not_believed",
    ),
    Plant(
        "kms: another key signs without a rotation",
        "audit/keys/public_keys.py",
        "elif next(iter(load_public_key(path))) != key:",
        "elif next(iter(load_public_key(path))) == ():",
        KMS + "test_the_public_key_is_written_once_and_another_key_needs_a_rotation",
    ),
)

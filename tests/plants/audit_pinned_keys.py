"""Planted bugs: what the folder of the keys remembers."""

from tests.plants.plant import Plant

PINNED = "tests/audit/test_audit_pinned_keys.py::"

PLANTS = (
    Plant(
        "another deployment's content key wraps",
        "audit/keys/register.py",
        "        if pinned and key_id not in pinned:\n",
        "        if False:\n",
        PINNED + "TestContentKey::test_of_another_deployment_starts_nothing_and_is_named",
    ),
    Plant(
        "a content key that was replaced may come back",
        "audit/keys/register.py",
        "        if self._register.content != key_ids:\n            self._register.content = key_ids\n",
        "        if self._register.content != key_ids:\n            self._register.content += key_ids\n",
        PINNED + "TestContentKey::test_of_a_rotation_is_the_new_one_and_the_one_before_is_refused",
    ),
    Plant(
        "a rotation that dies over the content key needs a person",
        "audit/keys/rotation.py",
        "        register.pin_content_key(before, name)\n",
        "",
        PINNED + "TestContentKey::test_of_a_rotation_that_dies_over_it_is_the_one_that_is_there[behind]",
    ),
    Plant(
        "retired public keys go in silence",
        "audit/keys/first_keys.py",
        "    if missing := missing_public_keys(settings.keys):\n",
        "    if missing := list[str]():\n",
        PINNED + "TestPublicKeys::test_that_are_gone_are_said_at_every_start_until_they_are_back",
    ),
)

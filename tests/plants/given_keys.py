"""Planted bugs: keys that a process is given to read, as Kubernetes mounts a Secret."""

from tests.plants.plant import Plant

HERE = "tests/audit/test_audit_given_keys.py::"

PLANTS = (
    Plant(
        "given keys: every folder counts as given",
        "audit/keys/given.py",
        "return directory.is_dir() and not os.access(directory, os.W_OK)",
        "return directory.is_dir()",
        HERE + "test_in_a_folder_of_ones_own_nothing_of_this_is_allowed",
    ),
    Plant(
        "given keys: a Secret that others may read",
        "audit/keys/given.py",
        "return 0o037 if",
        "return 0o033 if",
        HERE + "test_what_others_may_read_is_refused_in_a_secret_too",
    ),
    Plant(
        "given keys: a key of unknown age serves for ever",
        "audit/keys/register.py",
        "        if is_given(self._path.parent):\n            raise AuditRefused(",
        "        if is_given(self._path.parent):\n            return\n            raise AuditRefused(",
        HERE + "test_a_key_whose_age_is_not_known_is_refused",
    ),
    Plant(
        "given keys: a lock is left in the Secret",
        "audit/keys/keys.py",
        "    if is_given(directory):\n        yield\n        return\n",
        "",
        HERE + "test_keys_of_a_secret_are_used_and_nothing_is_written",
    ),
    Plant(
        "given keys: keys are made where none can be kept",
        "audit/keys/keys.py",
        "                if is_given(directory):\n                    raise AuditRefused(",
        "                if False:\n                    raise AuditRefused(",
        HERE + "test_an_empty_secret_says_what_belongs_there",
    ),
    Plant(
        "given keys: make-keys forgets the key of digests",
        "cli/audit_keys.py",
        "for file in (*digest_key, *mask_key):",
        "for file in mask_key:",
        HERE + "test_the_other_keys_are_in_the_register_when_they_are_named",
    ),
    Plant(
        "given keys: a token key that others may read",
        "console/token_keys.py",
        "& forbidden_bits(path.parent)",
        "& 0o007 & forbidden_bits(path.parent)",
        "tests/console/test_token_keys.py::test_a_key_that_others_may_read_or_that_is_another_is_not_used",
    ),
)

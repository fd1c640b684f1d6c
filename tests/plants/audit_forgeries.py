"""Planted bugs: forgeries by somebody without the deployment's keys."""

from tests.plants.plant import Plant

FORGERIES = "tests/audit/test_audit_forgeries.py::"

PLANTS = (
    Plant(
        "p4: a later range hides a writer that is gone",
        "audit/verify/registry.py",
        "link.registered_ms >= min(begin, self.now_ms - _KEPT_MS)",
        "link.registered_ms >= begin",
        FORGERIES + "TestAWriterThatIsGone::test_p4_a_range_that_begins_later_hides_nothing",
    ),
    Plant(
        "p4: what nobody signed excuses a key that is gone",
        "audit/verify/epoch.py",
        "        if segment == 1 and lines:\n            self.account.check_beginning(self.key, self.origin)",
        "        self.account.believe()",
        FORGERIES + "TestAJournalOfOnesOwn::test_p4_what_nobody_signed_excuses_nothing",
    ),
    Plant(
        "p4: a shredding excuses what comes after it",
        "audit/verify/epoch_account.py",
        "before_ms <= record.time_ms",
        "before_ms",
        FORGERIES + "TestAJournalOfOnesOwn::test_the_deployments_own_words_excuse_once_they_are_sealed",
    ),
    Plant(
        "p4: a stranger's journal is adopted",
        "audit/log/adopt.py",
        "        _require_ours(settings, origin, directory)",
        "        pass",
        FORGERIES + "TestAJournalOfOnesOwn::test_p4_it_is_not_adopted",
    ),
    Plant(
        "p4: a writer may adopt itself",
        "audit/verify/epoch_account.py",
        "if self.signing is Role.EPOCH:",
        "if self.signing is None:",
        FORGERIES + "test_p4_a_writer_does_not_adopt_itself",
    ),
    Plant(
        "a link counts as the object",
        "audit/stores/store.py",
        "flags | os.O_NOFOLLOW",
        "flags",
        FORGERIES + "TestLinksAndHiddenFolders::test_a_link_is_no_object",
    ),
    Plant(
        "a hidden folder is not seen",
        "audit/stores/store.py",
        'if name.endswith("/") or not name',
        "if not name",
        FORGERIES + "TestLinksAndHiddenFolders::test_a_folder_that_nobody_made_is_a_stranger",
    ),
)

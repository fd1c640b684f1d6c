"""Planted bugs: deaths and damage that a second process meets beside the audit log."""

from tests.plants.plant import Plant

DEATH = "tests/audit/test_audit_second_death.py::"

PLANTS = (
    Plant(
        "damage that an adopter found dies with it",
        "audit/log/dead_epoch.py",
        "        if after != before:\n",
        "        if False:\n",
        DEATH + "TestAdopterThatDiesOverDamage::test_before_it_tells",
    ),
    Plant(
        "damage is noted once the files are put aside",
        "audit/log/adopt.py",
        "    Damage.note(directory, lost, corrupt=True)\n",
        "",
        DEATH + "TestAdopterThatDiesOverDamage::test_while_it_puts_aside_a_journal_without_a_header",
    ),
    Plant(
        "a note of damage that cannot be read is none",
        "audit/log/dead_epoch.py",
        "return cls(corrupt=True)",
        "return cls()",
        DEATH + "TestAdopterThatDiesOverDamage::test_a_note_that_does_not_parse_is_one_of_damage",
    ),
    Plant(
        "a key whose transcript was torn off is sealed",
        "audit/log/dead_epoch.py",
        "    if last.kind is Kind.KEY:\n",
        "    if False:\n",
        DEATH + "test_a_torn_tail_is_no_finding_whichever_frame_it_ends_behind",
    ),
    Plant(
        "a second name of a key bag in force is overwritten",
        "audit/files.py",
        "        if os.fstat(fd).st_nlink == 0:\n",
        "        if True:\n",
        DEATH + "TestWriterOfKeyBagThatDiesBehindTheLink::test_shredding_another_bag_of_the_epoch_leaves_it",
    ),
    Plant(
        "one epoch's odd lock stops the adoption of all",
        "audit/log/adopt.py",
        "        except OSError as error:\n            if directory.exists():",
        "        except FileNotFoundError as error:\n            if directory.exists():",
        DEATH + "TestOddLock::test_the_others_are_adopted[epoch]",
    ),
    Plant(
        "an epoch without a lock is taken for one that was shipped",
        "audit/log/adopt.py",
        "            if directory.exists():  #",
        "            if False:  #",
        DEATH + "TestOddLock::test_an_epoch_whose_lock_is_gone_is_no_epoch_that_was_shipped",
    ),
)

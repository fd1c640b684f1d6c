"""Planted bugs: what a disk or a stranger does to the spool, and two services at work on one."""

from tests.plants.plant import Plant

DAMAGE = "tests/audit/test_audit_spool_damage.py::"
SEALED = DAMAGE + "TestSealedFiles::"
STORED = SEALED + "test_what_is_not_as_it_was_sealed_is_not_stored_and_is_told"
SUPERVISOR = "tests/edge/test_supervisor.py::"

PLANTS = (
    Plant(
        "a restored spool brings destroyed keys back",
        "audit/log/shipper.py",
        "if part is Part.KEYS and again and",
        "if part is Part.EVIDENCE and again and",
        SEALED + "test_a_restored_spool_brings_no_destroyed_key_back",
    ),
    Plant(
        "keys go astray behind a shipper that died",
        "audit/log/shipper.py",
        "again and _is_stored(store, origin.object_key(Part.MANIFEST, segment)):",
        "again:",
        SEALED + "test_a_shipper_that_died_before_the_key_bag_is_no_destruction",
    ),
    Plant(
        "sealed files are stored as they are found",
        "audit/log/shipper.py",
        "            _require_whole(store, origin, directory, segment)\n",
        "",
        STORED + "[evidence-flip]",
    ),
    Plant(
        "evidence that is nowhere is no loss to the shipper",
        "audit/log/shipper.py",
        '            raise SpoolUnfit(f"{missing.key} is neither in {directory} nor in the store") from error\n',
        "            continue\n",
        STORED + "[evidence-gone]",
    ),
    Plant(
        "a key bag is stored as it is found",
        "audit/log/sealed_files.py",
        "        if not lines <= set(manifest.key_lines):\n",
        "        if False:\n",
        STORED + "[bag-flip]",
    ),
    Plant(
        "a manifest is stored as it is found",
        "audit/log/sealed_files.py",
        "        verify_document(signer, Domain.MANIFEST, document)\n",
        "",
        STORED + "[manifest-flip]",
    ),
    Plant(
        "one file that cannot be read keeps every epoch from the store",
        "audit/log/shipper.py",
        "            except (AuditRefused, StoreFailed, OSError) as error:  # the other",
        "            except (AuditRefused, StoreFailed) as error:  # the other",
        STORED + "[evidence-folder]",
    ),
    Plant(
        "one file that cannot be read ends the verification",
        "audit/verify/epoch.py",
        "        except (StoreFailed, OSError) as error:\n            self._unreadable",
        "        except StoreFailed as error:\n            self._unreadable",
        STORED + "[content-folder]",
    ),
    Plant(
        "another epoch's registry entry is stored in its place",
        "audit/log/sealed_files.py",
        "    if (entry.origin, entry.location) != (str(origin), origin.registry_key):\n",
        "    if False:\n",
        SEALED + "test_another_epochs_files_are_not_stored_in_its_place",
    ),
    Plant(
        "another epoch's segment is stored in its place",
        "audit/log/sealed_files.py",
        "    if (manifest.origin, manifest.location) != (str(origin), origin.object_key(Part.MANIFEST, segment)):\n",
        "    if False:\n",
        SEALED + "test_another_epochs_files_are_not_stored_in_its_place",
    ),
    Plant(
        "a broken manifest outweighs the journal beside it",
        "audit/log/adopt.py",
        "    path.unlink()\n    sync_directory(directory)\n    return False\n",
        "    return True\n",
        SEALED + "test_beside_its_journal_it_is_sealed_again[manifest-empty]",
    ),
    Plant(
        "another epoch's journal is adopted and signed",
        "audit/log/adopt.py",
        "            if found is not None and found.header.origin != str(origin):\n",
        "            if False:\n",
        DAMAGE + "test_another_epochs_journal_is_not_adopted[2]",
    ),
    Plant(
        "a clock that is set back hides a lag",
        "audit/log/spool.py",
        "            waited = abs(now_seconds - status.st_mtime)\n",
        "            waited = now_seconds - status.st_mtime\n",
        DAMAGE + "test_a_clock_that_was_set_hides_no_lag[-1]",
    ),
    Plant(
        "an epoch that begins takes what a pause refuses",
        "audit/log/keeper.py",
        "        self._barred = lags or diverges or wrong_clock\n",
        "        self._barred = lags or wrong_clock\n",
        DAMAGE + "test_an_epoch_that_begins_under_a_pause_takes_nothing_for_a_moment_either[diverges]",
    ),
    Plant(
        "a disk without inodes is a sound one",
        "audit/log/journal.py",
        "            self._keeper.spend_reserve()  # also",
        "            pass  # also",
        DAMAGE + "TestNoNameLeftForFile::test_is_a_full_disk",
    ),
    Plant(
        "a disk that does not count its files has none left",
        "audit/log/keeper.py",
        "        if room.f_files and room.f_favail < _SPARE_FILES:\n",
        "        if room.f_favail < _SPARE_FILES:\n",
        DAMAGE + "TestNoNameLeftForFile::test_a_disk_that_does_not_count_its_files_has_room",
    ),
    Plant(
        "an epoch that could not begin stays locked",
        "audit/log/journal.py",
        "        except BaseException:  # whatever it is: a lock",
        "        except (OSError, AuditRefused):  # whatever it is: a lock",
        DAMAGE + "test_an_epoch_that_cannot_begin_is_a_dead_one_and_held_by_nobody[keeper]",
    ),
    Plant(
        "who could not ship says that the store is back",
        "edge/supervisor.py",
        "        if result.by_another:  #",
        "        if False:  #",
        SUPERVISOR + "test_who_finds_another_shipper_at_work_does_not_say_that_the_store_is_back",
    ),
    Plant(
        "a failure that cannot be recorded ends the shipping",
        "audit/log/own_notes.py",
        "        except Exception as error:  #",
        "        except OSError as error:  #",
        SUPERVISOR + "test_a_failure_that_cannot_be_recorded_does_not_end_the_shipping",
    ),
)

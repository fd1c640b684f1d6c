"""Planted bugs: the journal, what it says of itself, and what is done after a death."""

from tests.plants.plant import Plant

ALARMS = "tests/audit/test_audit_alarms.py::"
SETBACKS = "tests/audit/test_audit_setbacks.py::"
SYSCALLS = "tests/audit/test_audit_syscalls.py::"
KILLS = "tests/audit/test_audit_kills.py::"
DURABLE = "tests/edge/session/test_durable_first.py::test_nothing_goes_on_before_it_is_synced"
DISK = "tests/audit/test_audit_disk.py::test_a_full_disk_refuses_says_so_and_goes_on_when_there_is_room"
LOAD = "tests/audit/test_audit_load.py::test_256_streams_lose_nothing"


PLANTS = (
    Plant(
        "p2: a commit is acknowledged without a sync",
        "audit/log/writing.py",
        "        os.fdatasync(self._fd)\n        self.size",
        "        self.size",
        SYSCALLS + "test_no_step_is_acknowledged_before_its_bytes_were_synced",
    ),
    Plant(
        "p2: a failed sync of the journal is passed over",
        "audit/log/writing.py",
        "        os.fdatasync(self._fd)\n        self.size",
        "        try:\n            os.fdatasync(self._fd)\n        except OSError:\n            pass\n        self.size",
        SYSCALLS + "test_each_call_fails_once[audit-journal-EIO]",
    ),
    Plant(
        "an epoch has two writers",
        "audit/log/spool.py",
        '            self.discard()\n            raise AuditRefused("this epoch exists already") from error\n',
        "            pass\n",
        KILLS + "test_of_two_processes_with_one_epoch_the_second_fails[aa]",
    ),
    Plant(
        "a spool beyond its soft limit is told by nobody",
        "audit/log/alarms.py",
        '        return "soft_limit" if sight.used_bytes > share * sight.limit_bytes else ""\n',
        '        return ""\n',
        ALARMS + "TestSpool::test_a_spool_beyond_its_soft_limit_is_told_and_goes_on",
    ),
    Plant(
        "a spool around its soft limit is many alarms",
        "audit/log/alarms.py",
        "CALM_SHARE if Control.SPOOL in self._since else SOFT_SHARE",
        "SOFT_SHARE",
        ALARMS + "TestChanges::test_the_soft_limit_is_one_alarm_until_the_spool_is_calm",
    ),
    Plant(
        "a pause of the log is no record",
        "audit/log/alarms.py",
        "        changes += self._pause(",
        "        self._pause(",
        ALARMS + "TestSpool::test_a_store_that_lags_is_a_pause_and_its_return_a_resumption",
    ),
    Plant(
        "a pause that changes its cause begins anew",
        "audit/log/alarms.py",
        "self._paused.at if self._paused else now)",
        "now)",
        ALARMS + "TestChanges::test_a_pause_that_changes_its_cause_says_so_and_goes_on",
    ),
    Plant(
        "a clock that is set back is told by nobody",
        "audit/log/clock.py",
        "if abs(moved) > MAX_STEP_SECONDS:",
        "if moved > MAX_STEP_SECONDS:",
        ALARMS + "TestClock::test_a_step_is_a_failure_and_its_end_is_told[-6.0]",
    ),
    Plant(
        "a clock may step as often as it likes, a little at a time",
        "audit/log/clock.py",
        "            return self._step\n",
        "            self._mark = offset\n            return self._step\n",
        ALARMS + "TestClock::test_many_small_steps_within_one_heartbeat_are_a_step",
    ),
    Plant(
        "a clock that must be synchronised need not be",
        "audit/log/alarms.py",
        "sight.clock_must_hold and sight.synchronised is not Synchronised.YES",
        "False",
        ALARMS + "TestClock::test_a_clock_that_must_be_synchronised_refuses_while_it_is_not",
    ),
    Plant(
        "heartbeats come in idle time only",
        "audit/log/journal.py",
        "        self._release(batch.waiting, durable=True)\n",
        "        self._release(batch.waiting, durable=True)\n        self._beaten = time.monotonic()\n",
        ALARMS + "test_heartbeats_come_in_busy_times_too",
    ),
    Plant(
        "an epoch that nobody can adopt stops the service",
        "audit/log/spool.py",
        "        if any(entry.name == GIVEN_UP for entry in entries):\n            journals = []\n",
        "",
        SETBACKS + "test_a_broken_epoch_is_given_up_and_the_service_goes_on",
    ),
    Plant(
        "an epoch is given up and nobody is told",
        "audit/log/setbacks.py",
        "            self._record(log_record(EventCode.CONTROL_FAILURE, _WRITER, now_ms, detail, Outcome.FAILED))\n",
        "",
        SETBACKS + "test_a_broken_epoch_is_given_up_and_the_service_goes_on",
    ),
    Plant(
        "an epoch is given up at once",
        "audit/log/setbacks.py",
        "if more.count >= MAX_TRIES and not",
        "if not",
        SETBACKS + "test_before_it_is_given_up_it_counts",
    ),
    Plant(
        "the verifier takes an epoch that was given up for one that waits",
        "audit/verify/epoch.py",
        "and (self.local.directory / GIVEN_UP).exists():",
        "and False:",
        SETBACKS + "test_one_that_could_be_read_and_was_given_up_is_found_too",
    ),
    Plant(
        "one epoch that cannot be adopted keeps the others waiting",
        "audit/log/adopt.py",
        "    except Exception as error:\n        raise Unadoptable(type(error).__name__) from error\n",
        "    except AuditRefused as error:\n        raise Unadoptable(type(error).__name__) from error\n",
        SETBACKS + "test_whatever_is_wrong_with_one_epoch_the_others_are_adopted",
    ),
    Plant(
        "a full disk is an epoch's fault",
        "audit/log/adopt.py",
        "        if error.errno in (errno.ENOSPC, errno.EDQUOT):\n            raise\n        raise Unadoptable",
        "        raise Unadoptable",
        SETBACKS + "test_a_full_disk_is_not_the_epochs_fault",
    ),
    Plant(
        "p2: the session goes on before the journal's sync",
        "audit/log/journal.py",
        "            payloads = self._payloads(batch)\n            if payloads:",
        "            self._release(batch.waiting, durable=True)\n            payloads = self._payloads(batch)\n            if payloads:",
        DURABLE,
    ),
    Plant(
        "a full disk takes no refusal either",
        "audit/log/journal.py",
        "            self._keeper.spend_reserve()\n",
        "            raise\n",
        DISK,
    ),
    Plant(
        "a full disk is paused for by nobody",
        "audit/log/alarms.py",
        "        Cause.DISK_FULL: sight.disk_full,\n",
        "",
        DISK,
    ),
    Plant(
        "of what comes during a sync the last piece is lost",
        "audit/log/queue.py",
        "            pieces, log.pending = log.pending, []\n",
        "            pieces, log.pending = log.pending[:1], []\n",
        LOAD,
    ),
    Plant(
        "small exchanges make many objects",
        "audit/settings.py",
        "    segment_seconds: float = 45.0\n",
        "    segment_seconds: float = 5.0\n",
        "tests/audit/test_audit_journal.py::test_at_20_exchanges_a_second_1000_of_them_are_at_most_5_objects[small]",
    ),
)

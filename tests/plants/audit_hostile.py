"""Planted bugs: names, numbers and files by somebody who wants to be taken for another, or a command to give up."""

from tests.plants.plant import Plant

_TEST = "tests/audit/test_audit_hostile.py::"

PLANTS = (
    Plant(
        "who reads the log is whom the environment names",
        "cli/person.py",
        "        return pwd.getpwuid(os.getuid()).pw_name",
        '        return os.environ.get("LOGNAME") or pwd.getpwuid(os.getuid()).pw_name',
        _TEST + "test_who_reads_is_what_the_machine_says_and_not_the_environment",
    ),
    Plant(
        "an argument that is no text breaks the command",
        "cli/person.py",
        'mask_text(reason.encode("utf-8", "backslashreplace").decode())',
        "mask_text(reason)",
        _TEST + "test_an_argument_that_is_no_text_is_recorded_as_its_bytes",
    ),
    Plant(
        "the digits of an exchange's id are masked",
        "cli/person.py",
        "    if _OWN_ID.fullmatch(reason):",
        "    if False:",
        _TEST + "test_an_id_of_ours_is_never_taken_for_a_card_number[019ac0a1b2c3-4111111111111111]",
    ),
    Plant(
        "what nests too deeply ends the verifier",
        "audit/refusal.py",
        "NOT_PARSED = (ValueError, RecursionError)",
        "NOT_PARSED = (ValueError,)",
        _TEST + "test_what_is_nested_too_deeply_is_altered_and_hides_nothing_else[0001.manifest.json]",
    ),
    Plant(
        "a time that no calendar has ends the command",
        "audit/reader.py",
        "    except (ValueError, OverflowError):",
        "    except TypeError:",
        _TEST + "test_a_time_that_no_calendar_has_is_shown_as_its_number[after]",
    ),
    Plant(
        "a heartbeat beyond every number ends the verifier",
        "audit/epoch_account.py",
        "int(min(1000 * (2 * waits[0] + waits[1]), _LONG_MS))",
        "int(1000 * (2 * waits[0] + waits[1]))",
        _TEST + "test_a_heartbeat_beyond_every_number_stops_neither_verifier_nor_anchor",
    ),
    Plant(
        "a heartbeat beyond every number ends the anchor",
        "audit/anchor_head.py",
        "except (AuditRefused, KeyError, ValueError, OverflowError) as error",
        "except (AuditRefused, KeyError, ValueError) as error",
        _TEST + "test_a_heartbeat_beyond_every_number_stops_neither_verifier_nor_anchor",
    ),
    Plant(
        "a checkpoint's size has any digits",
        "audit/checkpoint.py",
        "        if _SIZE.fullmatch(lines[1]) is None:",
        "        if not lines[1].isdigit():",
        _TEST + "test_a_checkpoint_of_no_size_is_refused[20]",
    ),
    Plant(
        "a model that numbers its tools by lists is not replayed",
        "audit/said.py",
        "    return as_text(index) if isinstance(index, list | dict) else index",
        "    return index",
        _TEST + "test_a_model_that_numbers_its_tools_by_lists_is_replayed[responses]",
    ),
    Plant(
        "a request that nests deeply is not shown",
        "approvals/conversation.py",
        "    except (ValueError, RecursionError):",
        "    except ValueError:",
        _TEST + "test_a_request_that_is_nested_as_deeply_as_can_be_is_shown",
    ),
    Plant(
        "a span beyond every number ends in a traceback",
        "cli/audit_where.py",
        "    except (ValueError, OverflowError) as error:",
        "    except TypeError as error:",
        _TEST + "test_a_number_that_nobody_means_is_wrong_use[a span beyond every float]",
    ),
    Plant(
        "the command proves the future",
        "cli/audit_verify.py",
        "    if asked.from_ms is not None and asked.from_ms > time.time() * 1000:",
        "    if False:",
        _TEST + "test_a_number_that_nobody_means_is_wrong_use[the future]",
    ),
    Plant(
        "the verifier proves the future",
        "audit/verify.py",
        "        if asked.from_ms is not None and asked.from_ms > self.now_ms:",
        "        if False:",
        _TEST + "test_what_has_not_come_yet_is_not_proven",
    ),
    Plant(
        "a number that no column takes ends the export in a traceback",
        "audit/export_parquet.py",
        "            except (ValueError, OverflowError) as error:",
        "            except TypeError as error:",
        _TEST + "test_a_number_that_no_column_takes_is_refused_with_what_the_manifest_says",
    ),
    Plant(
        "an export that is ended leaves its half",
        "cli/audit_export.py",
        "signal.signal(each, lambda number, _: sys.exit(128 + number))",
        "signal.signal(each, lambda number, _: __import__('os')._exit(128 + number))",
        _TEST + "test_an_export_that_is_ended_half_way_leaves_nothing[ended]",
    ),
    Plant(
        "a key that is written another way survives its shredding",
        "audit/shredding.py",
        "            return msgspec.json.decode(line, type=WrappedKey).exchange_id == self._exchange_id",
        "            return False",
        "tests/audit/test_audit_shred.py::test_a_key_that_somebody_wrote_down_another_way_goes_too[a blank]",
    ),
    Plant(
        "a person who is written another way is another person",
        "core/identity.py",
        "        return _folded(self.uid) == _folded(uid)",
        "        return self.uid == uid",
        "tests/audit/test_audit_shred.py::test_who_is_written_another_way_is_no_second_person[case]",
    ),
    Plant(
        "an approver who is written another way is another person",
        "core/approval.py",
        "    if decider.may_be(approval.requester_uid):",
        "    if decider.uid == approval.requester_uid:",
        "tests/core/test_approval.py::test_a_requester_who_is_written_another_way_decides_nothing",
    ),
)

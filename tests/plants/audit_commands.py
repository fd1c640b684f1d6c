"""Planted bugs: what the commands of the audit log may not do, and what they say."""

from tests.plants.plant import Plant

FIRST_KEYS = "tests/audit/test_audit_first_keys.py::"
TYPED = "tests/audit/test_audit_typed_numbers.py::"
CLI = "tests/audit/test_audit_cli.py::"
SHRED = "tests/audit/test_audit_shred_command.py::"
SEALED = "tests/audit/test_audit_sealed_command.py::"
LIST = "tests/audit/test_audit_list.py::TestCommand::"
KEYS = "tests/audit/test_audit_keys.py::TestInventory::"
ANCHOR = "tests/audit/test_audit_anchor_cli.py::"

PLANTS = (
    Plant(
        "commands: one that reads makes keys",
        "audit/keys/keys.py",
        "    refuse_no_keys(settings)\n    return",
        "    return",
        FIRST_KEYS + "test_no_command_makes_keys[list]",
    ),
    Plant(
        "commands: a rotation makes the first keys",
        "audit/keys/rotation.py",
        "    refuse_no_keys(settings)\n",
        "",
        FIRST_KEYS + "test_no_command_makes_keys[rotate-keys]",
    ),
    Plant(
        "keys: an epoch begins in a log of another key",
        "audit/log/journal.py",
        "        Registry(settings.spool, keys).refuse_another_key()\n",
        "",
        FIRST_KEYS + "test_another_deployments_keys_write_nothing_into_this_log",
    ),
    Plant(
        "keys: a register goes on with another key",
        "audit/log/registry.py",
        "                self.keys.verify(Domain.REGISTRY, head.document.encode())\n",
        "                pass\n",
        FIRST_KEYS + "test_a_register_does_not_go_on_with_another_key",
    ),
    Plant(
        "keys: a service makes keys beside a log in its store",
        "audit/keys/first_keys.py",
        'return "" if stored is None else "the store"',
        'return ""',
        FIRST_KEYS + "test_a_service_makes_no_keys_beside_a_log[spool]",
    ),
    Plant(
        "keys: a service makes keys beside a log in its spool",
        "audit/keys/first_keys.py",
        "    if read_head(settings.spool) is not None:\n",
        "    if False:\n",
        FIRST_KEYS + "test_a_service_makes_no_keys_beside_a_log[store]",
    ),
    Plant(
        "keys: a service starts with another deployment's keys",
        "audit/keys/first_keys.py",
        "    Registry(settings.spool, keys).refuse_another_key()\n",
        "",
        FIRST_KEYS + "test_a_service_does_not_start_with_another_deployments_keys",
    ),
    Plant(
        "keys: a rotation stops the processes that run",
        "audit/keys/keys.py",
        "            return verify_document(load_public_key(self.directory / PUBLIC_KEY), domain, document)",
        "            raise",
        FIRST_KEYS + "test_a_process_with_the_keys_before_a_rotation_goes_on",
    ),
    Plant(
        "commands: the record of a reading keeps what was typed",
        "cli/audit_where.py",
        "mask_argument(value) if isinstance(value, str) else value",
        "value",
        TYPED + "test_a_typed_card_number_is_masked_in_the_record[person-plain]",
    ),
    Plant(
        "commands: an acknowledgement keeps what was typed",
        "cli/audit_anchor.py",
        "said = mask_reason(reason.strip())",
        "said = reason.strip()",
        ANCHOR + "test_a_card_number_in_a_reason_is_kept_nowhere",
    ),
    Plant(
        "commands: an unknown exchange is a finding",
        "cli/audit_where.py",
        '    fail(f"there is no exchange',
        '    sys.exit(f"there is no exchange',
        CLI + "test_an_unknown_exchange_is_named_and_wrong_input",
    ),
    Plant(
        "commands: an unknown request is a finding",
        "cli/two_people.py",
        "EXIT_FINDING if code in findings else EXIT_INPUT",
        "EXIT_FINDING",
        SHRED + "test_what_is_refused_is_recorded[no request]",
    ),
    Plant(
        "commands: another custodian's key is a finding",
        "cli/audit_sealed.py",
        '        except NothingToOpen as nothing:\n            fail(f"Not opened: {nothing}")\n',
        "",
        SEALED + "test_another_key_opens_nothing_and_that_is_no_opening",
    ),
    Plant(
        "commands: a token that is not accepted is a finding",
        "cli/two_people.py",
        "    except ExchangeError as error:\n        fail(",
        "    except ExchangeError as error:\n        sys.exit(",
        SHRED + "test_a_bad_reason_or_token_changes_nothing[no token of the issuer]",
    ),
    Plant(
        "commands: what was found in an answer is said of the request",
        "cli/audit_view.py",
        'for name in ("findings_request", "findings_response")',
        'for name in ("findings_response", "findings_request")',
        LIST + "test_what_was_found_is_said_of_request_and_answer",
    ),
    Plant(
        "commands: a rotation keeps quiet about mask keys",
        "cli/audit_keys.py",
        "    for purpose in (Purpose.DIGEST, Purpose.MASK):",
        "    for purpose in (Purpose.DIGEST,):",
        KEYS + "test_a_rotation_is_recorded_under_the_new_keys",
    ),
    Plant(
        "commands: the inventory is not the evidence pack's",
        "cli/audit_keys.py",
        "key_cells(row))) for row in rows",
        "(row.purpose, *key_cells(row)[:6]))) for row in rows",
        KEYS + "test_lists_every_key_and_none_of_its_material",
    ),
    Plant(
        "commands: a missing public key is said to be broken",
        "audit/keys/public_keys.py",
        "{path} is not there",
        "{path} is not a readable public key",
        CLI + "test_a_missing_public_key_is_said_to_be_missing",
    ),
)

"""Planted bugs: what a command says of a store that is not there, of a living log, and of another key."""

from tests.plants.plant import Plant

PLANTS = (
    Plant(
        "a directory that is not there is an empty store",
        "audit/stores/store.py",
        "        if not self._root.is_dir():",
        "        if False:",
        "tests/audit/test_audit_cli.py::test_a_store_that_is_not_there_is_not_an_empty_one_and_is_not_created[command1]",
    ),
    Plant(
        "the anchor takes a directory that is not there for a loss",
        "audit/stores/store.py",
        "        self.require_root()\n        try:",
        "        try:",
        "tests/audit/test_audit_anchor_cli.py::test_a_store_that_is_not_there_is_no_loss_and_the_pass_is_not_finished",
    ),
    Plant(
        "inspecting creates the store",
        "audit/stores/inspect_directory.py",
        "    Directory(settings).require_root()\n",
        "",
        "tests/audit/test_audit_inspect.py::TestOnADirectory::test_one_that_is_not_there_is_not_created",
    ),
    Plant(
        "a folder without a log is an empty one",
        "cli/audit_where.py",
        '        if not (store / "v1").is_dir():',
        "        if False:",
        "tests/audit/test_audit_cli.py::test_a_folder_without_a_log_is_not_an_empty_one",
    ),
    Plant(
        "a retention check of nothing is a success",
        "cli/audit_retention.py",
        "    if not found.evidence:",
        "    if False:",
        "tests/audit/test_audit_retention.py::TestCommand::test_a_store_that_is_not_there_or_empty_is_no_success",
    ),
)

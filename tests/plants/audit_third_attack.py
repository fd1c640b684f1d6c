"""Planted bugs: outputs that take nothing, hostile listings, times that are forged, spools that come back."""

from tests.plants.plant import Plant

OUTPUT = "tests/audit/test_audit_output.py::"

PLANTS = (
    Plant(
        "output: a full disk is told a second time as the command ends",
        "cli/output.py",
        "        _let_go()\n",
        "",
        OUTPUT + "test_a_full_disk_is_one_line_and_not_the_stores_fault[show]",
    ),
    Plant(
        "output: a full disk is a finding",
        "cli/output.py",
        "exit_code = EXIT_INPUT",
        "exit_code = 1",
        OUTPUT + "test_a_full_disk_is_one_line_and_not_the_stores_fault[verify]",
    ),
    Plant(
        "output: who reads no further is a full disk",
        "cli/output.py",
        "    except BrokenPipeError:\n        raise\n",
        "",
        OUTPUT + "test_who_reads_no_further_is_no_full_disk",
    ),
)

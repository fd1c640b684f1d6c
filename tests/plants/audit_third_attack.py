"""Planted bugs: outputs that take nothing, hostile listings, times that are forged, spools that come back."""

from tests.plants.plant import Plant

AGED = "tests/audit/test_audit_anchor_aged.py::"
LISTING = (
    "tests/audit/test_audit_hostile_listing.py::test_a_list_that_no_bucket_has_ends_verifying_and_the_anchors_pass"
)
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
    Plant(
        "listing: a store goes in a circle",
        "audit/stores/s3_wire.py",
        "if version.key < last or not",
        "if not",
        f"{LISTING}[in a circle]",
    ),
    Plant(
        "listing: a store lists something else",
        "audit/stores/s3_wire.py",
        " or not version.key.startswith(prefix)",
        "",
        f"{LISTING}[another prefix]",
    ),
    Plant(
        "listing: a store goes on and on",
        "audit/stores/s3_wire.py",
        "if listed > MAX_LISTED:",
        "if False:",
        f"{LISTING}[on and on]",
    ),
    Plant(
        "listing: a key has versions without an end",
        "audit/stores/s3_wire.py",
        "if same > MAX_VERSIONS:",
        "if False:",
        f"{LISTING}[one key for ever]",
    ),
    Plant(
        "anchor: what is signed anew makes a segment older",
        "audit/anchor/look.py",
        ", head.began_ms(segment + 1))",
        ")",
        AGED + "test_a_segment_is_no_older_than_the_next_one_was_when_it_was_followed[young]",
    ),
    Plant(
        "anchor: of each segment it is remembered when it was begun",
        "audit/anchor/head.py",
        "return self.days if known else",
        "return",
        AGED + "test_of_each_day_one_segment_is_remembered",
    ),
)

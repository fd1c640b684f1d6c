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
)

"""Planted bugs: ways into the console, and to what is not for everybody, that were open once."""

from tests.plants.plant import Plant

TESTS = "tests/console/test_console_attacks.py::"
COOKIE = TESTS + "test_no_other_host_gives_a_browser_its_session"
CALLERS = TESTS + "test_callers_without_the_right_to_text_get_no_reasons"

PLANTS = (
    Plant(
        "console: a cookie's name without blanks beyond ASCII",
        "console/cookies.py",
        'each.strip(" \\t").partition("=")',
        'each.strip().partition("=")',
        COOKIE,
    ),
    Plant(
        "console: the last of two cookies under one name",
        "console/cookies.py",
        'plain if found.get(name, plain) == plain else ""',
        "plain",
        COOKIE,
    ),
    Plant(
        "api: readers are told reasons",
        "console/api_approvals.py",
        "if reads else facts_shape(approval)",
        "if reads else approval_shape(approval)",
        CALLERS,
    ),
    Plant(
        "api: readers find reasons by searching",
        "console/api_approvals.py",
        "in_reasons=not caller.roles or not READS_TEXT.isdisjoint(caller.roles)",
        "in_reasons=True",
        CALLERS,
    ),
    Plant(
        "console: readers find reasons by searching",
        "console/finding_approvals.py",
        "in_reasons=not READS_TEXT.isdisjoint(roles)",
        "in_reasons=True",
        TESTS + "test_readers_neither_see_nor_find_why_somebody_asks_or_decides",
    ),
    Plant(
        "console: the page of a session tells readers reasons",
        "console/pages_session.py",
        "reads_reasons=not READS_TEXT.isdisjoint(roles)",
        "reads_reasons=True",
        TESTS + "test_the_page_of_a_session_keeps_reasons_from_readers",
    ),
)

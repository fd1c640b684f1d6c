"""Planted bugs: what a decision obliges is done."""

from tests.plants.plant import Plant

CLAMP = "tests/core/dialects/test_clamp.py::"

PLANTS = (
    Plant(
        "a limit of nothing is let through",
        "core/dialects/clamp.py",
        "0 < value <= most else 0",
        "value <= most else 0",
        CLAMP + "test_a_limit_that_is_none_or_too_large_becomes_the_obliged_one",
    ),
    Plant(
        "a limit under another name is passed by",
        "core/dialects/clamp.py",
        "dict.fromkeys((*given, *own))",
        "dict.fromkeys(own)",
        CLAMP + "test_every_name_of_a_limit_is_held_wherever_it_stands",
    ),
    Plant(
        "where no limit is known the request goes on",
        "core/dialects/clamp.py",
        "if not own or any(",
        "if any(",
        CLAMP + "test_where_no_limit_is_known_the_request_is_refused",
    ),
    Plant(
        "a limited request is written anew",
        "core/dialects/clamp.py",
        "Masked(text.encode()) if fields else body",
        "Masked(__import__('json').dumps(__import__('json').loads(text)).encode()) if fields else body",
        CLAMP + "test_every_other_byte_stays_as_it_came",
    ),
)

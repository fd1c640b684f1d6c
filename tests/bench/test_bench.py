"""What `make bench` makes of its samples. The measuring itself is run by hand: it wants a quiet machine."""

import io

import pytest
from rich.console import Console

from bench.run import Samples, compare, render, verdict
from bench.variants import EXTPROC, FLOOR, PLAIN


def samples(event: float, exchange: float, first: float, memory: float) -> Samples:
    return Samples([event], [exchange], [first] * 100, [1.0] * 100, [0.0] * 100, [5.0], memory, memory)


def rows(event: float = 140.0, memory: float = 90.0) -> list:
    measured = {
        PLAIN: samples(0, 0, 1.0, 0),
        FLOOR: samples(100.0, 400.0, 2.0, 40.0),
        EXTPROC: samples(event, 700.0, 4.0, memory),
    }
    return compare(measured)


def test_budgets_are_judged_against_the_floor_of_the_same_run() -> None:
    by_name = {row.measure: row for row in rows()}
    event, exchange = by_name["CPU per streamed event"], by_name["CPU per small JSON exchange"]
    assert (event.ratio, event.met, event.off_by) == (1.4, True, "met")
    assert (exchange.ratio, exchange.met) == (1.75, True)
    assert by_name["added time to first token, p50, 16 streams"].value == 3.0
    assert verdict(rows()) == 0


@pytest.mark.parametrize(("event", "memory", "off_by"), [(300.0, 90.0, "+100 %"), (140.0, 132.0, "+20 %")])
def test_how_far_off_a_budget_is_stands_in_the_table(event: float, memory: float, off_by: str) -> None:
    table = render(rows(event, memory), {"cores": 2, "load_before": 0.0})
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    assert off_by in out.getvalue()
    assert verdict(rows(event, memory)) == 1


def test_nothing_judged_is_no_success() -> None:
    assert verdict([row for row in rows() if row.budget is None]) == 2
    assert verdict([]) == 2

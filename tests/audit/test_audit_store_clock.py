"""How long an object is locked, whatever a clock says: never into the past, never beyond the longest retention."""

from email.utils import formatdate

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extproc.audit.stores.clock import MARGIN_SECONDS, MAX_AGE_SECONDS, MAX_SKEW_SECONDS, StoreClock
from extproc.audit.stores.store import Fault, StoreFailed

DAY = 86_400
YEAR = 365 * DAY
NOON = 1_790_000_000.0
OFFSETS = st.one_of(st.floats(-MAX_SKEW_SECONDS, MAX_SKEW_SECONDS), st.floats(-2 * YEAR, 2 * YEAR))


class Clocks:
    """Ours, the store's, and the one that nobody sets."""

    def __init__(self, ours: float = NOON, store: float = NOON) -> None:
        self.ours, self.store, self.steady = ours, store, 5_000.0
        self.clock = StoreClock(lambda: self.ours, lambda: self.steady)

    def tell(self) -> "Clocks":
        self.clock.note(formatdate(self.store, usegmt=True))
        return self

    def pass_time(self, seconds: float) -> None:
        self.ours += seconds
        self.store += seconds
        self.steady += seconds

    def until(self, days: int = 400, longest: int = 1200) -> float:
        return self.clock.retain_until(days, longest).timestamp()


@given(
    ours=OFFSETS,
    later=OFFSETS,
    passed=st.floats(0, 2 * MAX_AGE_SECONDS),
    days=st.integers(1, 5000),
    longest=st.integers(1, 1500),
)
def test_a13_retain_until_is_never_in_the_past_and_never_over_the_cap(ours, later, passed, days, longest):
    """Our clock is `ours` from the store's when the store tells the time, and is set by `later` afterwards."""
    clocks = Clocks(ours=NOON + ours).tell()
    clocks.pass_time(passed)
    clocks.ours += later
    kept = min(days, longest) * DAY
    apart = abs(clocks.ours - clocks.store)
    assume(abs(apart - MAX_SKEW_SECONDS) > 2)  # a Date has whole seconds
    if apart > MAX_SKEW_SECONDS:
        with pytest.raises(StoreFailed) as failed:
            clocks.until(days, longest)
        assert failed.value.fault is Fault.CLOCK
    else:
        until = clocks.until(days, longest)
        assert until >= max(clocks.ours, clocks.store) + kept + MARGIN_SECONDS - 1
        assert until <= clocks.store + kept + MAX_SKEW_SECONDS + MARGIN_SECONDS + 2


@pytest.mark.parametrize("step", [-YEAR, -DAY, -301, 301, YEAR])
def test_a13_a_clock_that_steps_is_seen_before_the_next_object(step):
    clocks = Clocks().tell()
    assert not clocks.clock.must_be_asked()
    clocks.ours += step
    assert clocks.clock.must_be_asked(), "the store's clock may be the one that moved"
    clocks.tell()
    with pytest.raises(StoreFailed, match="the clock differs from the store's"):
        clocks.until()


@pytest.mark.parametrize("offset", [-299, 0, 299])
def test_a13_an_unsynchronised_clock_within_the_bound_never_shortens_the_retention(offset):
    clocks = Clocks(ours=NOON + offset).tell()
    assert clocks.until() >= NOON + 400 * DAY + max(offset, 0)


def test_a13_without_the_stores_time_nothing_is_locked():
    clocks = Clocks()
    for date in ("", "yesterday", "Mon, 99 Foo 2026"):
        clocks.clock.note(date)
    assert clocks.clock.must_be_asked()
    with pytest.raises(StoreFailed, match="does not tell its time"):
        clocks.until()


def test_the_stores_time_is_asked_again_after_a_while():
    clocks = Clocks().tell()
    clocks.pass_time(MAX_AGE_SECONDS + 1)
    assert clocks.clock.must_be_asked()
    assert not clocks.tell().clock.must_be_asked()


def test_no_lock_is_longer_than_the_longest():
    assert Clocks().tell().until(days=5000, longest=1200) <= NOON + 1200 * DAY + MARGIN_SECONDS + 2

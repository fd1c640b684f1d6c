"""Planted bugs: whoever waits learns of a change in time, whatever happens to the wake."""

from tests.plants.plant import Plant

WAKES = "tests/approvals/test_wakes.py::"

PLANTS = (
    Plant(
        "what sqlite shows is not seen",
        "approvals/wakes.py",
        "return bool(before != self._version)",
        "return False",
        WAKES + "test_a_grant_elsewhere_wakes_whoever_waits[sqlite]",
    ),
    Plant(
        "a lost connection is not asked around",
        "approvals/desk.py",
        " or not wakes.working or",
        " or",
        WAKES + "test_a_lost_connection_falls_back_to_the_poll[sqlite]",
    ),
    Plant(
        "a lost wake is healed by the next one only",
        "approvals/desk.py",
        "min(self._poll_seconds, look_seconds)",
        "self._poll_seconds",
        WAKES + "test_a_lost_wake_is_healed_and_where_none_comes_it_is_asked[lost-sqlite]",
    ),
    Plant(
        "whoever waits last leaves the watching on",
        "approvals/desk.py",
        "            self._wake.set()  # so that what wakes us is told to rest\n",
        "",
        WAKES + "test_only_what_changed_is_read_and_nothing_while_nobody_waits[sqlite]",
    ),
    Plant(
        "of many changes at once some are not told",
        "approvals/desk.py",
        "more = len(changed) == MAX_CHANGES",
        "more = False",
        WAKES + "test_more_changes_than_are_read_at_once_are_all_told[sqlite]",
    ),
    Plant(
        "all that wait are read at every change",
        "approvals/desk.py",
        "looked = [*(self._watches.keys() - self._known.keys()), *self._find_due(now)]",
        "looked = list(self._watches)",
        WAKES + "test_only_what_changed_is_read_and_nothing_while_nobody_waits[sqlite]",
    ),
    Plant(
        "the store is asked while nobody waits",
        "approvals/desk.py",
        "                    wakes.rest()\n",
        "",
        WAKES + "test_only_what_changed_is_read_and_nothing_while_nobody_waits[sqlite]",
    ),
    Plant(
        "the end of time is not looked for",
        "approvals/desk.py",
        "            if self._find_due(self._clock()):\n                return\n",
        "",
        WAKES + "test_the_end_of_its_time_is_told_though_nobody_changed_anything",
    ),
    Plant(
        "each hold is a transaction of its own",
        "approvals/opening_queue.py",
        "MAX_OPENED: Final = 50",
        "MAX_OPENED: Final = 1",
        WAKES + "test_many_are_opened_together_and_one_that_cannot_be_costs_no_other",
    ),
    Plant(
        "one that cannot be stored costs all that are opened with it",
        "approvals/opening_queue.py",
        "        if len(requests) == 1:\n            return [None]\n",
        "        return [None] * len(requests)\n",
        WAKES + "test_many_are_opened_together_and_one_that_cannot_be_costs_no_other",
    ),
)

"""Planted bugs: who waits for an approval while its store is away for a moment."""

from tests.plants.plant import Plant

OUTAGES = "tests/approvals/test_desk.py::test_a_lost_store_is_told_after_a_while_and_a_short_outage_is_not"

PLANTS = (
    Plant(
        "losses: a restart of the database ends every hold",
        "approvals/desk.py",
        "        if time.monotonic() - self._failing_since >= self._lost_seconds:\n",
        "        if time.monotonic() >= self._failing_since:\n",
        OUTAGES,
    ),
    Plant(
        "losses: outages that are over are added up",
        "approvals/desk.py",
        "        self._failing_since = None\n        if self._revision is None:\n",
        "        if self._revision is None:\n",
        OUTAGES,
    ),
)

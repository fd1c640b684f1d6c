"""Planted bugs: how often it is tried to ship what cannot be shipped."""

from tests.plants.plant import Plant

PACE = "tests/edge/test_supervisor.py::TestPace::"

PLANTS = (
    Plant(
        "a failing upload is sent again every second",
        "edge/shipping_pace.py",
        "min(2 * self.seconds, MAX_SHIP_SECONDS) if again else SHIP_SECONDS",
        "SHIP_SECONDS",
        PACE + "test_what_fails_again_is_tried_ever_later_and_told_at_the_first_failure",
    ),
    Plant(
        "another cause waits as long as the one before",
        "edge/shipping_pace.py",
        "failed.fault is self._cause and not failed.shipped",
        "self._cause is not None and not failed.shipped",
        PACE + "test_another_cause_and_a_segment_that_got_through_are_tried_again_at_once",
    ),
    Plant(
        "an epoch that fails hides what the others brought",
        "audit/log/shipper.py",
        "return ShippingFailed(Fault.DIVERGENT, error.key, shipped)",
        "return ShippingFailed(Fault.DIVERGENT, error.key)",
        PACE + "test_an_epoch_that_fails_tells_what_the_others_brought",
    ),
    Plant(
        "the last shipping waits until it is due",
        "edge/supervisor.py",
        "        shipped = self._ship_once()\n        for",
        "        self._ship_if_due()\n        shipped = self._pace.seconds == SHIP_SECONDS\n        for",
        PACE + "test_the_last_shipping_waits_for_nothing",
    ),
    Plant(
        "the last records are not shipped since the console ships just now",
        "edge/supervisor.py",
        "            if shipped or not self._another_ships:\n",
        "            if True:\n",
        "tests/edge/test_supervisor.py::test_the_last_records_wait_for_another_shipper_to_end",
    ),
)

"""Planted bugs: nobody takes the console away by connections that say nothing."""

from tests.plants.plant import Plant

CONNECTIONS = "tests/console/test_console_connections.py::"

PLANTS = (
    Plant(
        "a connection waits for a header for ever",
        "console/connection.py",
        "            else:\n                self._wait()",
        "            else:\n                pass",
        CONNECTIONS + "test_who_sends_no_whole_header_in_time_loses_the_connection",
    ),
    Plant(
        "after an answer a connection waits for the rest of a header for ever",
        "console/connection.py",
        "if not self.transport.is_closing() and",
        "if False and",
        CONNECTIONS + "test_who_begins_another_request_and_does_not_end_it_loses_the_connection",
    ),
    Plant(
        "one address has as many connections as it likes",
        "console/connection.py",
        "                self.transport.abort()",
        "                pass",
        CONNECTIONS + "test_one_address_has_so_many_connections_and_others_are_served",
    ),
    Plant(
        "a part of the console that failed is not missed",
        "console/process.py",
        "        task.add_done_callback(self._ended)\n",
        "",
        "tests/console/test_console_process.py::test_a_part_that_fails_ends_the_console",
    ),
)

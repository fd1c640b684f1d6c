"""Planted bugs: a configuration that changes while the service runs."""

from tests.plants.plant import Plant

CONFIGURATION = "tests/edge/test_configuration.py::"
DIRECTIONS = "tests/edge/test_envoy_directions.py::"
START = "tests/edge/test_supervisor_start.py::"
IN_VAIN = "tests/edge/test_configuration_in_vain.py::"
FILE = "edge/configuration.py"
ENVOY = "edge/envoy_directions.py"

PLANTS = (
    Plant(
        "configuration: workers send where Envoy does not lead yet",
        FILE,
        "        self._astray = True\n",
        "        self._astray = True\n        replace(self.as_read, data)\n",
        CONFIGURATION + "test_envoy_leads_there_then_it_is_recorded_then_workers_send_there",
    ),
    Plant(
        "configuration: an Envoy that does not follow is no reason to stay",
        FILE,
        "        if failure := self._direct(copy, self.as_read, self._judged):\n",
        "        if (failure := self._direct(copy, self.as_read, self._judged)) and self.failing:\n",
        CONFIGURATION + "test_where_envoy_does_not_follow_nothing_is_taken_over",
    ),
    Plant(
        "configuration: a change that cannot be recorded happens",
        FILE,
        "            self._again = True  # nothing changes that is not recorded\n            return\n",
        "            self._again = True  # nothing changes that is not recorded\n",
        CONFIGURATION + "test_what_cannot_be_recorded_does_not_happen",
    ),
    Plant(
        "configuration: a part of a file is taken over",
        FILE,
        "        if waiting:\n",
        "        if len(waiting) > 1:\n",
        CONFIGURATION + "test_anything_else_waits_for_a_restart_with_all_that_is_in_its_file[workers]",
    ),
    Plant(
        "configuration: limits are said to be taken over",
        "edge/settings.py",
        '"dpop_nonce", "trust_domains"}',
        '"dpop_nonce", "trust_domains", "limits"}',
        CONFIGURATION + "test_anything_else_waits_for_a_restart_with_all_that_is_in_its_file[limits]",
    ),
    Plant(
        "configuration: half a file counts",
        FILE,
        "            self._seen, self._seen_at = seen, now\n",
        "            self._seen = seen\n",
        CONFIGURATION + "test_what_is_written_in_place_counts_when_it_has_settled",
    ),
    Plant(
        "configuration: the policy need not fit",
        FILE,
        "        load_policy(settings.policy_file, Fitness.of(settings))\n",
        "",
        CONFIGURATION + "test_a_configuration_that_the_policy_does_not_fit_is_refused",
    ),
    Plant(
        "configuration: what a file names may not come later than the file",
        FILE,
        "(seen != self._judged or again)",
        "seen != self._judged",
        CONFIGURATION + "test_a_credential_that_comes_later_than_the_file_that_names_it_is_waited_for",
    ),
    Plant(
        "configuration: a failure that could not be recorded is forgotten",
        FILE,
        "        self._record_owed()\n        try:\n",
        "        try:\n",
        CONFIGURATION + "test_a_failure_that_cannot_be_recorded_is_recorded_later",
    ),
    Plant(
        "configuration: a bad file is no failing control",
        FILE,
        "frozenset({CONTROL} if self.verdict is Verdict.REFUSED else ())",
        "frozenset()",
        CONFIGURATION + "test_a_bad_file_leaves_the_last_good_one_and_is_a_failing_control[no yaml]",
    ),
    Plant(
        "configuration: a file that is gone is an empty one that is all right",
        FILE,
        "        if failure:\n            self._refuse((failure,))\n            return\n        try",
        "        if failure:\n            self._settle(Verdict.IN_FORCE, failure)\n            return\n        try",
        CONFIGURATION + "test_a_file_that_is_gone_leaves_the_last_good_one",
    ),
    Plant(
        "configuration: what is under way loses its way in Envoy",
        ENVOY,
        'str(new), "--also", str(old)',
        'str(new), "--also", str(new)',
        DIRECTIONS + "test_envoy_leads_to_the_servers_of_both_and_at_the_next_start_to_those_of_one",
    ),
    Plant(
        "configuration: some of what Envoy follows may be old",
        ENVOY,
        "if followed == Followed(wanted, warming=0):",
        "if followed and version in followed.versions and not followed.warming:",
        DIRECTIONS + "test_it_waits_until_envoy_has_the_routes_the_clusters_and_their_addresses",
    ),
    Plant(
        "configuration: exchanges are sent to a model server whose address Envoy looks for",
        ENVOY,
        "if followed == Followed(wanted, warming=0):",
        "if followed and followed.versions == wanted:",
        DIRECTIONS + "test_it_waits_until_envoy_has_the_routes_the_clusters_and_their_addresses",
    ),
    Plant(
        "configuration: a name that nobody resolves keeps who is believed as it was",
        ENVOY,
        "        if followed.versions == wanted:  #",
        "        if False:  #",
        DIRECTIONS + "test_a_name_that_nobody_resolves_holds_nothing_up_for_ever",
    ),
    Plant(
        "configuration: an Envoy that refuses its routes has them",
        ENVOY,
        "        if followed is None:  #",
        "        if True:  #",
        DIRECTIONS + "test_an_envoy_that_keeps_its_routes_is_told_and_finds_them_when_it_starts_anew",
    ),
    Plant(
        "configuration: routes that could not be written are written",
        ENVOY,
        "        if ran.returncode != 0:\n",
        "        if ran.returncode < 0:\n",
        DIRECTIONS + "test_what_cannot_be_written_is_told",
    ),
    Plant(
        "configuration: what Envoy refused stays where it looks when it starts anew",
        ENVOY,
        '            self._write(["--as-read", str(old), "--also", str(old)])\n',
        "            pass\n",
        DIRECTIONS + "test_an_envoy_that_keeps_its_routes_is_told_and_finds_them_when_it_starts_anew",
    ),
    Plant(
        "configuration: what workers were not given is in force",
        FILE,
        "        replace(self.as_read, data)  # what workers cannot read is not in force\n"
        "        self.settings, self._data, self._in_force = settings, data, self._judged\n",
        "        self.settings, self._data, self._in_force = settings, data, self._judged\n"
        "        replace(self.as_read, data)\n",
        IN_VAIN + "test_what_workers_cannot_be_given_is_not_said_to_be_in_force",
    ),
    Plant(
        "configuration: what is tried again is recorded again",
        FILE,
        "        recorded = self._recorded == self._judged\n",
        "        recorded = False\n",
        IN_VAIN + "test_what_workers_cannot_be_given_is_not_said_to_be_in_force",
    ),
    Plant(
        "configuration: a recorded change that is taken back stays so in the log",
        FILE,
        "        if self._recorded:\n",
        "        if False:\n",
        IN_VAIN + "test_a_change_that_was_recorded_and_is_taken_back_is_recorded_so",
    ),
    Plant(
        "configuration: Envoy keeps what was tried in vain",
        FILE,
        "        if self._astray and (",
        "        if False and (",
        IN_VAIN + "test_envoy_is_led_back_from_what_was_tried_in_vain",
    ),
    Plant(
        "configuration: a service starts with what came while it read",
        "cli/serve.py",
        "        if supervisor.configuration_digest == digest:\n",
        "        if digest:\n",
        IN_VAIN + "test_a_file_that_changes_while_a_service_starts_is_read_again",
    ),
    Plant(
        "configuration: what a dead supervisor wanted is written all the same",
        ENVOY,
        "env = {**os.environ, PARENT_VARIABLE: str(os.getpid())}",
        "env = {**os.environ}",
        DIRECTIONS + "test_what_is_written_for_a_supervisor_ends_with_it",
    ),
    Plant(
        "configuration: workers of before are sent where Envoy does not lead at a start",
        "edge/supervisor.py",
        "        if not self._envoy_follows():\n",
        "        self._configuration.keep()\n        if not self._envoy_follows():\n",
        START + "test_workers_of_before_read_nothing_new_until_envoy_leads_there",
    ),
    Plant(
        "workers: one without a supervisor serves",
        "cli/serve.py",
        "    if not end_with_parent():\n",
        "    if not end_with_parent() and worker > 63:\n",
        START + "test_a_worker_whose_supervisor_died_while_it_was_started_serves_nobody",
    ),
    Plant(
        "workers: none knows its supervisor",
        "edge/supervisor.py",
        "env={**os.environ, PARENT_VARIABLE: str(os.getpid())}",
        "env={**os.environ}",
        START + "test_a_worker_knows_its_supervisor",
    ),
    Plant(
        "configuration: what nobody foresaw passes in silence",
        FILE,
        "        except Exception as error:  #",
        "        except ZeroDivisionError as error:  #",
        CONFIGURATION + "test_whatever_goes_wrong_is_a_failing_control",
    ),
)

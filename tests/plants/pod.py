"""Planted bugs: what a pod asks of the service."""

from tests.plants.plant import Plant

SETTINGS = "tests/edge/settings/test_settings_file.py::"
ENVOY_CLI = "tests/edge/settings/test_envoy_unchecked.py::"
STATUS = "tests/edge/settings/test_status_listener.py::"
HEALTH = "tests/edge/test_health.py::"
STANDING = "tests/edge/test_standing.py::"
REPLICAS = "tests/audit/test_audit_replicas.py::"

PLANTS = (
    Plant(
        "the password of the approval store prints",
        "approvals/settings.py",
        "    database: str = field(repr=False)\n",
        "    database: str\n",
        SETTINGS + "test_the_url_of_the_approval_store_may_stand_in_a_file",
    ),
    Plant(
        "any line of a file is the URL of an approval store",
        "edge/settings_file.py",
        "    if not is_database(url.value):\n",
        "    if not url.value:\n",
        SETTINGS + "test_a_file_without_a_url_of_the_approval_store_is_refused_and_not_quoted",
    ),
    Plant(
        "a bootstrap is rendered by a machine with Envoy only",
        "cli/envoy.py",
        "    if not unchecked:\n",
        "    if config_path:\n",
        ENVOY_CLI + "test_config_is_rendered_without_an_envoy_where_that_is_asked_for",
    ),
    Plant(
        "anything below a path of the status listener reaches Envoy's admin",
        "edge/bootstrap_status.py",
        "match=route.RouteMatch(path=path, headers=by_get)",
        "match=route.RouteMatch(prefix=path, headers=by_get)",
        STATUS + "test_two_paths_are_passed_to_the_admin_and_nothing_else",
    ),
    Plant(
        "the status listener passes any method to Envoy's admin",
        "edge/bootstrap_status.py",
        "match=route.RouteMatch(path=path, headers=by_get)",
        "match=route.RouteMatch(path=path)",
        STATUS + "test_two_paths_are_passed_to_the_admin_and_nothing_else",
    ),
    Plant(
        "others than the owner open the socket of Envoy's admin",
        "edge/bootstrap_status.py",
        "mode=0o600",
        "mode=0o666",
        STATUS + "test_an_admin_without_a_port_is_a_socket_of_the_owner",
    ),
    Plant(
        "a service whose workers do not serve is ready",
        "edge/worker_health.py",
        "        return any(worker.serving for worker in self.now)\n",
        "        return any(self.now)\n",
        HEALTH + "test_ready_is_what_has_a_worker_that_serves",
    ),
    Plant(
        "a service that was told to stop is ready",
        "edge/health.py",
        "self._workers.any_serves and not standing.draining",
        "self._workers.any_serves",
        HEALTH + "test_what_is_told_to_stop_is_alive_and_not_ready",
    ),
    Plant(
        "the head of a probe is waited for without an end",
        "edge/health.py",
        "            async with asyncio.timeout(HEAD_SECONDS):\n",
        "            async with asyncio.timeout(None):\n",
        HEALTH + "test_a_head_that_does_not_end_is_not_waited_for",
    ),
    Plant(
        "a crowd of probes is let in",
        "edge/health.py",
        "if self._open > MAX_CONNECTIONS:",
        "if self._open > 100 * MAX_CONNECTIONS:",
        HEALTH + "test_a_crowd_is_turned_away_and_leaves_the_endpoint_answering",
    ),
    Plant(
        "workers that die without end are alive",
        "edge/supervisor.py",
        "not (stuck or hopeless)",
        "not stuck",
        STANDING + "test_workers_that_all_die_again_and_again_are_not_alive",
    ),
    Plant(
        "a supervisor that hangs is alive",
        "edge/supervisor.py",
        "not (stuck or hopeless)",
        "not hopeless",
        STANDING + "test_a_supervisor_that_looks_at_nobody_is_not_alive",
    ),
    Plant(
        "a service that finishes is not alive",
        "edge/supervisor.py",
        "draining or not (stuck",
        "not (stuck",
        STANDING + "test_a_supervisor_that_was_told_to_stop_drains_and_is_alive",
    ),
    Plant(
        "envoy takes new connections while workers end",
        "edge/supervisor.py",
        "            envoy.drain()\n",
        "            pass\n",
        STANDING + "test_envoy_takes_nothing_new_before_workers_end_and_quits_after_the_last_shipping",
    ),
    Plant(
        "an envoy of others is told to quit",
        "edge/supervisor.py",
        "EnvoyAdmin(self._settings) if self._settings.envoy.ends_with_service else None",
        "EnvoyAdmin(self._settings)",
        STANDING + "test_an_envoy_of_others_is_left_alone",
    ),
    Plant(
        "a process is told to end by the number of a service that has ended",
        "edge/run_lock.py",
        "        return False  # nobody holds it: what the file says is of a process that has ended\n",
        "        said = os.pread(lock, 32, 0).strip()\n",
        STANDING + "test_the_service_that_has_the_lock_is_told_to_end",
    ),
    Plant(
        "spools of several pods are one in the register",
        "audit/log/registry.py",
        "os.urandom(16).hex()",
        '"0" * 32',
        REPLICAS + "test_pods_with_a_spool_each_write_one_log_that_holds",
    ),
    Plant(
        "a worker that is started again serves by whatever the configuration is by then",
        "edge/supervisor.py",
        '"--as-read", str(self._configuration.as_read)',
        '"--as-read", str(self._config)',
        STANDING + "test_a_configuration_that_was_replaced_is_told_and_workers_go_on_by_the_one_before",
    ),
    Plant(
        "nobody hears that a restart is needed",
        "edge/supervisor.py",
        "            self._configuration.verdict is Verdict.WAITS,\n",
        "",
        STANDING + "test_a_configuration_that_was_replaced_is_told_and_workers_go_on_by_the_one_before",
    ),
)

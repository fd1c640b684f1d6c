"""Planted bugs: model servers and routes that Envoy follows in files."""

from tests.plants.plant import Plant

FILES = "tests/edge/settings/test_discovery_files.py::"
COMMAND = "tests/edge/settings/test_discovery_command.py::"
DOCTOR = "tests/live/doctor/test_doctor_models.py::"
WRITER = "edge/bootstrap_discovery.py"

PLANTS = (
    Plant(
        "discovery: the bootstrap has the routes itself",
        "edge/bootstrap.py",
        "models = _Models(followed_routes(settings), followed_probes(settings)",
        'models = _Models({"route_config": routes(settings)}, followed_probes(settings)',
        FILES + "test_the_bootstrap_that_envoy_runs_on_leads_to_no_model_server",
    ),
    Plant(
        "discovery: Envoy watches no folder",
        WRITER,
        "watched_directory=core.WatchedDirectory(path=str(where))",
        "watched_directory=None",
        FILES + "test_the_bootstrap_that_envoy_runs_on_leads_to_no_model_server",
    ),
    Plant(
        "discovery: the folder is everybody's",
        WRITER,
        "where.mkdir(mode=0o700, ",
        "where.mkdir(mode=0o755, ",
        FILES + "test_the_files_are_the_owners_alone",
    ),
    Plant(
        "discovery: another server of a name has the cluster of the first",
        "edge/bootstrap_clusters.py",
        'return f"model_{connection.route}"',
        'return f"model_{connection.name}"',
        FILES + "test_each_connection_has_a_cluster_and_a_route_of_its_servers_name",
    ),
    Plant(
        "discovery: metrics have the name of the server",
        "edge/bootstrap_clusters.py",
        '    made.alt_stat_name = f"model_{connection.name}"\n',
        "",
        FILES + "test_metrics_keep_the_connections_name",
    ),
    Plant(
        "discovery: what counted before is in front",
        "edge/bootstrap_routes.py",
        "(*settings.connections, *also)",
        "(*also, *settings.connections)",
        FILES + "test_what_counted_before_is_kept_behind_what_counts_and_once",
    ),
    Plant(
        "discovery: what counted before has clusters and no routes",
        WRITER,
        "[routes(settings, kept)]",
        "[routes(settings)]",
        FILES + "test_what_counted_before_is_kept_behind_what_counts_and_once",
    ),
    Plant(
        "discovery: what counts still is written twice",
        WRITER,
        " if each.route not in taken}",
        "}",
        FILES + "test_what_counted_before_is_kept_behind_what_counts_and_once",
    ),
    Plant(
        "discovery: probes are written without a status listener",
        WRITER,
        "    if settings.envoy.status_port:\n",
        "    if True:\n",
        FILES + "test_without_a_status_listener_there_are_no_probes",
    ),
    Plant(
        "discovery: files of which a part was written are taken for written",
        "edge/discovery_files.py",
        "names = (CLUSTERS, ROUTES, *((PROBES,) if settings.envoy.status_port else ()))",
        "names = (ROUTES,)",
        FILES + "test_the_version_is_what_was_written_last_as_a_whole",
    ),
    Plant(
        "discovery: routes lead to clusters that come later",
        WRITER,
        "    for name in texts:\n",
        "    for name in reversed(texts):\n",
        FILES + "test_clusters_are_there_before_a_route_leads_to_them",
    ),
    Plant(
        "discovery: a file is put in place before the next is whole",
        WRITER,
        "            write_private(_unfinished(where, name), text)\n        for name in texts:\n",
        "            write_private(_unfinished(where, name), text)\n",
        FILES + "test_what_cannot_be_written_leaves_every_file_as_it_was",
    ),
    Plant(
        "discovery: Envoy gets what the file holds since",
        "cli/envoy.py",
        "settings_or_exit(config_path, as_read)",
        "settings_or_exit(config_path)",
        COMMAND + "test_it_is_what_was_read_that_counts_and_not_what_the_file_holds_since",
    ),
    Plant(
        "discovery: nothing is kept of what counted before",
        "cli/envoy.py",
        "write_discovery(settings, version, _connections_of(also, config_path))",
        "write_discovery(settings, version)",
        COMMAND + "test_envoy_gets_what_was_read_and_keeps_what_counted_before",
    ),
    Plant(
        "discovery: a configuration before that is none is passed over",
        "cli/envoy.py",
        '        raise ValueError(f"{counted}: is no configuration") from None\n',
        "        return ()\n",
        COMMAND + "test_a_configuration_that_is_none_writes_nothing_and_says_so",
    ),
    Plant(
        "discovery: a bootstrap is rendered and those in force lose their routes",
        "cli/envoy.py",
        "write_discovery(settings, version, _connections_in_force(settings.run_directory, config_path))",
        "write_discovery(settings, version)",
        COMMAND + "test_config_writes_what_envoy_follows_and_leaves_those_in_force_their_routes",
    ),
    Plant(
        "discovery: a running Envoy gets what none has accepted",
        "cli/envoy.py",
        "        write_secret_configs(settings)\n",
        "        write_secret_configs(settings)\n        write_discovery(settings, version)\n",
        COMMAND + "test_what_no_envoy_has_accepted_is_given_to_none",
    ),
    Plant(
        "discovery: two write at once",
        WRITER,
        "        fcntl.flock(folder_itself, fcntl.LOCK_EX)\n",
        "        fcntl.flock(folder_itself, fcntl.LOCK_SH)\n",
        FILES + "test_two_that_write_at_once_do_not_put_each_others_halves_in_place",
    ),
    Plant(
        "discovery: what a supervisor wanted that has ended is written",
        "cli/envoy.py",
        "    if not end_with_parent():\n",
        "    if not end_with_parent() and not as_read:\n",
        COMMAND + "test_a_supervisor_that_has_ended_has_nothing_written",
    ),
    Plant(
        "doctor: any route is of the configuration before",
        "live/envoy_models.py",
        'one.get("name") in known or not _is_chosen(one)',
        'one.get("name") in known',
        DOCTOR + "test_other_model_servers_and_routes_than_the_configurations_are_seen",
    ),
    Plant(
        "doctor: what is kept of the configuration before is a difference",
        "live/envoy_models.py",
        '_without_earlier(_named(dump.route_configs, wanted["name"]), wanted)',
        '_named(dump.route_configs, wanted["name"])',
        DOCTOR + "test_an_envoy_that_follows_this_configuration_is_well",
    ),
    Plant(
        "doctor: a model server that Envoy has not is none",
        "live/envoy_models.py",
        '    if not found:\n        yield f"{name} is missing"\n        return\n',
        "    if not found:\n        return\n",
        DOCTOR + "test_a_configuration_that_envoy_has_not_taken_over_is_seen",
    ),
    Plant(
        "doctor: probes that Envoy follows are looked at by nobody",
        "live/envoy_models.py",
        "    if settings.envoy.status_port:\n",
        "    if False:\n",
        DOCTOR + "test_other_model_servers_and_routes_than_the_configurations_are_seen",
    ),
)

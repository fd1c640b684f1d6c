"""Planted bugs: what a pod asks of the service."""

from tests.plants.plant import Plant

SETTINGS = "tests/edge/settings/test_settings_file.py::"
ENVOY_CLI = "tests/edge/settings/test_envoy_unchecked.py::"
STATUS = "tests/edge/settings/test_status_listener.py::"

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
)

"""Planted bugs: what a pod asks of the service."""

from tests.plants.plant import Plant

SETTINGS = "tests/edge/settings/test_settings_file.py::"
ENVOY_CLI = "tests/edge/settings/test_envoy_unchecked.py::"

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
)

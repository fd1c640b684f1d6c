"""Planted bugs: what of a model server on loopback probes and scrapes get."""

from tests.plants.plant import Plant

PROBES = "tests/edge/settings/test_model_probes.py"

PLANTS = (
    Plant(
        "model probes: a probe may ask the model",
        "edge/connection_checks.py",
        "elif asked - {Operation.MODEL_LIST} or (not asked and path.startswith(_KEPT)):",
        "elif not asked and path.startswith(_KEPT):",
        f"{PROBES}::test_a_probe_asks_nothing_of_a_model",
    ),
    Plant(
        "model probes: the asker's query goes along",
        "edge/bootstrap_probes.py",
        '                route.HeaderMatcher(name=":path", string_match=matcher.StringMatcher(exact=asked)),\n',
        "",
        f"{PROBES}::test_only_get_and_no_query_reaches_it",
    ),
    Plant(
        "model probes: whatever method is asked with",
        "edge/bootstrap_probes.py",
        'name=":method", string_match=matcher.StringMatcher(exact="GET")',
        'name=":method", present_match=True',
        f"{PROBES}::test_only_get_and_no_query_reaches_it",
    ),
    Plant(
        "model probes: a path that is not named is answered",
        "edge/bootstrap_probes.py",
        "        if path\n",
        "",
        f"{PROBES}::test_what_is_not_named_is_not_answered",
    ),
    Plant(
        "model probes: the metrics are the health",
        "edge/bootstrap_probes.py",
        '("metrics", connection.probe.metrics)',
        '("metrics", connection.probe.health)',
        f"{PROBES}::test_each_path_is_asked_of_its_own_model_server",
    ),
    Plant(
        "model probes: one without a listener says nothing",
        "edge/settings_checks.py",
        'and not report.sound(("envoy", "status_port"))',
        'and report.sound(("envoy", "status_port")) is not None',
        f"{PROBES}::test_without_a_status_listener_a_probe_has_no_effect_and_says_so",
    ),
)

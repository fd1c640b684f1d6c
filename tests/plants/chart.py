"""Planted bugs: policies in rendered objects, and the chart."""

from tests.plants.plant import Plant

MANIFESTS = "tests/edge/settings/test_policy_manifests.py::"

PLANTS = (
    Plant(
        "a policy in rendered objects is held against nothing where a console has settings too",
        "cli/policy_manifests.py",
        "if each.console is None or len(settings) == 1",
        "if len(settings) == 1",
        MANIFESTS + "test_a_policy_is_held_against_the_services_settings_not_the_consoles",
    ),
    Plant(
        "objects without a policy pass",
        "cli/policy_manifests.py",
        "    if not policies:",
        "    if False:",
        MANIFESTS + "test_objects_without_a_policy_exit_2",
    ),
    Plant(
        "a policy in rendered objects is not held against the settings beside it",
        "cli/policy_check.py",
        "        fitness = rendered.fitness",
        "        pass",
        MANIFESTS + "test_a_policy_is_held_against_the_settings_beside_it",
    ),
    Plant(
        "wrong settings beside a policy pass",
        "edge/settings_file.py",
        "        check_settings(report, folder)\n    if report.problems:\n        raise SettingsInvalid(report.problems)\n    approvals",
        "        check_settings(report, folder)\n    approvals",
        MANIFESTS + "test_wrong_settings_beside_a_policy_are_told",
    ),
    Plant(
        "the cases in a ConfigMap are not run",
        "cli/policy_test.py",
        "suites += _suites_of(each.data, [each.policy], each.cases)",
        "suites += _suites_of(each.data, [each.policy], ())",
        MANIFESTS + "test_cases_in_the_same_config_map_are_run",
    ),
    Plant(
        "the policies in a list of objects are not looked at",
        "cli/policy_manifests.py",
        '            case {"kind": "List", "items": list(items)}:',
        '            case {"kind": "Lists", "items": list(items)}:',
        MANIFESTS + "test_cases_hold_for_the_policy_of_their_own_config_map_only",
    ),
    Plant(
        "what is no YAML is quoted",
        "cli/policy_manifests.py",
        'click.echo(f"{_name(file)}:{line}: is not YAML", err=True)',
        'click.echo(f"{_name(file)}:{line}: is not YAML: {data!r}", err=True)',
        MANIFESTS + "test_what_is_no_yaml_exits_2_and_is_not_quoted",
    ),
)

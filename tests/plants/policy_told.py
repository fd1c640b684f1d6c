"""Planted bugs: what operators are told of a policy, its file and its tools."""

from tests.plants.plant import Plant

APP = "tests/test_app.py::"
BUDGETS = "tests/approvals/test_budgets_command.py::"
CHECK = "tests/edge/settings/test_policy_check_command.py::"
CONNECTIONS = "tests/core/test_connections.py::"
DEV = "tests/edge/identity/test_dev_issuer.py::"
IDENTITY = "tests/edge/identity/test_identity_command.py::"
METRICS = "tests/edge/telemetry/test_metrics.py::"
PIPELINE = "tests/core/test_pipeline_page.py::"

PLANTS = (
    Plant(
        "told: a pipeline installs another program of the same name",
        "core/POLICY.md",
        '"extproc @ git+https://git.example.com/security/extproc@0123456789abcdef0123456789abcdef01234567"',
        "extproc",
        PIPELINE + "test_the_pipeline_installs_one_commit_of_a_repository_and_nothing_by_a_name_of_the_index",
    ),
    Plant(
        "told: a policy file that is back as it was is a change",
        "edge/policy_control.py",
        "        if policy.digest != before:\n",
        "        if policy.digest:\n",
        APP + "test_a_policy_file_that_is_back_as_it_was_is_no_change",
    ),
    Plant(
        "told: the record of a refused policy does not say which",
        "edge/policy_file.py",
        'self.refused_digest = "" if content.failure else f"sha256:{content.key}"',
        'self.refused_digest = ""',
        APP + "test_the_record_of_a_refused_policy_says_which_and_where",
    ),
    Plant(
        "told: the record of a refused policy holds a key of it",
        "edge/policy_control.py",
        "if part is not None and known else {}",
        "if part is not None else {}",
        APP + "test_the_record_of_a_refused_policy_says_which_and_where",
    ),
    Plant(
        "told: a worker's log keeps the nearest name to itself",
        "edge/policy_file.py",
        "    return tuple(str(each) for each in problems[:MAX_PLACES])\n",
        '    return tuple(f"{each.line}:{each.path}: {each.message}" for each in problems[:MAX_PLACES])\n',
        APP + "test_the_record_of_a_refused_policy_says_which_and_where",
    ),
    Plant(
        "told: a control that has not failed has no counter",
        "edge/instruments.py",
        "        self._failures.add(int(failing and not self._failing.get(name, False)), name)\n",
        "        if failing and not self._failing.get(name, False):\n            self._failures.add(1, name)\n",
        METRICS + "test_a_control_that_has_not_failed_is_counted_from_0",
    ),
    Plant(
        "told: a request that names no model is told that its model has no server",
        "core/connections.py",
        "Reason.NO_SUCH_MODEL if model else Reason.NO_MODEL_NAMED",
        "Reason.NO_SUCH_MODEL",
        CONNECTIONS + "test_a_request_that_names_no_model_is_told_so_where_servers_are_chosen_by_it",
    ),
    Plant(
        "told: connections that need a model's name are not known",
        "core/connections.py",
        "if not _places(each) <= taken)",
        "if each.models and not taken)",
        CONNECTIONS + "test_connections_that_nothing_without_a_models_name_reaches_are_known",
    ),
    Plant(
        "told: a person without an issuer has used nothing",
        "cli/person.py",
        "if value is None or (issuer.strip() and subject.strip()):",
        "if value is None or issuer is not None:",
        BUDGETS + "test_a_person_without_an_issuer_is_nobody_and_told_how_one_is_written",
    ),
    Plant(
        "told: a clean policy is hidden under masking rules",
        "cli/policy_check.py",
        "_every_rule if masking_rules else _own_rules_that_delay",
        "_every_rule",
        CHECK + "test_without_being_asked_only_own_masking_rules_that_delay_a_stream_are_told",
    ),
    Plant(
        "told: own masking rules that delay a stream are not told",
        "cli/policy_check.py",
        "map(compile_rule, policy.masking.rules) if rule.lag.number)",
        "map(compile_rule, policy.masking.rules) if not rule)",
        CHECK + "test_without_being_asked_only_own_masking_rules_that_delay_a_stream_are_told",
    ),
    Plant(
        "told: whom a hold escalates to may decide nowhere",
        "cli/policy_check.py",
        "(*each.approver_groups, *each.escalation_groups)",
        "each.approver_groups",
        "tests/edge/settings/test_policy_commands.py::test_check_tells_which_groups_decide_and_have_no_role_for_it",
    ),
    Plant(
        "told: roles of the console are nothing to a policy",
        "cli/policy_check.py",
        "settings.console.roles.approver if settings.console else None",
        "None",
        "tests/edge/settings/test_policy_commands.py::test_check_tells_which_groups_decide_and_have_no_role_for_it",
    ),
    Plant(
        "told: a development token does not say when somebody signed in",
        "cli/dev.py",
        "            extra=more,\n",
        "            extra={},\n",
        DEV + "test_dev_token_says_of_a_sign_in_what_it_is_told_and_nothing_else",
    ),
    Plant(
        "told: identity explain counts seconds",
        "cli/identity.py",
        "    shown |= {name: _moment(shown[name])",
        "    shown |= {name: shown[name]",
        IDENTITY + "test_times_are_dates_and_groups_have_the_policys_names_too",
    ),
    Plant(
        "told: identity explain does not say what the policy calls a group",
        "cli/identity.py",
        'shown["groups in policy"] = held or',
        'shown["groups in policy"] = "" or',
        IDENTITY + "test_times_are_dates_and_groups_have_the_policys_names_too",
    ),
    Plant(
        "told: identity explain speaks of an audience None",
        "core/doubts.py",
        '"is missing" if audience is None else',
        '"is missing" if audience is issuer else',
        IDENTITY + "test_an_audience_that_is_not_there_is_missing",
    ),
    Plant(
        "told: the console serves and says nothing",
        "console/process.py",
        "        if self.started:\n",
        "        if not self.started:\n",
        "tests/console/test_console_process.py::test_the_log_says_that_the_console_serves_and_where",
    ),
)

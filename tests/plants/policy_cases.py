"""Planted bugs: cases of a policy, their coverage, reload, status."""

from tests.plants.plant import Plant

CASES = "tests/core/test_policy_cases.py::"
COMMANDS = "tests/edge/settings/test_policy_commands.py::"
RELOAD = "tests/edge/settings/test_policy_reload.py::"
FORMAT = "tests/core/test_yaml_format.py::"
APP = "tests/test_app.py::"
FILE = "tests/edge/settings/test_policy_file.py::"

PLANTS = (
    Plant(
        "policy: its own cases are not run before it is put in force",
        "edge/policy_file.py",
        "        if failing := failing_cases(policy):\n",
        "        if failing := ():\n",
        RELOAD + "test_a_policy_whose_own_case_fails_keeps_the_last_good_one",
    ),
    Plant(
        "policy: what a case expects of the text is not looked at",
        "core/policy_case.py",
        '"rule", "text", ',
        '"rule", ',
        CASES + "test_what_is_expected_is_all_that_can_be",
    ),
    Plant(
        "policy: a case's expectation that does not hold is let pass",
        "core/policy_cases.py",
        "            if expected != actual:\n",
        "            if expected != actual and key != 'rule':\n",
        CASES + "test_every_expectation_is_looked_at",
    ),
    Plant(
        "policy: a masked body that differs is let pass",
        "core/policy_cases.py",
        "            yield from _bodies(expect[key], outcome.masked)\n",
        "            yield from ()\n",
        CASES + "test_every_expectation_is_looked_at",
    ),
    Plant(
        "policy: a case shows the card number that it expects",
        "core/policy_cases.py",
        "        return printable_line(str(_strict().masker().mask_text(text)))\n",
        "        return printable_line(text)\n",
        CASES + "test_differences_show_no_card_number",
    ),
    Plant(
        "policy: a refusal nobody expects is let pass",
        "core/policy_cases.py",
        '    if outcome.refused and "refused" not in expect:\n        yield Difference("refused", _NOTHING, outcome.refused)\n',
        '    if outcome.refused and "refused" not in expect:\n',
        CASES + "test_a_request_that_cannot_be_judged_is_refused_by_its_reason",
    ),
    Plant(
        "policy: a case may name a rule that there is not",
        "core/policy_case_document.py",
        "        if name not in known:\n",
        "        if not name:\n",
        CASES + "test_each_problem_of_a_case_is_told_with_its_place",
    ),
    Plant(
        "policy: coverage says reached for a rule that no case reaches",
        "core/policy_coverage.py",
        "        if without.rule == rule.name and not without.errors:\n",
        "        if not without.errors:\n",
        COMMANDS + "test_coverage_says_what_no_case_reaches",
    ),
    Plant(
        "policy: status says in force for another digest",
        "edge/policy_status.py",
        '    return "" if status.digest == digest else ',
        '    return "" if digest else ',
        RELOAD + "test_status_exits_1_when_a_worker_serves_by_another",
    ),
    Plant(
        "policy: status believes a worker that is gone",
        "edge/policy_status.py",
        "    if status is None or not _listens(socket_path):\n",
        "    if status is None:\n",
        RELOAD + "test_status_of_a_worker_that_is_gone",
    ),
    Plant(
        "policy: a worker in whose file nothing is looked at counts",
        "edge/policy_status.py",
        "    if not abs(time.time() - status.looked_unix) <= FRESH_SECONDS:\n",
        "    if not status.looked_unix:\n",
        RELOAD + "test_status_exits_1_when_a_worker_serves_by_another",
    ),
    Plant(
        "policy: a form that means something else is written",
        "core/yaml_format.py",
        "    if _canonical(parse_document(formatted.encode()).value) != _canonical(report.value):\n",
        "    if not formatted:\n",
        FORMAT + "test_a_form_that_says_something_else_is_refused",
    ),
    Plant(
        "policy: a form without a comment is written",
        "core/yaml_format.py",
        "    if Counter(after.comments.values()) != Counter(tree.comments.values()):\n",
        "    if not after.text:\n",
        FORMAT + "test_a_form_that_says_something_else_is_refused",
    ),
    Plant(
        "policy: a shadow that is over is not told",
        "edge/shadow_control.py",
        "        over = frozenset(expired_shadows(self._policy(), today))\n",
        "        over = frozenset[str]()\n",
        "tests/edge/settings/test_shadow_control.py::test_a_shadow_that_is_over_is_told_once_until_the_policy_changes",
    ),
    Plant(
        "policy: check does not look at the deployment's connections",
        "core/policy/check_names.py",
        '        elif key == "connections" and self._deployed and ',
        '        elif key == "connection" and self._deployed and ',
        COMMANDS + "test_check_against_a_deployment",
    ),
    Plant(
        "policy: a file without a case is passed over",
        "cli/policy_test.py",
        "EXIT_INPUT if without else EXIT_FINDING if failed else 0",
        "EXIT_INPUT if not total else EXIT_FINDING if failed else 0",
        COMMANDS + "test_a_policy_without_a_case_is_named_beside_one_that_has_some",
    ),
    Plant(
        "policy: coverage counts cases that fail",
        "cli/policy_test.py",
        "        parts = coverage(suite.policy, passed)\n",
        "        parts = coverage(suite.policy, results)\n",
        COMMANDS + "test_coverage_counts_no_case_that_fails",
    ),
    Plant(
        "policy: coverage of cases that fail ends well",
        "cli/policy_test.py",
        "        missed += len(parts) - reached + failed\n",
        "        missed += len(parts) - reached\n",
        COMMANDS + "test_coverage_counts_no_case_that_fails",
    ),
    Plant(
        "policy: a case's name is printed with a card number in it",
        "cli/policy_test.py",
        '{result.case.line} - {shown(result.case.name)}"',
        '{result.case.line} - {result.case.name}"',
        COMMANDS + "test_a_case_s_name_is_shown_without_card_data",
    ),
    Plant(
        "policy: diff prints a case's name with a card number in it",
        "core/policy_diff.py",
        "yield CaseChange(shown(one.case.name), what, told",
        "yield CaseChange(one.case.name, what, told",
        COMMANDS + "test_a_case_s_name_is_shown_without_card_data",
    ),
    Plant(
        "policy: explain suggests a case's name with a card number in it",
        "cli/policy_explain.py",
        "nearest(name, [shown(case.name) for case in cases])",
        "nearest(name, [case.name for case in cases])",
        COMMANDS + "test_a_case_s_name_is_shown_without_card_data",
    ),
    Plant(
        "policy: explain leaves out a file of cases",
        "cli/policy_explain.py",
        "for case in cases_or_exit(file, policy))",
        "for case in cases_or_exit(file, policy)[:0])",
        COMMANDS + "test_a_case_beside_the_policy_is_explained",
    ),
    Plant(
        "policy: a file of cases is told to be a policy full of mistakes",
        "core/policy_document.py",
        'report.value.get("kind") == CASES_KIND',
        'report.value.get("kind") == "Cases"',
        COMMANDS + "test_a_file_of_cases_is_no_policy_and_told_so_in_one_sentence",
    ),
    Plant(
        "policy: a change that could not be recorded is forgotten",
        "edge/policy_control.py",
        "            except Unavailable:\n                return\n",
        "            except Unavailable:\n                pass\n",
        APP + "test_what_could_not_be_recorded_of_the_policy_is_recorded_in_order_once_that_is_possible",
    ),
    Plant(
        "policy: what is owed to the log is not tried again",
        "edge/policy_control.py",
        "                await asyncio.sleep(RETRY_SECONDS)\n                self.record_owed()\n",
        "                await asyncio.sleep(RETRY_SECONDS)\n",
        APP + "test_what_is_owed_is_recorded_at_the_next_turn_and_at_the_end",
    ),
    Plant(
        "policy: what is owed to the log is left at the end",
        "edge/policy_control.py",
        "        finally:\n            self.record_owed()\n",
        "        finally:\n            pass\n",
        APP + "test_what_is_owed_is_recorded_at_the_next_turn_and_at_the_end",
    ),
    Plant(
        "policy: one that was swapped before the first load is not recorded",
        "edge/policy_control.py",
        "        if policy.digest != named:\n",
        "        if not policy.digest:\n",
        APP + "test_a_policy_that_is_another_than_the_start_record_names_is_recorded",
    ),
    Plant(
        "policy: half a file is taken at the start",
        "edge/policy_file.py",
        "            if content == before:\n                return self._first(content)\n",
        "            if content != before:\n                return self._first(content)\n",
        FILE + "test_a_policy_that_is_being_written_at_the_start_is_waited_for",
    ),
)

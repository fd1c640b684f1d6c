"""Planted bugs: what records say of decisions, and decisions made again."""

from tests.plants.plant import Plant

REPLAY = "tests/audit/test_policy_replay.py::"
RECORDED = "tests/core/test_recorded.py::"
DECIDED = "tests/core/exchange/test_recorded_decisions.py::"
DIFF = "tests/core/test_policy_diff.py::"
EXPLAIN = "tests/core/test_policy_explain.py::"
COMMAND = "tests/audit/test_policy_explain_command.py::"
SPANS = "tests/edge/telemetry/test_spans.py::"
SHOWN = "tests/audit/test_audit_decisions.py::"

PLANTS = (
    Plant(
        "records: the tenant is not kept",
        "core/recorded.py",
        "        tenant=principal.tenant,\n",
        "",
        RECORDED + "test_what_a_decision_looked_at_is_read_back_from_its_record",
    ),
    Plant(
        "records: a decision's time is cut to the second",
        "core/recorded.py",
        "time_ms=round(given.now_unix * 1000)",
        "time_ms=int(given.now_unix) * 1000",
        RECORDED + "test_what_a_decision_looked_at_is_read_back_from_its_record",
    ),
    Plant(
        "records: tool names that do not fit are left out without a word",
        "core/recorded.py",
        "tool_names_left_out=len(names) - len(kept)",
        "tool_names_left_out=0",
        RECORDED + "test_more_tools_than_are_kept_cannot_be_decided_again",
    ),
    Plant(
        "records: only what goes on says what was decided about",
        "core/ledger.py",
        "            decision=self.decision,\n",
        "            decision=self.decision if code.value.startswith('inference') else None,\n",
        DECIDED + "test_every_record_after_a_decision_says_what_it_looked_at[denied]",
    ),
    Plant(
        "records: `acr` is kept as it came",
        "core/principal.py",
        "context_class=mask(principal.context_class)",
        "context_class=principal.context_class",
        DECIDED + "test_every_record_after_a_decision_says_what_it_looked_at[allowed]",
    ),
    Plant(
        "records: the client certificate is forgotten when nobody is known",
        "core/incoming.py",
        "if attributes.tls_subject or attributes.tls_uri:",
        "if False:",
        DECIDED + "test_the_client_certificate_is_recorded_before_anybody_is_known",
    ),
    Plant(
        "spans: a rule in shadow that agrees is named as one that would change something",
        "edge/spans.py",
        "for each in record.decision.shadow if each.would_change]",
        "for each in record.decision.shadow]",
        SPANS + "test_every_span_names_the_policy_in_force_and_the_rules_in_shadow_that_would_change_something",
    ),
    Plant(
        "access log: nobody says which policy was in force",
        "core/exchange.py",
        '            "policy": ledger.policy.digest,\n',
        "",
        DECIDED + "test_what_goes_to_the_access_log_names_the_policy_and_the_rule",
    ),
    Plant(
        "replay: another rule with the same effect counts as no change",
        "core/policy_replay.py",
        "        if then != now:",
        "        if then.effect != now.effect:",
        REPLAY + "test_the_table_is_what_really_changes",
    ),
    Plant(
        "replay: what cannot be decided again counts as unchanged",
        "core/policy_replay.py",
        "            self.not_rebuilt += 1\n            return",
        "            now = then",
        REPLAY + "test_what_earlier_versions_wrote_is_counted_and_not_guessed",
    ),
    Plant(
        "replay: it fails on nothing but any",
        "core/policy_replay.py",
        'if "any" in kinds or change.kind in kinds)',
        'if "any" in kinds)',
        REPLAY + "test_it_fails_on_the_changes_that_are_named[one]",
    ),
    Plant(
        "replay: a reading that nobody sees",
        "cli/policy_replay.py",
        '    where.record_read("policy.replay"',
        '    where.look() and print("policy.replay"',
        REPLAY + "test_a_replay_that_cannot_be_recorded_shows_nothing",
    ),
    Plant(
        "list: a rule in shadow that agrees counts as one that would change something",
        "core/recorded.py",
        "for each in decision.shadow if each.would_change)",
        "for each in decision.shadow)",
        SHOWN
        + "test_exchanges_are_found_by_what_a_rule_in_shadow_would_change_and_by_who_asks[a rule that would change]",
    ),
    Plant(
        "list: a service account looks like a person",
        "cli/audit_view.py",
        'if row["kind"] == "service"',
        'if row["kind"] == "machine"',
        SHOWN + "test_a_service_account_is_told_from_a_person",
    ),
    Plant(
        "diff: what the new policy lacks is no difference",
        "core/policy_diff.py",
        "for name in dict.fromkeys((*old, *new)):\n        place",
        "for name in new:\n        place",
        DIFF + "test_a_change_is_told_where_it_stands[a rule is taken away]",
    ),
    Plant(
        "diff: the order of rules is not looked at",
        "core/policy_diff.py",
        "    if one != other:",
        "    if sorted(one) != sorted(other):",
        DIFF + "test_a_change_is_told_where_it_stands[the order changes]",
    ),
    Plant(
        "diff: only the old policy's cases are tried",
        "core/policy_diff.py",
        "(*new.tests, *old.tests)",
        "(*old.tests,)",
        DIFF + "test_the_cases_of_both_say_what_it_means",
    ),
    Plant(
        "diff: a changed policy ends as an equal one",
        "cli/policy_diff.py",
        "EXIT_FINDING if found or cases else 0",
        "0",
        DIFF + "test_the_command_says_it_and_ends_with_it[a field]",
    ),
    Plant(
        "explain: an unmet sign-in does not keep a rule from holding",
        "core/policy_explain.py",
        "    if rule.require is not None and not signed_in_as(rule.require, given):",
        "    if rule.require is not None and False:",
        EXPLAIN + "test_of_each_rule_it_is_said_what_does_not_hold",
    ),
    Plant(
        "explain: doubt is not told",
        "core/policy_explain.py",
        "in_doubt=bool(evaluation.errors)",
        "in_doubt=False",
        EXPLAIN + "test_a_condition_that_cannot_be_evaluated_is_said_to_be_in_doubt",
    ),
    Plant(
        "explain: a threshold that is reached is told as one that is not",
        "core/policy_explain.py",
        "        if count < wanted:",
        "        if count <= wanted:",
        EXPLAIN + "test_what_is_changed_is_what_is_told[a threshold just reached]",
    ),
    Plant(
        "explain: nobody says that another policy decided",
        "cli/policy_explain_view.py",
        "    if digest != policy.digest:",
        "    if not digest:",
        COMMAND + "test_another_policy_than_the_one_that_decided_is_said_to_be_another",
    ),
    Plant(
        "explain: a reading that nobody sees",
        "cli/policy_explain.py",
        '    where.record_read("policy.explain"',
        '    where.look() and print("policy.explain"',
        COMMAND + "test_the_policy_in_force_is_explained_and_the_reading_recorded",
    ),
    Plant(
        "replay: a count that was not read is taken for none, without a word",
        "core/policy_replay.py",
        "                self.uncounted[budget.name] += 1",
        "                pass",
        REPLAY + "test_budgets_are_judged_by_the_counts_that_were_read_and_where_there_are_none_that_is_said[none]",
    ),
    Plant(
        "replay: what an answer counted is kept only where a rule looks at it",
        "core/response_rules.py",
        "        self._bytes += len(out)\n",
        "        self._bytes += len(out) if self._judge.rules else 0\n",
        "tests/core/exchange/test_response_rules.py::test_what_no_rule_looks_at_is_counted_all_the_same",
    ),
    Plant(
        "replay: budgets are said to be uncounted for what a rule denies",
        "core/policy_replay.py",
        "        if decision.effect is not Effect.DENY:  # what is denied is not asked of any budget\n",
        "        if decision is not None:\n",
        REPLAY + "test_of_what_a_rule_denies_no_budget_is_asked",
    ),
    Plant(
        "explain: what could not be read is not told",
        "cli/policy_explain.py",
        "    return found.decided, reader.problems\n",
        "    return found.decided, []\n",
        COMMAND + "test_what_of_the_log_could_not_be_read_is_told",
    ),
    Plant(
        "replay: strict is content with nothing",
        "core/policy_replay.py",
        "        return self.decided > 0 and not (",
        "        return not (",
        REPLAY + "test_a_replay_of_nothing_says_so",
    ),
    Plant(
        "replay: strict is content with budgets that nobody counted",
        "core/policy_replay.py",
        "(self.not_rebuilt or self.uncounted or self.unanswered)",
        "(self.not_rebuilt or self.unanswered)",
        REPLAY + "test_strict_is_content_only_with_what_was_decided_in_whole",
    ),
    Plant(
        "replay: strict is content with answers that nobody judged",
        "core/policy_replay.py",
        "(self.not_rebuilt or self.uncounted or self.unanswered)",
        "(self.not_rebuilt or self.uncounted)",
        REPLAY + "test_strict_is_content_only_with_what_was_decided_in_whole",
    ),
    Plant(
        "strict ends with 2 and does not say why",
        "cli/policy_replay.py",
        '        if replay.decided:\n            click.echo(f"--strict',
        '        if False:\n            click.echo(f"--strict',
        REPLAY + "test_strict_is_content_only_with_what_was_decided_in_whole[no counts]",
    ),
    Plant(
        "the steps of a budget are compared as a whole",
        "core/policy_diff.py",
        "elif _are_pairs(old, new):",
        "elif False:",
        DIFF + "test_a_change_is_told_where_it_stands[a step of a budget changes]",
    ),
    Plant(
        "a difference has names that no document has",
        "core/policy_diff.py",
        "_WRITTEN.get(field.name, field.name): _plain",
        "field.name: _plain",
        DIFF + "test_a_change_is_told_where_it_stands[who approves a step]",
    ),
    Plant(
        "a difference tells what follows from another",
        "core/policy_diff.py",
        "            and field.name not in _FOLLOWING\n",
        "",
        DIFF + "test_a_change_is_told_where_it_stands[models of a deny]",
    ),
)

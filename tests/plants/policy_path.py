"""Planted bugs: what a policy may not loosen, and what is counted on the way of an exchange."""

from tests.plants.plant import Plant

BUDGETS = "tests/core/exchange/test_budgets.py::"
DESK = "tests/approvals/test_budget_desk.py::"
RULES = "tests/core/exchange/test_response_rules.py::"
PROFILES = "tests/core/test_policy_masking_profiles.py::"

PLANTS = (
    Plant(
        "an obliged profile may leave out what masking looks for",
        "core/masking_profiles.py",
        "if name not in rule_profiles(own)]",
        "if name in ()]",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may look for fewer cards",
        "core/masking_profiles.py",
        "if card_profile(own) == BALANCED and",
        "if False and",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may leave out a rule of masking",
        "core/masking_profiles.py",
        "        if name not in own:\n",
        "        if name not in own:\n            continue\n        if name not in own:\n",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may have another rule by the name of one of masking",
        "core/masking_profiles.py",
        "elif own[name] != rule:",
        "elif False:",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "an obliged profile may let media through",
        "core/masking_profiles.py",
        "if own == Media.OPAQUE and",
        "if False and",
        PROFILES + "test_a_profile_that_finds_less_is_an_error",
    ),
    Plant(
        "a problem inside a masking profile has the path of the profile",
        "core/document.py",
        "written(path) + problem.path.removeprefix(name)",
        "written(path)",
        PROFILES + "test_problems_inside_a_profile_have_the_path_of_their_key",
    ),
    Plant(
        "a masking rule is called like the sum of findings",
        "core/masking_document.py",
        "if name == _SUM:",
        "if False:",
        PROFILES + "test_a_rule_is_not_called_like_the_sum_of_findings",
    ),
    Plant(
        "a stream of few large events has few tokens",
        "core/answered_tokens.py",
        "answer.events, tokens_of(answer.characters))",
        "answer.events)",
        RULES + "test_a_stream_of_few_large_events_has_the_tokens_of_its_text",
    ),
    Plant(
        "events like the last one say no characters",
        "core/dialects/stream.py",
        "            self.characters += len(text)\n",
        "",
        RULES + "test_a_stream_of_few_large_events_has_the_tokens_of_its_text",
    ),
    Plant(
        "events that are read whole say no characters",
        "core/dialects/stream.py",
        "        self.characters += said_characters(document, parts.slots)\n",
        "",
        RULES + "test_a_stream_of_few_large_events_has_the_tokens_of_its_text",
    ),
    Plant(
        "the count of tokens falls to what is reported at the end",
        "core/response_rules.py",
        "max(self._tokens, answered_tokens(answer))",
        "answered_tokens(answer)",
        RULES + "test_the_count_of_tokens_never_falls",
    ),
    Plant(
        "a budget counts events where a server says many tokens at once",
        "core/answered_tokens.py",
        "answer.events, tokens_of(answer.characters))",
        "answer.events or tokens_of(answer.characters))",
        BUDGETS + "test_a_stream_of_few_large_events_costs_its_text",
    ),
    Plant(
        "a count that is missing is a count of nothing",
        "core/exchange.py",
        "if self._judgement is None or not self._budgeting.answered_by(event.counts):",
        "if self._judgement is None:",
        BUDGETS + "test_a_count_that_is_missing_is_no_count_of_nothing",
    ),
    Plant(
        "a granted request goes on that was not charged",
        "core/exchange.py",
        "        if goes_on and any(one.stopped",
        "        if effect is Effect.ALLOW and any(one.stopped",
        BUDGETS + "test_a_granted_request_that_is_not_charged_does_not_go_on",
    ),
    Plant(
        "a grant is used up while the proxy answers itself, without a record",
        "core/exchange.py",
        "case ((Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING | Phase.OVER), GrantClaimed()):",
        "case ((Phase.REFUSING | Phase.OVER), GrantClaimed()):",
        "tests/core/exchange/test_exchange_paths.py::"
        "test_a_grant_that_was_used_while_the_proxy_answered_itself_is_recorded",
    ),
    Plant(
        "a charge that is always refused stops all that come after it",
        "approvals/budget_desk.py",
        "            self._refused.append(owed)\n",
        "            self._owed.appendleft(owed)\n",
        DESK + "test_a_charge_that_is_always_refused_stops_no_other[Unavailable]",
    ),
    Plant(
        "an error that nobody thought of ends the charging of budgets",
        "approvals/budget_desk.py",
        "    except Exception as error:",
        "    except Unavailable as error:",
        DESK + "test_a_charge_that_is_always_refused_stops_no_other[RuntimeError]",
    ),
    Plant(
        "what is given up is the newest",
        "approvals/budget_desk.py",
        "(self._refused or self._owed).popleft()",
        "(self._owed or self._refused).popleft()",
        DESK + "test_of_too_much_what_was_refused_longest_is_given_up",
    ),
    Plant(
        "a number that the database cannot hold is an error of nobody's",
        "approvals/database.py",
        "ValueError, TypeError, ArithmeticError)",
        "ValueError, TypeError)",
        "tests/approvals/test_budget_store.py::test_a_number_that_the_database_cannot_hold_is_an_error",
    ),
    Plant(
        "a person with another spelling has a budget more",
        "core/budgets.py",
        "return folded_uid(given.principal.uid)",
        "return given.principal.uid",
        BUDGETS + "test_a_person_has_one_budget_however_the_name_is_written",
    ),
    Plant(
        "what a person has used is listed by one spelling only",
        "cli/budgets.py",
        "tenant if person is None else folded_uid(person))",
        "tenant if person is None else person)",
        "tests/approvals/test_budgets_command.py::test_list_shows_who_has_used_what_and_until_when",
    ),
    Plant(
        "a budget is given back by one spelling only",
        "cli/budgets.py",
        "return holder if person is None else folded_uid(holder)",
        "return holder",
        "tests/approvals/test_budgets_command.py::test_an_approver_gives_a_budget_back_to_somebody_else",
    ),
    Plant(
        "a loop looks through a long list each time",
        "core/policy/cel_syntax.py",
        "        if size > MAX_LOOKED_THROUGH:\n",
        "        if False:\n",
        "tests/core/test_policy_conditions.py::test_a_loop_looks_through_short_lists_only",
    ),
    Plant(
        "a loop looks through what is sent each time",
        "core/policy/cel_syntax.py",
        "        if size is None:\n",
        "        if size is None:\n            continue\n        if size is None:\n",
        "tests/core/test_policy_conditions.py::test_what_is_wrong_stands_at_its_column_with_a_caret",
    ),
    Plant(
        "a body of many limits costs a look for each",
        "core/dialects/clamp.py",
        "    if len(given) > MAX_LIMITS:\n",
        "    if False:\n",
        "tests/core/dialects/test_clamp.py::test_a_body_of_many_limits_is_refused",
    ),
)

"""Planted bugs: who may let a held request go on, and on which terms it is held."""

from tests.plants.plant import Plant

TERMS = "tests/core/test_policy_holds.py::"
VOTES = "tests/core/test_approval_votes.py::"
HELD = "tests/core/exchange/test_hold_terms.py::"
CLAIMS = "tests/core/test_claims.py::"

PLANTS = (
    Plant(
        "a window of one rule serves what another rule holds as well",
        "core/policy/terms.py",
        "        window_seconds=0.0,\n        window_uses=0,\n",
        "",
        TERMS + "test_where_two_rules_hold_no_one_of_them_makes_it_easier",
    ),
    Plant(
        "an emergency of one rule is one of all",
        "core/policy/terms.py",
        "if all(group in o.emergency_groups for o in others)",
        "",
        TERMS + "test_where_two_rules_hold_no_one_of_them_makes_it_easier",
    ),
    Plant(
        "a quorum may be less than its groups",
        "core/policy/check_holds.py",
        "quorum < len(each_of)",
        "quorum < 1",
        TERMS + "test_terms_that_cannot_be_met_or_change_nothing_are_problems[a quorum below its groups]",
    ),
    Plant(
        "an address that nobody verified is somebody's other name",
        "core/claims.py",
        'not in (False, "false")',
        "is not None",
        CLAIMS + "test_an_address_that_its_issuer_calls_unverified_is_nobodys[False-False]",
    ),
    Plant(
        "other names differ by the case they are written in",
        "core/principal.py",
        "map(folded_uid, (*names, ",
        "map(str, (*names, ",
        CLAIMS + "test_other_names_of_a_person_are_folded_and_each_kept_once",
    ),
    Plant(
        "whoever says so is an emergency",
        "core/hold.py",
        "            and not set(principal.groups).isdisjoint(terms.emergency_groups)\n",
        "",
        HELD + "test_who_is_not_of_the_groups_waits_like_everybody",
    ),
    Plant(
        "a window serves any connection",
        "core/hold.py",
        "            return approval.connection == judgement.connection.name",
        "            return True",
        HELD + "test_a_window_serves_other_bodies_of_the_same_person_rule_policy_and_connection[change4-403]",
    ),
    Plant(
        "who leaves takes the approval along on which others wait by the same key",
        "core/hold.py",
        "not (self.terms.detach or self._idempotency or self.emergency)",
        "not (self.terms.detach or self.emergency)",
        HELD + "test_a_client_with_a_key_that_leaves_ends_nothing[a key]",
    ),
    Plant(
        "the log does not say that what it calls opened is another approval",
        "core/holding.py",
        '{"instead_of": hold.instead_of} if hold.instead_of else None',
        "None",
        HELD + "test_what_was_recorded_as_opened_and_never_came_to_be_is_named_by_what_it_is_instead",
    ),
    Plant(
        "what is withdrawn is recorded before anybody knows whether it is there",
        "core/holding.py",
        " or hold.opening or not hold.withdrawable",
        " or not hold.withdrawable",
        HELD + "test_an_opening_that_comes_too_late_is_withdrawn_when_it_is_there[Disconnected]",
    ),
    Plant(
        "what could not be withdrawn is recorded as withdrawn",
        "core/exchange.py",
        "            case ((Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING | Phase.OVER), WithdrawalFailed()):\n"
        "                return self._holding.not_withdrawn(event.at)\n",
        "",
        HELD + "test_what_could_not_be_withdrawn_is_recorded_as_that",
    ),
    Plant(
        "what the store may have opened before it failed stays open",
        "core/exchange.py",
        "                self._holding.answered()\n                return self._refuse(Reason.APPROVALS_UNAVAILABLE, event.at)\n",
        "                return self._refuse(Reason.APPROVALS_UNAVAILABLE, event.at)\n",
        HELD + "test_what_the_store_may_have_opened_before_it_failed_is_withdrawn",
    ),
    Plant(
        "an approval that was never opened counts as opened",
        "audit/evidence/requirements_access.py",
        " - subject.facts.attached_instead)",
        ")",
        "tests/audit/test_evidence_judgements.py::test_an_opening_that_was_another_approval_is_not_counted",
    ),
    Plant(
        "whoever granted the last step of a budget has granted the next",
        "core/hold.py",
        " or not same_deciders(approval, self.terms):",
        ":",
        HELD + "test_a_grant_by_other_people_than_are_asked_now_is_none[quorum]",
    ),
    Plant(
        "an emergency that is not in the store as used goes on",
        "core/hold.py",
        "if self.emergency and approval.state is not ApprovalState.USED:",
        "if False:",
        HELD + "test_an_emergency_goes_on_by_nothing_but_its_own_use[granted]",
    ),
    Plant(
        "the window of one step of a budget serves the next",
        "approvals/opening.py",
        "for window in live if same_deciders(window, request)",
        "for window in live",
        "tests/approvals/test_store.py::test_a_window_serves_what_the_same_people_decide_on",
    ),
    Plant(
        "who waits keeps what arrived",
        "core/exchange.py",
        "        self._judgement = judgement\n        self._incoming.choose",
        "        self._judgement, self._sent = judgement, sent\n        self._incoming.choose",
        "tests/core/exchange/test_hold_memory.py::test_who_waits_keeps_of_the_body_what_goes_on",
    ),
    Plant(
        "an idempotency key is anybody's",
        "core/hold.py",
        "bound = (self._key, principal.uid, judgement.request_digest,",
        "bound = (self._key, judgement.request_digest,",
        HELD + "test_a_key_is_bound_to_person_and_body",
    ),
    Plant(
        "why somebody asks is kept as it was written",
        "core/hold.py",
        "checked_reason(typed.mask_reason(text))",
        "checked_reason(text)",
        HELD + "test_an_approver_is_told_who_asks_why_and_for_how_much",
    ),
    Plant(
        "one person stands for several groups",
        "core/approval/deciding.py",
        "if group in vote.groups and number not in tried:",
        "if group in vote.groups:\n                return True\n            if False:",
        VOTES + "test_one_person_stands_for_one_group_and_for_the_one_that_is_missing",
    ),
    Plant(
        "a second account of the requester decides",
        "core/approval/deciding.py",
        " or set(decider.aliases) & set(approval.requester_aliases):",
        ":",
        VOTES + "test_a_second_account_is_the_same_person",
    ),
    Plant(
        "a second account votes again",
        "core/approval/deciding.py",
        " or not set(vote.aliases).isdisjoint(decider.aliases)",
        "",
        VOTES + "test_a_second_account_is_the_same_person",
    ),
    Plant(
        "a vote is for whatever there is",
        "core/approval/deciding.py",
        "    if seen != shown_digest(approval):",
        "    if not seen:",
        VOTES + "test_a_vote_is_for_what_was_shown",
    ),
    Plant(
        "a window has no last use",
        "core/approval/ending.py",
        "    over = uses >= max(1, approval.window_uses)",
        "    over = not approval.has_window",
        VOTES + "test_a_window_ends_by_its_uses_by_its_time_and_by_who_takes_it_back",
    ),
    Plant(
        "who is missing is counted by groups, not by people",
        "cli/approvals_view.py",
        "    missing = missing_groups(approval)\n",
        "    missing = set(approval.each_of).difference(*(vote.groups for vote in approval.grants))\n",
        "tests/approvals/test_approvals_command.py::test_one_person_of_two_groups_is_counted_for_one_of_them",
    ),
)

"""Planted bugs: what stands in the store as granted, and nobody has voted for; holds of sessions that break."""

from tests.plants.plant import Plant

BY_HAND = "tests/approvals/test_grants_by_hand.py::"
RECOUNT = "tests/core/test_approval_recount.py::"
TERMS = "tests/core/exchange/test_hold_terms.py::"
NONE = RECOUNT + "test_what_people_cannot_have_granted_is_none"

PLANTS = (
    Plant(
        "what the store calls granted is granted",
        "core/holding.py",
        "            case ApprovalState.GRANTED if not hold.is_granted(approval):\n"
        "                return Seen(attached, refused=Reason.APPROVAL_NOT_VOTED)\n",
        "",
        BY_HAND + "test_a_grant_that_nobody_voted_for_goes_nowhere[sqlite]",
    ),
    Plant(
        "votes for another view are counted",
        "core/approval/recount.py",
        " or vote.seen != shown or",
        " or",
        BY_HAND + "test_votes_that_somebody_changed_are_none[another view]",
    ),
    Plant(
        "the vote of who asks is counted",
        "core/approval/recount.py",
        "{folded_uid(approval.requester_uid), folded_uid(requester.uid)}",
        "set()",
        BY_HAND + "test_votes_that_somebody_changed_are_none[the requester's vote]",
    ),
    Plant(
        "who asks may have voted by a name of today",
        "core/approval/recount.py",
        "{*approval.requester_aliases, *requester.aliases}",
        "{*approval.requester_aliases}",
        NONE + "[the requester by a name of today]",
    ),
    Plant(
        "two accounts of one person are counted as two people",
        "core/approval/recount.py",
        "        aliases.update(vote.aliases)\n",
        "",
        NONE + "[one person by two accounts]",
    ),
    Plant(
        "one person who stands there twice is counted as two",
        "core/approval/recount.py",
        "        uids.add(folded_uid(vote.uid))\n",
        "",
        NONE + "[one person twice]",
    ),
    Plant(
        "whoever has voted had the right to",
        "core/approval/recount.py",
        "        if not groups:\n            return False\n",
        "",
        NONE + "[groups that do not decide]",
    ),
    Plant(
        "a vote after the end is counted",
        "core/approval/recount.py",
        " or not approval.created_at <= vote.at < approval.expires_at",
        "",
        NONE + "[a vote after its end]",
    ),
    Plant(
        "who is asked later is counted at once",
        "core/approval/recount.py",
        "deciding_groups(approval, vote.at)",
        "deciding_groups(approval, approval.expires_at)",
        RECOUNT + "test_who_is_asked_later_counts_from_then_on[1049.0-False]",
    ),
    Plant(
        "fewer votes than the quorum are a grant",
        "core/approval/recount.py",
        "    return is_met(replace(approval, votes=tuple(counted)))",
        "    return bool(counted)",
        NONE + "[fewer people than the quorum]",
    ),
    Plant(
        "a session that breaks leaves its hold to the approvers",
        "core/exchange.py",
        "            self._ledger.source = source\n        withdrawn = self._withdrawal(at)\n",
        "            self._ledger.source = source\n        withdrawn: tuple[Action, ...] = ()\n",
        "tests/core/exchange/test_hold_terms.py::"
        "test_a_session_that_breaks_takes_back_what_nobody_waits_on_any_more[none]",
    ),
    Plant(
        "a session that breaks records a withdrawal that it does not carry out",
        "edge/session.py",
        "isinstance(action, SettleBudgets | WithdrawApproval)",
        "isinstance(action, SettleBudgets)",
        "tests/edge/session/test_one_way_out.py::test_what_breaks_during_a_hold_withdraws_it",
    ),
    Plant(
        "a full journal does not take what corrects it",
        "core/record.py",
        "    EventCode.APPROVAL_ATTACH,  # says of an opening in the log that it never was one\n",
        "",
        "tests/audit/test_audit_queue.py::test_a_full_journal_takes_what_corrects_or_ends_what_stands_in_it",
    ),
    Plant(
        "a grant that was taken back counts once more",
        "core/approval/recount.py",
        "    if not counted or (counted[-1].uid, counted[-1].at) != (approval.decided_by_uid, approval.decided_at):\n"
        "        return False\n",
        "",
        BY_HAND + "test_what_has_ended_is_not_granted_once_more[sqlite-revoked]",
    ),
    Plant(
        "a grant that was used counts once more",
        "core/approval/recount.py",
        "    if not approval.uses < max(1, approval.window_uses):\n        return False\n",
        "",
        BY_HAND + "test_what_has_ended_is_not_granted_once_more[sqlite-used]",
    ),
    Plant(
        "a grant lasts as long as the store says",
        "core/holding.py",
        "if hold.is_over(approval, ledger.unix(at)):",
        "if hold.is_over(approval, 0.0):",
        BY_HAND + "test_a_grant_lasts_as_long_as_people_let_it[sqlite]",
    ),
    Plant(
        "a row of deep JSON ends the worker",
        "approvals/database.py",
        "OSError, RecursionError, ",
        "OSError, ",
        BY_HAND + "test_a_row_that_cannot_be_read_is_a_store_that_is_unavailable[deep]",
    ),
    Plant(
        "run says nothing of settings of one's own",
        "cli/run.py",
        "for each in guard.settings.connections",
        "for each in [guard.wanted]",
        "tests/edge/settings/test_own_settings.py::test_run_says_what_counts_instead_of_what_it_was_told",
    ),
    Plant(
        "an emergency goes on by the use of what was none",
        "core/hold.py",
        "if approval.emergency is not self.emergency or not same_deciders",
        "if not same_deciders",
        TERMS + "test_an_emergency_goes_on_by_no_use_of_what_was_none",
    ),
    Plant(
        "who brings a ticket is given another approval",
        "core/hold.py",
        "if self._seen or not self.opened_here or self.emergency",
        "if self._seen or self.emergency",
        TERMS + "test_only_what_is_opened_anew_is_given_another_approval[a ticket]",
    ),
    Plant(
        "who waits on an approval is given another",
        "core/hold.py",
        "if self._seen or not self.opened_here or self.emergency",
        "if not self.opened_here or self.emergency",
        TERMS + "test_only_what_is_opened_anew_is_given_another_approval[its own]",
    ),
    Plant(
        "an approval that was refused is withdrawn as well",
        "core/exchange.py",
        "() if pending or reason in ENDED.values() else",
        "() if pending else",
        TERMS + "test_an_approval_that_has_ended_is_not_withdrawn_as_well",
    ),
)

"""The policy: the file as it is, its own cases, and whether every worker serves by it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from extproc.app import socket_path
from extproc.core.policy import Policy
from extproc.core.policy_document import PolicyInvalid, expired_shadows
from extproc.edge.policy_file import Fitness, load_policy
from extproc.edge.policy_status import read_status, status_path, why_not_in_force
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, passed, warned


def check_policy(settings: Settings) -> Iterator[Check]:
    """Loading runs the file's cases and refuses a rule that could never do anything."""
    try:
        policy = load_policy(settings.policy_file, Fitness.of(settings))
    except PolicyInvalid as error:
        more = f", and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
        mend = f"`extproc policy check {settings.policy_file}` shows all; the workers keep the last good one"
        yield failed("policy", f"{error.problems[0]}{more}", mend)
        return
    yield passed("policy", f"{policy.name} is sound and its cases hold, {policy.digest[:19]}…")
    yield _check_in_force(settings, policy)
    yield _check_shadows(policy)


def _check_in_force(settings: Settings, policy: Policy) -> Check:
    late = []
    for index in range(settings.workers):
        status = read_status(status_path(settings.run_directory, index))
        if why := why_not_in_force(policy.digest, status, socket_path(settings, index)):
            late.append(f"worker {index} {why}")
    if late:
        return failed("policy, in force", "; ".join(late), "`extproc policy status` says why; see the worker's log")
    return passed("policy, in force", f"every worker serves by it ({settings.workers})")


def _check_shadows(policy: Policy) -> Check:
    over = expired_shadows(policy, datetime.now(UTC).date())
    shadows = [rule.name for rule in policy.rules if rule.shadow_until]
    if over:
        return failed("policy, shadow rules", f"past their date: {', '.join(over)}", "enforce them, or take them out")
    if shadows:
        return warned("policy, shadow rules", f"recorded and not enforced: {', '.join(shadows)}", "is that meant?")
    return passed("policy, shadow rules", "every rule is enforced")

"""What the supervisor asks before it starts workers; what is wrong is said in the log, with what it concerns."""

import logging
import time

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import StoreFailed, open_store
from extproc.core.policy_document import PolicyInvalid
from extproc.edge.key_inventory import check_cryptoperiods
from extproc.edge.policy_file import Fitness, load_policy
from extproc.edge.settings import Settings

_log = logging.getLogger(__name__)


def is_fit_to_serve(settings: Settings, keys: AuditKeys) -> bool:
    """The policy is one, the keys may be used, the store keeps what it is given."""
    return policy_is_good(settings) and keys_are_in_time(settings, keys) and store_is_fit(settings)


def policy_is_good(settings: Settings) -> bool:
    """At start a bad policy ends the service with every problem said; later the last good one stays."""
    try:
        load_policy(settings.policy_file, Fitness.of(settings))
    except PolicyInvalid as invalid:
        for problem in invalid.problems:
            place = f"{settings.policy_file}:{problem.line}:{problem.column}: {problem.path}"
            hint = f" ({problem.hint})" if problem.hint else ""
            _log.critical("the policy is refused: %s: %s%s", place, problem.message, hint)
        return False
    return True


def keys_are_in_time(settings: Settings, keys: AuditKeys) -> bool:
    """Their cryptoperiods are not over."""
    try:
        check_cryptoperiods(settings, keys, int(time.time() * 1000))
    except (AuditRefused, OSError) as error:
        _log.critical("the keys cannot be used: %s", error)
        return False
    return True


def store_is_fit(settings: Settings) -> bool:
    """A store that does not keep what it is given is refused; one that cannot be reached yet is waited for."""
    try:
        open_store(settings.audit).check()
    except AuditRefused as error:
        _log.critical("the audit store is not fit: %s", error)
        return False
    except StoreFailed as error:
        _log.warning("the audit store cannot be reached yet: %s", error)
    return True

"""What a person may do in the console: roles, from the groups that the identity provider says."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from extproc.core.principal import Principal
from extproc.edge.settings_console import RoleSettings


class Role(StrEnum):
    """READER sees what happened and no text; the others see that, and more. None includes another of them."""

    READER = "reader"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"


READS_TEXT: Final = frozenset({Role.APPROVER, Role.AUDITOR})
"""What people wrote of an approval, why they ask and why they decide, is for these, as its masked request is."""

MAY: dict[Role, str] = {
    Role.READER: "lists of approvals and sessions without any text, the policy, health",
    Role.APPROVER: "also the masked request of an approval, and decides where the rule names a group of the person",
    Role.AUDITOR: "also transcripts, replay, raw events, evidence and exports; each reading is recorded first",
    Role.ADMIN: "also who is logged in, whose sessions they may end, and notifications that could not be delivered",
}
"""What each may, in words for the page of somebody without a role, and for the README."""


def roles_of(person: Principal, settings: RoleSettings) -> frozenset[Role]:
    """Every role of the person; with any of them goes READER. A program has none, whatever its groups."""
    if person.kind != "person":
        return frozenset()
    groups = frozenset(person.groups)
    found = {role for role in Role if not groups.isdisjoint(groups_for(role, settings))}
    return frozenset(found | {Role.READER}) if found else frozenset()


def groups_for(role: Role, settings: RoleSettings) -> Collection[str]:
    """The groups that have this role by the configuration."""
    match role:
        case Role.READER:
            return settings.reader
        case Role.APPROVER:
            return settings.approver
        case Role.AUDITOR:
            return settings.auditor
        case Role.ADMIN:
            return settings.admin

"""Which channels tell what, and how long something is worth telling."""

from collections.abc import Sequence

from extproc.approvals.notify.deliveries import GIVE_UP_SECONDS, Notification
from extproc.approvals.notify.events import WAITS, Event
from extproc.approvals.notify.mail import MailSender
from extproc.approvals.notify.posting import SlackSender, WebhookSender
from extproc.approvals.notify.settings import Channel, MailTo, SlackTo, WebhookTo
from extproc.approvals.notify.telling import Sender
from extproc.core.approval import Approval, ApprovalState


def takers(channels: Sequence[Channel], event: Event, approval: Approval) -> set[str]:
    """The names of those that tell it: an emergency all that take one, the rest those of the groups that it is for."""
    return {each.name for each in channels if event in each.events and _is_for(each, event, approval)}


def _is_for(channel: Channel, event: Event, approval: Approval) -> bool:
    match event:
        case Event.EMERGENCY:
            return True
        case Event.ESCALATED:  # the others were told when it was opened
            groups = approval.escalation_groups
        case Event.EXPIRED if approval.granted_until:  # somebody did decide
            return False
        case _:
            groups = approval.approver_groups
    return not channel.groups or not channel.groups.isdisjoint(groups)


def gives_up_at(notification: Notification, approval: Approval) -> float:
    """In Unix seconds. What asks for a decision is told while one can be taken."""
    latest = notification.at + GIVE_UP_SECONDS
    return min(latest, approval.expires_at) if notification.event in WAITS else latest


def is_moot(notification: Notification, approval: Approval) -> bool:
    """Whether it asks for a decision that is not to be taken any more. That it expired untold is no such thing."""
    return notification.event in WAITS and approval.state not in {ApprovalState.PENDING, ApprovalState.EXPIRED}


def is_too_late(notification: Notification, approval: Approval) -> bool:
    """Whether it asks for a decision that nobody took in time."""
    return notification.event in WAITS and approval.state is ApprovalState.EXPIRED


def open_sender(channel: Channel) -> Sender:
    """Raises `OSError` for authorities that cannot be read."""
    match channel.to:
        case SlackTo() as to:
            return SlackSender(to)
        case WebhookTo() as to:
            return WebhookSender(to)
        case MailTo() as to:
            return MailSender(to)

"""Telling people, beside the console's server: the channels of the configuration over the outbox of the store."""

from extproc.approvals.notify.channels import open_sender
from extproc.approvals.notify.dispatcher import Dispatcher, Signal
from extproc.console.links import LinkMaker
from extproc.console.parts import Parts
from extproc.edge.settings import Settings


def open_dispatcher(settings: Settings, parts: Parts, signal: Signal) -> Dispatcher:
    """Raises `OSError` for a channel whose authorities cannot be read."""
    channels = settings.approvals.channels
    return Dispatcher(
        parts.approvals.deliveries(),
        channels,
        {channel.name: open_sender(channel) for channel in channels},
        parts.approvals.find_all,
        link=LinkMaker(parts.sealing, parts.settings.url),
        signal=signal,
        deployment=settings.deployment,
        clock=parts.clock,
    )

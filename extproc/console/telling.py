"""Telling people, beside the console's server: the channels of the configuration over the outbox of the store."""

from extproc.approvals.notify.channels import open_sender
from extproc.approvals.notify.dispatcher import Dispatcher, Signal
from extproc.console.links import LinkMaker
from extproc.console.parts import Parts
from extproc.edge.settings import Settings


def open_dispatcher(settings: Settings, parts: Parts, signal: Signal) -> Dispatcher:
    """Without channels it gives what happens to nobody, and so the outbox does not grow. Raises `OSError`."""
    channels = settings.approvals.channels
    return Dispatcher(
        parts.approvals.deliveries(),
        channels,
        {channel.name: open_sender(channel) for channel in channels},
        parts.approvals.find,
        link=LinkMaker(parts.sealing, parts.settings.url),
        signal=signal,
        deployment=settings.deployment,
        clock=parts.clock,
    )

"""A message for an incoming webhook of Slack: Block Kit, in which nothing that somebody else wrote is markup.

https://docs.slack.dev/reference/block-kit/blocks,
https://docs.slack.dev/messaging/formatting-message-text#escaping: values stand in `plain_text`, which has no mentions,
links or emoji, with `&`, `<` and `>` escaped all the same. `text` is read by what knows no blocks: its words are ours
and the policy's alone.
"""

from typing import Any

from extproc.approvals.notify.events import WAITS
from extproc.approvals.notify.telling import MAX_NAME, Telling, instant, line


def slack_message(telling: Telling) -> dict[str, Any]:
    """The body of the request, as JSON has it."""
    approval, link = telling.approval, escaped(telling.link)
    rule = escaped(line(approval.rule, MAX_NAME))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(telling.title)},
        *({"type": "section", "text": _plain(f"{name}\n{value}")} for name, value in telling.facts),
    ]
    if telling.notification.event in WAITS:
        # Slack shows it in each reader's time zone, else what stands behind the bar.
        until = f"<!date^{int(approval.expires_at)}^{{date_short_pretty}} {{time}}|{instant(approval.expires_at)}>"
        context = [{"type": "mrkdwn", "text": f"Can be decided until {until}."}]
        blocks.append({"type": "context", "elements": context})
    button = {"type": "button", "text": _plain(telling.button), "url": telling.link, "style": "primary"}
    blocks.append({"type": "actions", "elements": [button]})
    return {
        "text": f"{telling.title} ({rule}). <{link}|{telling.button}>",
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _plain(text: str) -> dict[str, Any]:
    """A section takes 3000 characters, more than the longest fact has when each of its characters is escaped."""
    return {"type": "plain_text", "text": escaped(text), "emoji": False}


def escaped(text: str) -> str:
    """The three characters that Slack reads as control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

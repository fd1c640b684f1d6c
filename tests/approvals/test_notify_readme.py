"""The section "Telling" of the README: its configuration loads, its schema holds, its receiver verifies."""

import base64
import copy
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from jsonschema import Draft202012Validator
from standardwebhooks.webhooks import WebhookVerificationError

import extproc.approvals
from extproc.approvals.notify.deliveries import Notification
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.telling import Telling
from extproc.approvals.notify.webhook import webhook_body, webhook_headers
from extproc.core.approval import ApprovalRequest, open_approval
from extproc.core.trust import Secret
from extproc.edge.settings_file import load_settings
from tests.audit.configured import write_config

TELLING = (Path(extproc.approvals.__file__).parent / "README.md").read_text("utf-8").partition("\n## Telling\n")[2]
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.+?)^```$", TELLING, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def body(ask: Callable[..., ApprovalRequest], event: Event) -> bytes:
    approval = replace(open_approval(ask("apr-1")), decided_at=1010.0, decided_by_uid="i|p", decision_reason="fine")
    return webhook_body(
        Telling(Notification("ntf_1", "apr-1", event, "pending", 1000.0), "hook", approval, "p", "https://l")
    )


def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    for name, text in (("slack.url", "https://hooks.slack.com/x"), ("pager.key", SECRET), ("mail.key", "x")):
        (tmp_path / "secrets").mkdir(exist_ok=True)
        (tmp_path / "secrets" / name).write_text(text)
    shown = copy.deepcopy(yaml.safe_load(block("yaml"))["approvals"])
    for each in shown["notify"]:
        each.pop("ca_file", None)
    console = {"url": "https://console.example.org", "keys": "console", "saml": {"metadata": "idp.xml"}}
    settings = load_settings(write_config(tmp_path, approvals=shown, console=console))
    assert [each.name for each in settings.approvals.channels] == ["slack", "pager", "mail"]


@pytest.mark.parametrize("event", Event)
def test_each_body_is_by_the_schema_of_the_readme(ask: Callable[..., ApprovalRequest], event: Event) -> None:
    schema: dict[str, Any] = json.loads(block("json"))
    Draft202012Validator.check_schema(schema)
    said = json.loads(body(ask, event))
    Draft202012Validator(closed(schema)).validate(said)
    with pytest.raises(jsonschema.ValidationError):
        Draft202012Validator(closed(schema)).validate(said | {"version": 2})


def test_a_body_says_how_many_people_are_needed_and_of_which_groups(ask: Callable[..., ApprovalRequest]) -> None:
    approval = open_approval(replace(ask("apr-1"), quorum=3, each_of=("risk", "privacy", "privacy")))
    telling = Telling(
        Notification("ntf_1", "apr-1", Event.OPENED, "pending", 1000.0), "hook", approval, "p", "https://l"
    )
    said = json.loads(webhook_body(telling))["data"]["approval"]
    assert (said["quorum"], said["each_of"]) == (3, ["risk", "privacy", "privacy"])


def closed(schema: Any) -> Any:
    """The same, in which every field must be documented."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    return made | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else made


def test_the_receiver_of_the_readme_takes_a_message_once_and_nothing_forged(
    ask: Callable[..., ApprovalRequest],
) -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    sent, seen = body(ask, Event.OPENED), set[str]()
    headers = webhook_headers(Secret(SECRET), "ntf_1", sent, time.time())
    assert names["receive"](headers, sent, SECRET, seen)["type"] == "approval.opened"
    assert names["receive"](headers, sent, SECRET, seen) is None
    with pytest.raises(WebhookVerificationError):
        names["receive"](headers, sent + b" ", SECRET, seen)
    with pytest.raises(WebhookVerificationError):
        old = webhook_headers(Secret(SECRET), "ntf_1", sent, time.time() - 900)
        names["receive"](old, sent, SECRET, seen)

"""The messages of `input.proto` in a pool of their own, with a field for every kind of finding of one policy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from extproc.core.identity import Principal
from extproc.core.policy.decision import DecisionInput, ResponseCounts
from extproc.pb import input_pb2

PACKAGE: Final = "extproc.policy.v1"
TOTAL: Final = "total"
_MAX_COUNT: Final = 2**63 - 1
_BUILT_IN: Final = input_pb2.DESCRIPTOR.message_types_by_name["Findings"].fields_by_name


class InputTypes:
    """`pool` has the types; the methods fill their messages from what a decision is given."""

    def __init__(self, kinds: frozenset[str]) -> None:
        file = descriptor_pb2.FileDescriptorProto()
        input_pb2.DESCRIPTOR.CopyToProto(file)
        findings = next(message for message in file.message_type if message.name == "Findings")
        number = len(findings.field)
        for kind in sorted(kinds.difference(_BUILT_IN.keys())):
            number += 1
            findings.field.add(
                name=kind,
                number=number,
                type=descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
                label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            )
        self.pool = descriptor_pool.DescriptorPool()
        self.pool.Add(file)
        self._messages: dict[str, Any] = {
            message.name: message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"{PACKAGE}.{message.name}"))
            for message in file.message_type
        }
        self._kinds = frozenset(self.fields("Findings")) - {TOTAL}

    def fields(self, message: str) -> tuple[str, ...]:
        """The names of a message's fields; none for a message that is not there."""
        known = self._messages.get(message)
        return () if known is None else tuple(known.DESCRIPTOR.fields_by_name)

    def request_values(self, given: DecisionInput, aliases: Mapping[str, tuple[str, ...]]) -> dict[str, object] | None:
        """`principal`, `request` and `now`; None where a text is no Unicode, or a number beyond 64 bits."""
        try:
            return self._request_values(given, aliases)
        except (ValueError, OverflowError):  # what was sent is in their text
            return None

    def _request_values(self, given: DecisionInput, aliases: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
        facts = given.facts
        request = self._messages["Request"](
            connection=given.connection,
            operation=given.operation.value,
            model=facts.model,
            stream=facts.stream,
            max_tokens=_bounded(facts.max_tokens),
            choices=_bounded(facts.choices),
            messages=facts.messages,
            inputs=facts.inputs,
            tools=facts.tools,
            tool_names=facts.tool_names,
            prompt_characters=facts.prompt_characters,
            body_bytes=facts.body_bytes,
            findings=self._findings(given.findings),
            source_address=given.source_address,
        )
        principal = self._principal(given.principal, given.now_unix, aliases)
        return {"principal": principal, "request": request, "now": moment(given.now_unix)}

    def response_values(self, given: DecisionInput, counts: ResponseCounts) -> dict[str, object]:
        """`response` and `approval`, and `now` as it is at these counts."""
        response = self._messages["Response"](
            events=counts.events,
            bytes=counts.bytes,
            characters=counts.characters,
            tokens=counts.tokens,
            seconds=counts.seconds,
            findings=self._findings(counts.findings),
        )
        approval = self._messages["Approval"](
            state=given.approval.state, approvers=given.approval.approvers, age=given.approval.age_seconds
        )
        return {"response": response, "approval": approval, "now": moment(given.now_unix + counts.seconds)}

    def _principal(self, principal: Principal, now_unix: float, aliases: Mapping[str, tuple[str, ...]]) -> Any:
        return self._messages["Principal"](
            uid=principal.uid,
            issuer=principal.issuer,
            subject=principal.subject,
            name=principal.name,
            groups=_aliased(principal.groups, aliases),
            tenant=principal.tenant,
            client=principal.client,
            kind=principal.kind,
            methods=principal.methods,
            context_class=principal.context_class,
            mfa=principal.mfa,
            auth_age=max(0, int(now_unix) - principal.authenticated_at) if principal.authenticated_at else _MAX_COUNT,
            spiffe_id=principal.spiffe_id,
            certificate_subject=principal.certificate_subject,
            bound=bool(principal.confirmation),
        )

    def _findings(self, counts: Mapping[str, int]) -> Any:
        known = {kind: count for kind, count in counts.items() if kind in self._kinds}
        return self._messages["Findings"](total=sum(counts.values()), **known)


def moment(now_unix: float) -> datetime:
    """`now` of CEL."""
    return datetime.fromtimestamp(now_unix, UTC)


def _aliased(groups: tuple[str, ...], aliases: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if not aliases:
        return groups
    held = frozenset(groups)
    return tuple(alias for alias, names in aliases.items() if not held.isdisjoint(names))


def _bounded(count: int) -> int:
    return min(count, _MAX_COUNT)

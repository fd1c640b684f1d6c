"""Planted bugs: where the core meets Envoy."""

from tests.plants.plant import Plant

EDGE = "tests/edge/session/test_one_way_out.py::"
WIRE = "tests/edge/session/test_wire_answers.py::"
RECORDING = "tests/edge/session/test_recording.py::"
HOLDING = "tests/edge/session/test_holding.py::"
SUPERVISOR = "tests/edge/test_supervisor.py::"
LOGS = "tests/edge/telemetry/test_logs.py::"
SPANS = "tests/edge/telemetry/test_spans.py::"
APP = "tests/test_app.py::"


PLANTS = (
    Plant(
        "p5: a failure that cannot be recorded ends with what was raised",
        "edge/session.py",
        "        except Exception as error:  # noqa: BLE001 - whoever called is at a boundary already: the stream must end\n",
        "        except Unavailable as error:\n",
        "tests/edge/session/test_scanner_faults.py::test_a_failure_that_cannot_be_recorded_is_an_end_all_the_same",
    ),
    Plant(
        "p1: a buffered body goes on as it came",
        "edge/wire.py",
        "            common.body_mutation.body = action.body\n",
        "            pass\n",
        WIRE + "test_a_buffered_body_that_was_masked_replaces_what_came_and_is_counted",
    ),
    Plant(
        "p2: what is not durable counts as stored",
        "edge/recording.py",
        "self._feed(events.Stored(ticket, at) if durable else events.StoreFailed(at, ticket))",
        "self._feed(events.Stored(ticket, at))",
        RECORDING + "test_what_turns_out_not_to_be_durable_has_failed",
    ),
    Plant(
        "p2: an end is stored behind content that was not",
        "edge/recording.py",
        "        self._failing = True\n        self._feed",
        "        self._feed",
        RECORDING + "test_no_end_is_stored_behind_what_was_not",
    ),
    Plant(
        "p2: an exchange that breaks is not recorded",
        "edge/session.py",
        "self._services.journal.append_record(action.record)",
        "pass",
        EDGE + "test_what_breaks_is_recorded_and_its_log_line_says_nothing_of_it",
    ),
    Plant(
        "p2: a journal that takes nothing new is not asked",
        "edge/session.py",
        "accepting=self._services.journal.accepting(),",
        "accepting=True,",
        EDGE + "test_a_journal_that_takes_no_new_exchange_has_them_refused",
    ),
    Plant(
        "p2: what a killed worker left is not adopted at the end",
        "edge/supervisor.py",
        "        shipping.join()\n        self._adopt()\n",
        "        shipping.join()\n",
        SUPERVISOR + "test_the_journal_of_a_worker_that_had_to_be_killed_is_adopted_before_the_last_shipping",
    ),
    Plant(
        "p2: a policy is in force before its record",
        "edge/policy_control.py",
        "        before = self._in_force.get().policy.digest\n",
        "        before = self._in_force.get().policy.digest\n        self._put(policy)\n",
        APP + "test_a_new_policy_is_recorded_before_it_is_in_force",
    ),
    Plant(
        "p3: a write that failed ends with OK",
        "edge/session.py",
        "            self._failed = True  # also after the last message",
        "            pass  # also after the last message",
        EDGE + "test_a_write_that_did_not_succeed_never_ends_ok",
    ),
    Plant(
        "p2: a grant is claimed whose use cannot be recorded",
        "edge/carrying.py",
        "case ClaimGrant() if not services.journal.accepting():",
        "case ClaimGrant() if False:",
        EDGE + "test_a_grant_is_not_claimed_while_its_use_cannot_be_recorded",
    ),
    Plant(
        "p3: the clean way out is taken although the exchange is not over",
        "edge/session.py",
        "if self._exchange is not None and self._exchange.over and not self._failed:\n            return",
        "if self._exchange is not None:\n            return",
        EDGE + "test_an_early_end_is_never_ok",
    ),
    Plant(
        "p3: an exception in a session ends it with OK",
        "edge/session.py",
        "        await self._context.abort(grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE)",
        "        return",
        EDGE + "test_an_injected_exception_is_never_ok",
    ),
    Plant(
        "p3: any processing mode is served",
        "edge/wire.py",
        "    if config.response_body_mode != _Mode.FULL_DUPLEX_STREAMED:\n        raise Malformed(Reason.MODES_UNSAFE)\n",
        "",
        EDGE + "test_a_mode_that_cannot_keep_the_promises_is_aborted",
    ),
    Plant(
        "p3: a refusal opens the request lock",
        "edge/wire.py",
        "_fill_metadata(message.dynamic_metadata, labels, DENY)",
        "_fill_metadata(message.dynamic_metadata, labels, ALLOW)",
        WIRE + "test_an_immediate_answer_opens_neither_lock",
    ),
    Plant(
        "p3: a grant that another took counts",
        "edge/holding.py",
        "events.GrantClaimed(at) if won else events.GrantLost(at)",
        "events.GrantClaimed(at)",
        HOLDING + "test_a_grant_is_claimed_for_the_request_and_its_requester",
    ),
    Plant(
        "p3: an approval that came too late stays open",
        "edge/holding.py",
        "            return\n        self._follow(approval)\n\n    async def _attach",
        "            return\n        if self._held():\n            self._follow(approval)\n\n    async def _attach",
        HOLDING + "test_an_approval_that_arrives_too_late_is_told_and_not_watched",
    ),
    Plant(
        "a withdrawal that did nothing is told to nobody",
        "edge/holding.py",
        "        if not withdrawn:\n",
        "        if False:\n",
        HOLDING + "test_a_withdrawal_that_does_nothing_is_told",
    ),
    Plant(
        "p3: what was queued goes out although the session broke",
        "edge/session.py",
        "        self._outgoing.clear()\n        if not self._broken",
        "        if not self._broken",
        EDGE + "test_what_was_queued_when_it_broke_is_not_written",
    ),
    Plant(
        "p3: a dead worker is not started again",
        "edge/supervisor.py",
        "        if now >= child.start_at:\n",
        "        if False:\n",
        SUPERVISOR + "test_a_dead_worker_is_started_again_and_ever_later_while_it_dies_at_once",
    ),
    Plant(
        "p5: the log says what an exception says",
        "edge/logs.py",
        '"type": f"{kind.__module__}.{kind.__qualname__}",',
        '"type": f"{kind.__module__}.{kind.__qualname__}: {current}",',
        LOGS + "test_an_exception_is_logged_by_types_and_places_only",
    ),
    Plant(
        "p5: the log of a broken session says what broke it",
        "edge/session.py",
        '_log.error("session failed", extra={"failure": type(error).__name__})',
        '_log.error("session failed", extra={"failure": str(error)})',
        EDGE + "test_what_breaks_is_recorded_and_its_log_line_says_nothing_of_it",
    ),
    Plant(
        "p5: a span says what the model server calls its end",
        "edge/span_attributes.py",
        "plain_name(one) for one in record.finish_reasons[:_MAX_FINISH_REASONS]",
        "one for one in record.finish_reasons",
        SPANS + "test_no_content_can_appear_in_a_span",
    ),
    Plant(
        "p5: a trace id may be an account number",
        "edge/session.py",
        '"" if names_a_number(found, snapshot.scanner.masker()) else found',
        "found",
        EDGE + "test_a_traceparent_that_names_an_account_is_no_traceparent",
    ),
    Plant(
        "a signal within a wait is a deadlock",
        "edge/stop_signals.py",
        'threading.Thread(target=ended.set, name="stop").start()',
        "ended.set()",
        "tests/edge/test_stop_signals.py",
    ),
    Plant(
        "the development issuer sets an event in a handler",
        "cli/dev.py",
        "    set_on_signal(ended)\n",
        "    import signal\n\n    signal.signal(signal.SIGTERM, lambda *_: ended.set())\n",
        "tests/edge/test_stop_signals.py",
    ),
    Plant(
        "`run` sets an event in a handler",
        "cli/run.py",
        "    set_on_signal(stopped, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))\n",
        "    signal.signal(signal.SIGTERM, lambda *_: stopped.set())\n",
        "tests/edge/test_stop_signals.py",
    ),
)

"""Planted bugs: sealed originals."""

from tests.plants.plant import Plant

SEALED = "tests/audit/test_audit_sealed.py::"
COMMAND = "tests/audit/test_audit_sealed_command.py::"
EXCHANGE = "tests/core/exchange/test_sealed_originals.py::"
KEPT = "tests/core/masking/test_masking_originals.py::"

PLANTS = (
    Plant(
        "sealed: whatever is found is kept",
        "core/masking/originals.py",
        "    if found.kind != Kind.PAN or found.rest or found.unnamed or not _PLAIN.fullmatch(text):\n        return False",
        "    if not text:\n        return False\n    return True",
        EXCHANGE + "test_a_request_is_sealed_as_it_came_but_for_the_code",
    ),
    Plant(
        "sealed: a PIN that looks like the beginning of a PAN is kept",
        "core/masking/originals.py",
        "            self._kept[self._last[0]] = self._last[1]",
        "            pass",
        KEPT + "test_an_overlap_is_seen_however_the_text_is_cut",
    ),
    Plant(
        "sealed: a code within a long number is kept",
        "core/masking/originals.py",
        "    if len(digits) > _USUAL_DIGITS:",
        "    if not digits:",
        KEPT + "test_only_a_plain_pan_is_kept",
    ),
    Plant(
        "sealed: a PAN that is split is kept in the wrong place",
        "core/masking/originals.py",
        '    def mask_apart(self, found: Found, text: str = "") -> str:\n        return super().mask(found, text)',
        '    def mask_apart(self, found: Found, text: str = "") -> str:\n        return self.mask(found, text)',
        KEPT + "test_in_documents_too",
    ),
    Plant(
        "sealed: a second pass without the setting",
        "core/answer.py",
        "        if self._snapshot.seal is not None:",
        "        if self._snapshot:",
        EXCHANGE + "test_without_the_setting_there_is_no_second_pass",
    ),
    Plant(
        "sealed: the model is asked before the original is durable",
        "core/storing.py",
        "        return content if sealed is None else (*content, self._content(Direction.SEALED_TO_MODEL, sealed, at))",
        "        ticket = self.ticket\n        stored = () if sealed is None else (self._content(Direction.SEALED_TO_MODEL, sealed, at),)\n"
        "        self.ticket = ticket\n        return (*content, *stored)",
        EXCHANGE + "test_what_is_sealed_is_durable_before_the_model_is_asked",
    ),
    Plant(
        "sealed: originals stand one piece too early",
        "core/storing.py",
        "        offset = self._ledger.recorded_bytes\n        self._ledger.recorded_bytes += len(data)",
        "        self._ledger.recorded_bytes += len(data)\n        offset = self._ledger.recorded_bytes",
        EXCHANGE + "test_a_streamed_answer_is_what_the_model_sent_but_for_the_code",
    ),
    Plant(
        "sealed: it opens as another exchange's",
        "audit/retention/sealed.py",
        "origin.encode(), exchange_id.encode(), direction.encode(), head))",
        "origin.encode(), direction.encode(), head))",
        SEALED + "test_it_opens_in_its_own_place_only",
    ),
    Plant(
        "sealed: the place can be changed",
        "audit/retention/sealed.py",
        "direction.encode(), head))",
        "direction.encode()))",
        SEALED + "test_no_byte_of_it_can_be_changed",
    ),
    Plant(
        "sealed: the commitment is a digest that can be guessed",
        "audit/retention/sealed.py",
        "    return hmac.new(nonce, text, hashlib.sha256).digest()",
        "    return hashlib.sha256(text).digest()",
        SEALED + "test_the_commitment_is_blind",
    ),
    Plant(
        "sealed: the commitment is not looked at",
        "audit/retention/sealed.py",
        "    if not hmac.compare_digest(commitment, _commitment(nonce, text)):",
        "    if not text:",
        SEALED + "test_the_commitment_is_blind",
    ),
    Plant(
        "sealed: a private key is taken for the service's",
        "audit/retention/sealed.py",
        "    if _PRIVATE in data:",
        "    if not data:",
        SEALED + "test_only_a_public_key_is_sealed_to",
    ),
    Plant(
        "sealed: opened before it is recorded, and without it",
        "audit/retention/open_sealed.py",
        "        self.write([OPENING",
        "        ([OPENING",
        COMMAND + "test_without_its_record_nothing_is_shown",
    ),
    Plant(
        "sealed: one person opens alone",
        "cli/audit_sealed.py",
        "            act.check_confirmer(openers, request, step.person, int(time.time() * 1000))",
        "            act.check_person(openers, step.person)",
        COMMAND + "test_who_may_not_sees_nothing",
    ),
    Plant(
        "sealed: a request to shred opens",
        "audit/retention/open_sealed.py",
        '    writer="sealed",\n    operation="audit.open-sealed",\n    asked=EventCode.SEALED_OPEN_REQUEST,',
        '    writer="shred",\n    operation="audit.open-sealed",\n    asked=EventCode.ADMIN_SHRED_REQUEST,',
        COMMAND + "test_a_request_to_shred_is_none_to_open",
    ),
    Plant(
        "sealed: replay shows what is sealed",
        "audit/reading/replay.py",
        "            if piece.direction in _CROSSED:",
        "            if piece.direction:",
        SEALED + "test_an_original_shares_the_key_of_its_exchange_and_is_bound_by_its_end",
    ),
)

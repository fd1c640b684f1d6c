"""Planted bugs: what the evidence pack and a second shredding may say."""

from tests.plants.plant import Plant

SHRED = "tests/audit/test_audit_shred.py::"
JUDGED = "tests/audit/test_evidence_judgements.py::"

PLANTS = (
    Plant(
        "an exchange without transcript is shredded",
        "audit/shred.py",
        "    if not over.has_transcript and not _approvals(over):",
        "    if False:",
        SHRED + "test_without_transcript_nothing_is_shredded",
    ),
    Plant(
        "a key that was lost is excused by two people",
        "audit/shred.py",
        "            if not found.holders and not begun and exchange.has_transcript:",
        "            if False:",
        SHRED + "test_a_key_that_was_lost_is_not_called_shredded",
    ),
    Plant(
        "a second confirmation is a second shredding",
        "audit/shred.py",
        "            if not found.holders and _is_done(exchange):",
        "            if False:",
        SHRED + "test_a_second_confirmation_destroys_and_records_nothing",
    ),
    Plant(
        "evidence: a shredding that destroyed nothing counts",
        "audit/evidence/facts.py",
        'and (keys := int(_number(detail.get("keys")))):',
        'and (keys := 1 + int(_number(detail.get("keys")))):',
        JUDGED + "test_shreddings_are_counted_by_what_they_destroyed",
    ),
)

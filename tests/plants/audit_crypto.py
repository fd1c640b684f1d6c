"""Planted bugs: the encryption of transcripts."""

from tests.plants.plant import Plant

CRYPTO = "tests/audit/test_audit_crypto.py::"

PLANTS = (
    Plant(
        "a frame's head is not authenticated",
        "audit/log/content.py",
        '        return head + self._cipher.encrypt(self._nonce_of(number), b"".join(parts), head)',
        '        return head + self._cipher.encrypt(self._nonce_of(number), b"".join(parts), b"")',
        CRYPTO + "test_a_frame_of_another_place_is_refused",
    ),
    Plant(
        "a content key is the same in every place",
        "audit/log/content.py",
        'derive(key, None, b"extproc " + _key_context(origin, exchange_id))',
        'derive(key, None, b"extproc ")',
        CRYPTO + "test_a_frame_of_another_place_is_refused",
    ),
    Plant(
        "a transcript is not held against its end",
        "audit/reading/replay.py",
        "            if found.digests.get(mark.content_frames) != mark.content_digest:",
        "            if not found.digests:",
        CRYPTO + "test_a_cut_at_every_byte_is_refused",
    ),
    Plant(
        "a sealed text's commitment is not looked at",
        "audit/keys/seal.py",
        "        if hmac.compare_digest(commitment, expected):",
        "        if len(commitment) == len(expected):",
        CRYPTO + "test_a_ciphertext_that_two_keys_accept_opens_under_the_one_it_commits_to",
    ),
    Plant(
        "a stream's commitment to its key is not looked at",
        "audit/log/content.py",
        "    if not hmac.compare_digest(cipher.commitment, opening.ciphertext):",
        "    if not cipher.commitment:",
        "tests/audit/test_audit_content.py::test_a_wrapped_key_opens_the_stream_it_was_committed_to_and_no_other",
    ),
    Plant(
        "a damaged line of a key bag ends the reading with an exception",
        "audit/log/content.py",
        "        with suppress(*NOT_PARSED):",
        "        with suppress(KeyError):",
        CRYPTO + "test_a_flip_at_every_byte_of_the_key_s_line_is_refused",
    ),
)

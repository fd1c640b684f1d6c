"""Planted bugs: what is stored is another form than the published one, which our own reader would not notice."""

from tests.plants.plant import Plant

VECTORS = "tests/audit/test_audit_vectors.py::"

PLANTS = (
    Plant(
        "vectors: a frame's number stands elsewhere in the nonce",
        "audit/log/content.py",
        "(int.from_bytes(self._nonce) ^ number)",
        "(int.from_bytes(self._nonce) ^ number << 8)",
        VECTORS + "test_our_code_writes_what_is_published[0]",
    ),
    Plant(
        "vectors: the nonce is of other bytes",
        "audit/keys/seal.py",
        "okm[_KEY : _KEY + _NONCE], okm",
        "okm[-_NONCE:], okm",
        VECTORS + "test_a_wrapped_key_is_what_is_published[kms]",
    ),
    Plant(
        "vectors: a content object begins otherwise",
        "audit/log/segment.py",
        'CONTENT_MAGIC = b"extproc content v1',
        'CONTENT_MAGIC = b"extproc content v2',
        VECTORS + "test_a_content_object_is_its_frames",
    ),
    Plant(
        "vectors: a sealed original is bound otherwise",
        "audit/retention/sealed.py",
        '(b"extproc sealed original", ',
        '(b"extproc original", ',
        VECTORS + "test_a_sealed_original_opens_to_what_is_published[0]",
    ),
)

"""Planted bugs: checkpoints, and the anchor that remembers them."""

from tests.plants.plant import Plant

CHECKPOINTS = "tests/audit/test_audit_checkpoints.py::"


PLANTS = (
    Plant(
        "p4: an adopter begins the epoch's tree anew",
        "audit/segment.py",
        "return MerkleTree(self.first_seq - 1, [bytes.fromhex(peak) for peak in self.epoch_peaks])",
        "return MerkleTree()",
        CHECKPOINTS + "test_an_adopter_goes_on_with_the_tree_of_the_dead",
    ),
    Plant(
        "p4: an epoch's checkpoint is not held against its records",
        "audit/verify_epoch.py",
        "if (manifest.epoch_size, manifest.epoch_root) != (self._tree.size, self._tree.root().hex()):",
        "if False:",
        CHECKPOINTS + "test_a_signed_checkpoint_that_the_records_do_not_hash_to_is_found",
    ),
)

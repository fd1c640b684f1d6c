"""What a planted bug is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plant:
    """In `file` of the package, `old` (which stands there once) becomes `new`; `test` must then fail.

    A `file` below `helm/` is the chart's.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    def path(self, root: Path) -> Path:
        """The file in the repository, or the copy, at `root`."""
        return root / self.file if self.file.startswith("helm/") else root / "extproc" / self.file

"""A Secret or a ConfigMap as Kubernetes mounts it."""

import os
from pathlib import Path


class MountedSecret:
    """A folder as the kubelet writes it: `tls.crt -> ..data/tls.crt`, and `..data` is renamed to what is new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = 0
        folder.mkdir()

    def write(self, **files: bytes) -> None:
        self._version += 1
        version = self.folder / f"..2026_{self._version:04d}"
        version.mkdir()
        for name, content in files.items():
            (version / name.replace("_", ".")).write_bytes(content)
            link = self.folder / name.replace("_", ".")
            if not link.is_symlink():
                link.symlink_to(f"..data/{link.name}")
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        os.replace(fresh, self.folder / "..data")

"""The volumes of a pod as folders, laid out, owned and with the modes as the kubelet makes them."""

import base64
import os
import shutil
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Secrets = dict[str, dict[str, bytes]]
"""Those that are in the cluster: by name, what each file holds."""


class Volumes:
    """One folder a volume. `secrets` are the cluster's own, beside the rendered objects.

    ConfigMaps and Secrets are read-only folders: a file is a symbolic link through `..data`, which changes at once.
    """

    def __init__(self, folder: Path, pod: Document, documents: list[Document], secrets: Secrets) -> None:
        self._folder = folder
        self._documents = documents
        self._secrets = secrets
        self._group = int((pod.get("securityContext") or {}).get("fsGroup", 0))
        self._volumes = {volume["name"]: volume for volume in pod.get("volumes") or []}
        self._written = 0
        folder.mkdir(mode=0o755)
        for name, volume in self._volumes.items():
            self._make(folder / name, volume)

    def path(self, name: str) -> Path:
        return self._folder / name

    def claim(self, name: str) -> None:
        """A persistent volume, as a StatefulSet asks for one."""
        self._writable(self._folder / name)

    def update(self, config_map: str, data: dict[str, str]) -> None:
        """As when somebody changes the ConfigMap: the folder shows the new files, all at once."""
        for name, volume in self._volumes.items():
            if (volume.get("configMap") or {}).get("name") == config_map:
                files = {key: text.encode() for key, text in data.items()}
                self._project(self._folder / name, files, volume["configMap"].get("defaultMode", 0o644))

    @property
    def writable(self) -> list[Path]:
        return [self._folder / name for name, volume in self._volumes.items() if "emptyDir" in volume]

    def _make(self, path: Path, volume: Document) -> None:
        match volume:
            case {"emptyDir": _} | {"persistentVolumeClaim": _}:
                self._writable(path)
            case {"configMap": dict(source)}:
                path.mkdir()
                self._project(path, self._chosen(source, self._config_map(source)), source.get("defaultMode", 0o644))
            case {"secret": dict(source)}:
                path.mkdir()
                self._project(path, self._chosen(source, self._secret(source)), source.get("defaultMode", 0o644))
            case {"projected": dict(projected)}:
                path.mkdir()
                files: dict[str, bytes] = {}
                for source in projected["sources"]:
                    match source:
                        case {"configMap": dict(one)}:
                            files |= self._chosen(one, self._config_map(one))
                        case {"secret": dict(one)}:
                            files |= self._chosen(one, self._secret({"secretName": one["name"], **one}))
                        case {"serviceAccountToken": {"audience": str(audience), "path": str(name)}}:
                            files[name] = self._secrets[f"token for {audience}"]["token"]
                self._project(path, files, projected.get("defaultMode", 0o644))
            case _:
                raise AssertionError(f"a volume of a kind that is not played here: {sorted(volume)}")

    def _writable(self, path: Path) -> None:
        path.mkdir()
        os.chown(path, 0, self._group)
        path.chmod(0o2777)

    def _config_map(self, source: Document) -> dict[str, bytes]:
        for document in self._documents:
            if document["kind"] == "ConfigMap" and document["metadata"]["name"] == source["name"]:
                text = {key: value.encode() for key, value in (document.get("data") or {}).items()}
                return text | {
                    key: base64.b64decode(value) for key, value in (document.get("binaryData") or {}).items()
                }
        assert source.get("optional"), f"no ConfigMap {source['name']}"
        return {}

    def _secret(self, source: Document) -> dict[str, bytes]:
        if source["secretName"] not in self._secrets:
            assert source.get("optional"), f"no Secret {source['secretName']}"
            return {}
        return self._secrets[source["secretName"]]

    @staticmethod
    def _chosen(source: Document, files: dict[str, bytes]) -> dict[str, bytes]:
        if "items" not in source or (source.get("optional") and not files):
            return files
        return {item["path"]: files[item["key"]] for item in source["items"]}

    def _project(self, path: Path, files: dict[str, bytes], mode: int) -> None:
        """Root's files, of the pod's group, which may read them: with fsGroup the kubelet adds that to any mode."""
        self._written += 1
        stamped = path / f"..2026_01_01_00_00_00.{self._written}"
        for name, data in files.items():
            file = stamped / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            os.chown(file, 0, self._group)
            file.chmod(mode | 0o440 if self._group else mode)
        stamped.mkdir(exist_ok=True)
        fresh = path / "..data_tmp"
        fresh.symlink_to(stamped.name)
        old = (path / "..data").resolve() if (path / "..data").exists() else None
        fresh.rename(path / "..data")
        for name in {file.split("/", maxsplit=1)[0] for file in files}:
            if not (path / name).is_symlink():
                (path / name).symlink_to(f"..data/{name}")
        for link in path.iterdir():
            if not link.name.startswith("..") and not link.exists():
                link.unlink()
        for folder in (path, stamped):
            os.chown(folder, 0, self._group)
            folder.chmod(0o2775)
        if old is not None:
            shutil.rmtree(old)

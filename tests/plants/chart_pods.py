"""Planted bugs in the chart: what its pods may do, and what its objects point at."""

from tests.plants.plant import Plant

RENDERS = "tests/helm/test_renders.py::"
TEMPLATES = "helm/extproc/templates/"

PLANTS = (
    Plant(
        "chart: containers may write to their root",
        TEMPLATES + "_pod.tpl",
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        RENDERS + "test_pods_are_hardened[read-only root]",
    ),
    Plant(
        "chart: containers may gain privileges",
        TEMPLATES + "_pod.tpl",
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: true",
        RENDERS + "test_pods_are_restricted[Privilege Escalation]",
    ),
    Plant(
        "chart: pods get a token of the API server",
        TEMPLATES + "_pod.tpl",
        "automountServiceAccountToken: false",
        "automountServiceAccountToken: true",
        RENDERS + "test_pods_are_hardened[no token of the API server]",
    ),
    Plant(
        "chart: other people's Services name our variables",
        TEMPLATES + "_pod.tpl",
        "enableServiceLinks: false",
        "enableServiceLinks: true",
        RENDERS + "test_pods_are_hardened[no service links]",
    ),
    Plant(
        "chart: everybody in the pod reads the secrets",
        TEMPLATES + "_volumes.tpl",
        '    secretName: {{ include "extproc.secretName" (dict "root" $root "purpose" .) }}\n    defaultMode: 0440',
        '    secretName: {{ include "extproc.secretName" (dict "root" $root "purpose" .) }}\n    defaultMode: 0444',
        RENDERS + "test_pods_are_hardened[modes of secrets]",
    ),
    Plant(
        "chart: the scratch folder may fill the node",
        TEMPLATES + "_volumes.tpl",
        "  emptyDir:\n    sizeLimit: 128Mi",
        "  emptyDir: {}",
        RENDERS + "test_pods_are_hardened[bounded scratch]",
    ),
    Plant(
        "chart: the Service leads to a port that no pod has",
        TEMPLATES + "gateway/service.yaml",
        'targetPort: {{ $tls | ternary "https" "http" }}',
        'targetPort: {{ $tls | ternary "http" "https" }}',
        RENDERS + "test_the_objects_mean_each_other[gateway]",
    ),
    Plant(
        "chart: a field that no cluster knows",
        TEMPLATES + "gateway/service.yaml",
        "      appProtocol:",
        "      applicationProtocol:",
        RENDERS + "test_every_cluster_takes_the_objects[gateway]",
    ),
    Plant(
        "chart: nothing is guarded, and nobody says so",
        TEMPLATES + "_checks.tpl",
        "{{- if not $config.connections -}}",
        "{{- if false -}}",
        RENDERS + "test_a_case_comes_out_as_it_was_reviewed[refused-no-connection]",
    ),
    Plant(
        "chart: Envoy does not quit with the service",
        TEMPLATES + "_config.tpl",
        '"ends_with_service" true',
        '"ends_with_service" false',
        RENDERS + "test_a_case_comes_out_as_it_was_reviewed[gateway]",
    ),
)

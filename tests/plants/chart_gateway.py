"""Planted bugs in the chart: the gateway's pod, its configuration, and the schema of values."""

from tests.plants.plant import Plant

GATEWAY = "tests/helm/test_gateway.py::"
TEMPLATES = "helm/extproc/templates/"

PLANTS = (
    Plant(
        "chart: a model server lets in more than the gateway",
        TEMPLATES + "gateway/network-policy.yaml",
        '        - podSelector:\n            matchLabels: {{- include "extproc.selectorLabels" (dict "root" $ "component" "gateway") | nindent 14 }}\n          namespaceSelector:',
        "        - namespaceSelector:",
        GATEWAY + "test_no_way_around_the_gateway",
    ),
    Plant(
        "chart: a change of the policy starts every pod anew",
        TEMPLATES + "gateway/_pod.tpl",
        '{{ include "extproc.restartChecksum" $root }}',
        '{{ include "extproc.restartChecksum" $root | cat (toJson $root.Values.policy) | sha256sum }}',
        GATEWAY + "test_a_policy_starts_no_pod_anew_and_a_configuration_does",
    ),
    Plant(
        "chart: who reads a policy in the cluster reads escapes",
        TEMPLATES + "_config.tpl",
        "{{- range list 1 2 -}}",
        "{{- range list -}}",
        GATEWAY + "test_expressions_are_readable_in_the_cluster",
    ),
    Plant(
        "chart: Envoy hears of the end before the streams are drained",
        TEMPLATES + "_service.tpl",
        'seconds: {{ add 20 (include "extproc.drainSeconds" $root) }}',
        "seconds: 20",
        GATEWAY + "test_a_pod_has_time_to_end",
    ),
    Plant(
        "chart: Envoy does not end with the service",
        TEMPLATES + "_config.tpl",
        ' "ends_with_service" true)',
        ")",
        GATEWAY + "test_a_pod_has_time_to_end",
    ),
    Plant(
        "chart: a full spool has the pod evicted",
        TEMPLATES + "_service.tpl",
        '{{- if not .claim }}{{ $scratch = add $scratch (include "extproc.mebibytes" (include "extproc.spoolSize" .root)) }}{{ end -}}',
        "",
        GATEWAY + "test_the_spool_has_room_on_its_volume_and_in_its_container",
    ),
    Plant(
        "chart: a tag wins over a digest",
        TEMPLATES + "_names.tpl",
        "{{- if .image.digest -}}",
        "{{- if and .image.digest (not .image.tag) -}}",
        GATEWAY + "test_a_digest_wins_over_a_tag",
    ),
    Plant(
        "chart: the gateway's configuration keeps the console's files",
        TEMPLATES + "_config.tpl",
        '{{- $_ := unset $user "console" -}}',
        "",
        GATEWAY + "test_the_service_takes_every_rendered_configuration",
    ),
    Plant(
        "chart: the listener that clients use may be set twice",
        "helm/extproc/values.schema.json",
        '"the chart sets it, leave it out: secrets.tls gives it a certificate, gateway.service.port the port of clients"',
        '"anything"',
        "tests/helm/test_values.py::test_the_schema_is_that_of_the_comments",
    ),
    Plant(
        "chart: a store on no volume is taken",
        TEMPLATES + "_checks.tpl",
        "{{- if not $mounted -}}",
        "{{- if false -}}",
        "tests/helm/test_renders.py::test_a_case_comes_out_as_it_was_reviewed[refused-store-unmounted]",
    ),
    Plant(
        "chart: a Role for Events may do anything with them",
        TEMPLATES + "events.yaml",
        "verbs: [create]",
        "verbs: ['*']",
        GATEWAY + "test_events_bring_a_token_for_one_container_and_a_right_of_one_verb",
    ),
    Plant(
        "chart: a token of the API server, wanted or not",
        TEMPLATES + "_volumes.tpl",
        '{{- if and .Values.events.enabled (ne .Values.mode "sidecar") }}',
        '{{- if ne .Values.mode "sidecar" }}',
        GATEWAY + "test_events_bring_a_token_for_one_container_and_a_right_of_one_verb",
    ),
    Plant(
        "chart: a model server is named without a scheme",
        TEMPLATES + "_checks.tpl",
        '"^https?://[^/]+$"',
        '"."',
        "tests/helm/test_renders.py::test_a_case_comes_out_as_it_was_reviewed[refused-upstream]",
    ),
    Plant(
        "chart: an ingress to a console that is off is passed over",
        TEMPLATES + "_checks.tpl",
        "(or .Values.console.ingress.enabled .Values.console.httpRoute.enabled)",
        ".Values.console.httpRoute.enabled",
        "tests/helm/test_renders.py::test_a_case_comes_out_as_it_was_reviewed[refused-console-off]",
    ),
    Plant(
        "chart: a monitor of pods that nothing makes is passed over",
        TEMPLATES + "_checks.tpl",
        '{{- if and .Values.monitoring.podMonitor.enabled (ne .Values.mode "sidecar") -}}',
        "{{- if false -}}",
        "tests/helm/test_renders.py::test_a_case_comes_out_as_it_was_reviewed[refused-pod-monitor]",
    ),
)

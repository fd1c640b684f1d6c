"""Planted bugs: what the chart renders in other people's pods and for other people's gateways."""

from tests.plants.plant import Plant

MODES = "tests/helm/test_modes.py::"
REFUSED = "tests/helm/test_modes_refused.py::test_what_cannot_be_is_refused"
SIDECAR = "helm/extproc/templates/_sidecar.tpl"
POD = "helm/extproc/templates/sidecar/_pod.tpl"
ATTACH = "helm/extproc/templates/attach/"

TAKEN_OVER = "tests/helm/test_taken_over.py::"

PLANTS = (
    Plant(
        "chart modes: another model server replaces the pods",
        "helm/extproc/templates/_config.tpl",
        '"connections" "identity" | toJson',
        '"identity" | toJson',
        TAKEN_OVER + "test_model_servers_and_issuers_are_taken_over_by_the_pods_that_run[gateway]",
    ),
    Plant(
        "chart modes: what needs a restart does not replace the pods",
        "helm/extproc/templates/_config.tpl",
        '"connections" "identity" | toJson',
        '"connections" "identity" "limits" | toJson',
        TAKEN_OVER + "test_any_other_change_replaces_the_pods[sidecar-vllm]",
    ),
    Plant(
        "chart modes: the sidecars are ordinary init containers",
        SIDECAR,
        '{{ $_ := set $container "restartPolicy" "Always" }}',
        "",
        MODES + "test_they_start_in_order_and_stay",
    ),
    Plant(
        "chart modes: Envoy starts before the service",
        SIDECAR,
        "list $bootstrap $service $envoy | toYaml",
        "list $bootstrap $envoy $service | toYaml",
        MODES + "test_they_start_in_order_and_stay",
    ),
    Plant(
        "chart modes: the model server ends while streams live",
        SIDECAR,
        'add 10 (include "extproc.drainSeconds" .)',
        "5",
        MODES + "test_streams_have_the_time_to_end",
    ),
    Plant(
        "chart modes: the kubelet asks the model server itself",
        SIDECAR,
        "readinessProbe:\n  httpGet: {path: /model/{{ .connection }}/health, port: 9902}",
        "readinessProbe:\n  httpGet: {path: /health, port: 8000}",
        MODES + "test_the_model_server_is_on_loopback_and_asked_through_envoy",
    ),
    Plant(
        "chart modes: a model server on every address",
        POD,
        '{{- if regexMatch "(^|[^0-9.])0[.]0[.]0[.]0|\\\\[::\\\\]" (toJson $container) -}}',
        "{{- if false -}}",
        REFUSED,
    ),
    Plant(
        "chart modes: an upstream beyond the pod",
        POD,
        '(regexMatch "^http://(127[.]0[.]0[.]1|localhost|\\\\[::1\\\\])(:[0-9]+)?/?$" .upstream)',
        '(regexMatch "^http://" .upstream)',
        REFUSED,
    ),
    Plant(
        "chart modes: the node's loopback is taken for the pod's",
        POD,
        "{{- if $pod.hostNetwork -}}",
        "{{- if false -}}",
        REFUSED,
    ),
    Plant(
        "chart modes: a hold that the gateway cuts",
        ATTACH + "_attach.tpl",
        "{{- if le $idle (add $hold $margin) -}}",
        "{{- if le $idle 60 -}}",
        REFUSED,
    ),
    Plant(
        "chart modes: a route to a model server without the service's choice",
        ATTACH + "envoy-gateway.yaml",
        "          headers:\n            - name: x-extproc-connection\n              value: {{ $connection.name }}\n",
        "",
        MODES + "test_every_route_to_a_model_server_demands_the_services_choice",
    ),
    Plant(
        "chart modes: the client says which model server",
        ATTACH + "envoy-gateway.yaml",
        "remove: [x-extproc-connection, x-extproc-gate",
        "remove: [x-extproc-gate",
        MODES + "test_every_route_to_a_model_server_demands_the_services_choice",
    ),
    Plant(
        "chart modes: an unread answer passes where the service fails",
        ATTACH + "envoy-gateway.yaml",
        "failOpen: false",
        "failOpen: true",
        MODES + "test_the_service_is_told_what_our_own_envoy_tells_it",
    ),
    Plant(
        "chart modes: the request lock stands before the service",
        ATTACH + "istio.yaml",
        "          name: extproc.request-lock",
        "          name: extproc.request-look",
        MODES + "test_istios_filters_stand_in_the_order_of_the_locks",
    ),
    Plant(
        "chart modes: a lock that is off goes without saying",
        ATTACH + "_attach.tpl",
        '{{- if and (not $attach.responseLock) (not (has "response-lock" $attach.accept)) -}}',
        "{{- if false -}}",
        REFUSED,
    ),
    Plant(
        "chart modes: the response lock here is another one",
        "helm/extproc/files/response-lock.lua",
        '  headers:replace(":status", "502")\n',
        "",
        MODES + "test_the_response_lock_withholds_as_our_own_does",
    ),
    Plant(
        "chart modes: everybody may call the model servers",
        ATTACH + "network-policy.yaml",
        "{{- if not (or .namespaceSelector .ipBlock) }}",
        "{{- if false }}",
        REFUSED,
    ),
)

{{/* The two containers for somebody else's pod, as native sidecars (initContainers with `restartPolicy: Always`), and what goes
     with them. A chart that has this one as a dependency includes each with `.Subcharts.extproc`:

       initContainers: {{- include "extproc.sidecar.initContainers" .Subcharts.extproc | nindent 8 }}

     The kubelet runs every preStop hook when it begins to end a pod; SIGTERM goes to the model server when its hook is over,
     then to Envoy, then to extproc. So the hooks say: extproc drains (held clients get their tickets, streams end), the model
     server goes on until that is done. */}}

{{/* bootstrap, extproc, envoy, in the order in which they start. */}}
{{- define "extproc.sidecar.initContainers" -}}
{{- $sidecar := .Values.sidecar -}}
{{- $bootstrap := include "extproc.bootstrapContainer" (dict "root" . "extraEnv" $sidecar.extraEnv) | fromYaml -}}
{{- $hook := dict "exec" (dict "command" (list "extproc" "drain" "--after" "5s")) -}}
{{- $service := include "extproc.serviceContainer" (dict "root" . "resources" $sidecar.resources "extraEnv" $sidecar.extraEnv "preStop" $hook) | fromYaml -}}
{{- $envoy := include "extproc.envoyContainer" (dict "root" . "resources" $sidecar.envoyResources) | fromYaml -}}
{{- $_ := unset $envoy "lifecycle" -}}
{{- range $container := list $bootstrap $service $envoy -}}
{{- if ne $container.name "extproc" }}{{ $_ := set $container "name" (printf "extproc-%s" $container.name) }}{{ end -}}
{{- if ne $container.name "extproc-bootstrap" }}{{ $_ := set $container "restartPolicy" "Always" }}{{ end -}}
{{- range $container.volumeMounts }}{{ $_ := set . "name" (printf "extproc-%s" .name) }}{{ end -}}
{{- end -}}
{{- list $bootstrap $service $envoy | toYaml -}}
{{- end }}

{{/* The volumes of these containers. Their names begin with `extproc-`, so that they meet none of the pod's. */}}
{{- define "extproc.sidecar.volumes" -}}
{{- $volumes := include "extproc.volumes" (dict "root" . "parts" (include "extproc.serviceParts" . | splitList ",")) | fromYamlArray -}}
{{- range $volumes }}{{ $_ := set . "name" (printf "extproc-%s" .name) }}{{ end -}}
{{- toYaml $volumes -}}
{{- end }}

{{/* For the pod's securityContext: the group that may read the Secrets. Who the model server runs as stays its own affair. */}}
{{- define "extproc.sidecar.podSecurityContext" -}}
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}

{{/* Annotations of the pod: it is replaced when what changes in its configuration needs that. */}}
{{- define "extproc.sidecar.annotations" -}}
checksum/extproc-config: {{ include "extproc.restartChecksum" . }}
{{- end }}

{{/* Seconds for which the model server goes on after the pod is told to end: 5 until nobody sends anything new, `drain`, and
     what is left to be recorded. */}}
{{- define "extproc.sidecar.modelSeconds" -}}
{{- add 10 (include "extproc.drainSeconds" .) -}}
{{- end }}

{{/* `lifecycle` of the model server's container. */}}
{{- define "extproc.sidecar.modelLifecycle" -}}
preStop:
  sleep:
    seconds: {{ include "extproc.sidecar.modelSeconds" . }}
{{- end }}

{{/* What the pod needs at least: the model server has 30 s to end, then Envoy and extproc. */}}
{{- define "extproc.sidecar.gracePeriod" -}}
{{- add 50 (include "extproc.sidecar.modelSeconds" .) -}}
{{- end }}

{{/* Probes of the model server's container. The kubelet asks at the pod's address, where a model server on loopback does not
     answer: Envoy's status listener asks it. (dict "root" $ "connection" "chat") */}}
{{- define "extproc.sidecar.modelProbes" -}}
startupProbe:
  httpGet: {path: /model/{{ .connection }}/health, port: 9902}
  periodSeconds: 10
  timeoutSeconds: 5
  # Half an hour to load the model.
  failureThreshold: 180
readinessProbe:
  httpGet: {path: /model/{{ .connection }}/health, port: 9902}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
# Slower than Envoy's own, which is restarted first where it is to blame.
livenessProbe:
  httpGet: {path: /model/{{ .connection }}/health, port: 9902}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

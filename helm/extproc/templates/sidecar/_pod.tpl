{{/* What would let somebody pass by, or end badly, in a pod that is given in values. */}}
{{- define "extproc.sidecar.checks" -}}
{{- include "extproc.checks" . -}}
{{- range .Values.config.connections -}}
{{- if not (regexMatch "^http://(127[.]0[.]0[.]1|localhost|\\[::1\\])(:[0-9]+)?/?$" .upstream) -}}
{{- fail (printf "sidecar: the upstream of connection %s must be on loopback (http://127.0.0.1:PORT): the model server is in the same pod, and where others reach it they pass by. A model server elsewhere needs mode gateway." .name) -}}
{{- end -}}
{{- end -}}
{{- $pod := .Values.sidecar.pod -}}
{{- if .Values.sidecar.kind -}}
{{- if not $pod.containers -}}
{{- fail "sidecar: sidecar.pod.containers is the pod of the model server, its container first. Leave sidecar.kind empty where your own chart includes the containers." -}}
{{- end -}}
{{- if $pod.hostNetwork -}}
{{- fail "sidecar: with hostNetwork the loopback of the pod is that of the node: every pod there that has it too passes by." -}}
{{- end -}}
{{- if $pod.shareProcessNamespace -}}
{{- fail "sidecar: with shareProcessNamespace the model server sees the processes of extproc and Envoy, and what is open in them." -}}
{{- end -}}
{{- range $container := $pod.containers -}}
{{- if regexMatch "(^|[^0-9.])0[.]0[.]0[.]0|\\[::\\]" (toJson $container) -}}
{{- fail (printf "sidecar: container %s speaks of 0.0.0.0: a model server that listens on every address is reached past Envoy. Bind it to 127.0.0.1." $container.name) -}}
{{- end -}}
{{- range $container.ports -}}
{{- fail (printf "sidecar: container %s announces port %v: clients come to Envoy's port, and a model server on loopback has none." $container.name .containerPort) -}}
{{- end -}}
{{- end -}}
{{- if not (dig "probe" "health" "" (first .Values.config.connections)) -}}
{{- if not (hasKey (first $pod.containers) "readinessProbe") -}}
{{- fail "sidecar: config.connections[0].probe.health is the path at which the model server says that it is ready, such as /health: without it nobody knows when it has loaded." -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The pod's specification: what `sidecar.pod` says, and over it the sidecars. */}}
{{- define "extproc.sidecar.podSpec" -}}
{{- $spec := deepCopy .Values.sidecar.pod -}}
{{- $model := first $spec.containers -}}
{{- if not (hasKey $model "lifecycle") }}{{ $_ := set $model "lifecycle" (include "extproc.sidecar.modelLifecycle" . | fromYaml) }}{{ end -}}
{{- $connection := first .Values.config.connections -}}
{{- if dig "probe" "health" "" $connection -}}
{{- $probes := include "extproc.sidecar.modelProbes" (dict "root" . "connection" $connection.name) | fromYaml -}}
{{- range $name, $probe := $probes }}{{ if not (hasKey $model $name) }}{{ $_ := set $model $name $probe }}{{ end }}{{ end -}}
{{- end -}}
{{- $context := $spec.securityContext | default dict -}}
{{- $_ := set $spec "securityContext" (merge $context (include "extproc.sidecar.podSecurityContext" . | fromYaml)) -}}
{{- $_ := set $spec "initContainers" (concat ($spec.initContainers | default list) (include "extproc.sidecar.initContainers" . | fromYamlArray)) -}}
{{- $_ := set $spec "volumes" (concat ($spec.volumes | default list) (include "extproc.sidecar.volumes" . | fromYamlArray)) -}}
{{- if not (hasKey $spec "serviceAccountName") }}{{ $_ := set $spec "serviceAccountName" (include "extproc.serviceAccountName" .) }}{{ end -}}
{{- if not (hasKey $spec "automountServiceAccountToken") }}{{ $_ := set $spec "automountServiceAccountToken" false }}{{ end -}}
{{- if not (hasKey $spec "enableServiceLinks") }}{{ $_ := set $spec "enableServiceLinks" false }}{{ end -}}
{{- if not (hasKey $spec "imagePullSecrets") }}{{ with .Values.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end }}{{ end -}}
{{- $least := include "extproc.sidecar.gracePeriod" . | int -}}
{{- $grace := $spec.terminationGracePeriodSeconds | default 0 | int -}}
{{- if and $grace (lt $grace $least) -}}
{{- fail (printf "sidecar: sidecar.pod.terminationGracePeriodSeconds (%d) is less than the %d s in which streams end and records are stored; leave it out, or lower config.drain." $grace $least) -}}
{{- end -}}
{{- $_ := set $spec "terminationGracePeriodSeconds" (max $grace $least) -}}
{{- toYaml $spec -}}
{{- end }}

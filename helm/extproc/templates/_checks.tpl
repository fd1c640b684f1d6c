{{/* What no schema can say: what is missing, and what must fit together. Each message says what to do. */}}
{{- define "extproc.checks" -}}
{{- $config := .Values.config -}}
{{- if not $config.connections -}}
{{- fail "config.connections names no model server: nothing would be guarded. Write `config: {connections: [{name: chat, upstream: http://SERVICE.NAMESPACE.svc:PORT}]}`." -}}
{{- end -}}
{{- if not (dig "identity" "issuers" list $config) -}}
{{- fail "config.identity.issuers names nobody who vouches for callers: every request would be refused. Write who issues your tokens; extproc/core/IDENTITY.md shows the usual providers." -}}
{{- end -}}
{{- if not (dig "audit" "store" dict $config) -}}
{{- fail "config.audit.store is missing: records would end with the pod. Write `config: {audit: {store: {s3: {bucket: NAME, region: REGION}}}}`, a bucket with Object Lock." -}}
{{- end -}}
{{- $missing := list -}}
{{- range $purpose, $what := dict "digestKey" "digest.key, 32 random bytes: head -c 32 /dev/urandom" "database" "url, a line `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`" "auditKeys" "the files that `extproc audit make-keys` makes" -}}
{{- if not (get $.Values.secrets $purpose).existingSecret -}}
{{- $missing = append $missing (printf "secrets.%s.existingSecret (%s)" $purpose $what) -}}
{{- end -}}
{{- end -}}
{{- if $missing -}}
{{- fail (printf "no Secret is named in %s. The chart makes no keys: helm would keep them in its release. README.md says how to create each." (join ", " $missing)) -}}
{{- end -}}
{{- with dig "audit" "store" "directory" "" $config -}}
{{- $mounted := false -}}
{{- $directory := . -}}
{{- range (get $.Values (eq $.Values.mode "sidecar" | ternary "sidecar" "gateway")).extraVolumeMounts -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $directory) }}{{ $mounted = true }}{{ end -}}
{{- end -}}
{{- if not $mounted -}}
{{- fail (printf "config.audit.store.directory (%s) is on no volume: the pods' root is read-only. Name a volume that all pods share in extraVolumes and extraVolumeMounts, or a bucket in config.audit.store.s3." $directory) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.mode "gateway") .Values.networkPolicy.enabled (not .Values.networkPolicy.models) -}}
{{- fail "networkPolicy.models names no model server: the gateway could not reach it, and everybody else could, past the gateway. Write `networkPolicy: {models: [{namespace: NAMESPACE, podSelector: {matchLabels: {app: NAME}}, port: PORT}]}`, or `ipBlock` for one outside of the cluster; or close the way around by other means and say networkPolicy.enabled: false." -}}
{{- end -}}
{{- $least := include "extproc.gracePeriod" . | int -}}
{{- $grace := .Values.gateway.terminationGracePeriodSeconds | int -}}
{{- if and (ne .Values.mode "sidecar") $grace (lt $grace $least) -}}
{{- fail (printf "gateway.terminationGracePeriodSeconds (%d) is less than the %d s in which streams end and records are stored; leave it out, or lower config.drain." $grace $least) -}}
{{- end -}}
{{- range $config.connections -}}
{{- if not (regexMatch "^https?://[^/]+$" (.upstream | default "" | toString)) -}}
{{- fail (printf "config.connections: the upstream of %s (%v) is no address of a server. Write `http://HOST:PORT`, without a path: `path_prefix` is for that." .name .upstream) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.console.enabled) (or .Values.console.ingress.enabled .Values.console.httpRoute.enabled) -}}
{{- fail "console.ingress and console.httpRoute lead to the console, which is off. Say console.enabled: true as well, or leave them out." -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled (ne .Values.mode "sidecar") -}}
{{- fail (printf "monitoring.podMonitor is for mode: sidecar, whose pods stand behind no Service of ours. For mode: %s say monitoring.serviceMonitor.enabled: true." .Values.mode) -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") .Values.events.enabled -}}
{{- fail "events.enabled is not for mode: sidecar: the pod's ServiceAccount is yours. Give it the right to create Events and mount its token, and say events.enabled: false here." -}}
{{- end -}}
{{- $autoscaling := .Values.gateway.autoscaling -}}
{{- if and $autoscaling.enabled (lt (int $autoscaling.maxReplicas) (int $autoscaling.minReplicas)) -}}
{{- fail (printf "gateway.autoscaling.maxReplicas (%d) is less than minReplicas (%d). Raise the first." (int $autoscaling.maxReplicas) (int $autoscaling.minReplicas)) -}}
{{- end -}}
{{- end }}

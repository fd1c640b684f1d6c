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
{{- end }}

{{/* The console: what it is called, what it may not be combined with, and its part of config.yaml. */}}

{{- define "extproc.console.name" -}}
{{- printf "%s-console" (include "extproc.fullname" .) -}}
{{- end }}

{{- define "extproc.console.serviceAccountName" -}}
{{- $account := .Values.console.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (include "extproc.console.name" .) -}}
{{- else -}}
{{- required "console.serviceAccount.name: with console.serviceAccount.create false the name of an existing ServiceAccount is needed." $account.name -}}
{{- end -}}
{{- end }}

{{/* Of its certificate: yours, or the one that cert-manager keeps. */}}
{{- define "extproc.console.tlsSecret" -}}
{{- $name := .Values.secrets.consoleTls.existingSecret -}}
{{- if and (not $name) .Values.certManager.enabled -}}
{{- $name = printf "%s-tls" (include "extproc.console.name" .) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* Where people reach it. */}}
{{- define "extproc.console.url" -}}
{{- .Values.config.console | default dict | dig "url" "" | default (printf "https://%s" .Values.console.host) -}}
{{- end }}

{{/* What cannot work is said here, with what to do, and not by a pod that does not start. */}}
{{- define "extproc.console.checks" -}}
{{- $console := .Values.console -}}
{{- $settings := .Values.config.console | default dict -}}
{{- if not (or $console.host $settings.url) -}}
{{- fail "console.host: give the name that people reach the console by, such as console.example.org." -}}
{{- end -}}
{{- if not (or $settings.oidc $settings.saml) -}}
{{- fail "config.console: nobody could log in: give `oidc: {issuer, client_id}` or `saml: {metadata}` (extproc/console/README.md)." -}}
{{- end -}}
{{- if not (dig "audit" "store" "s3" "" .Values.config) -}}
{{- fail "console.enabled: the console reads the audit store of the gateways, and a directory is for one pod: give config.audit.store.s3." -}}
{{- end -}}
{{- if not (include "extproc.console.tlsSecret" .) -}}
{{- fail "console.enabled: the console is reached from other machines, and is served by TLS only: name a kubernetes.io/tls Secret in secrets.consoleTls.existingSecret, or set certManager.enabled." -}}
{{- end -}}
{{- $persistence := $console.keys.persistence -}}
{{- if not (or .Values.secrets.consoleKeys.existingSecret $persistence.enabled) -}}
{{- fail "console.enabled: the console needs keys that outlive its pods: put 32 random bytes as session.key into a Secret and name it in secrets.consoleKeys.existingSecret, or set console.keys.persistence.enabled." -}}
{{- end -}}
{{- if and $settings.token (not $persistence.enabled) -}}
{{- fail "config.console.token: the keys that sign tokens are replaced while the console runs, which a Secret cannot be: set console.keys.persistence.enabled." -}}
{{- end -}}
{{- if and $persistence.enabled (gt (int $console.replicas) 1) (not (has "ReadWriteMany" $persistence.accessModes)) -}}
{{- fail "console.replicas: all replicas need the same keys: with more than one, console.keys.persistence.accessModes must be [ReadWriteMany], or the keys come from secrets.consoleKeys.existingSecret." -}}
{{- end -}}
{{- if and $console.ingress.enabled $console.httpRoute.enabled (not $console.ingress.besideHttpRoute) -}}
{{- fail "console.ingress and console.httpRoute are two ways to one console: enable one, or set console.ingress.besideHttpRoute while you move from the one to the other." -}}
{{- end -}}
{{- if and $console.httpRoute.enabled (not $console.httpRoute.parentRefs) -}}
{{- fail "console.httpRoute.parentRefs: name the Gateway that the route belongs to." -}}
{{- end -}}
{{- if and $console.httpRoute.enabled $console.httpRoute.backendTls.enabled (not $console.httpRoute.backendTls.caConfigMap) -}}
{{- fail "console.httpRoute.backendTls.caConfigMap: the gateway speaks TLS to the console and must know its authority: name a ConfigMap with ca.crt, or set console.httpRoute.backendTls.enabled to false where your gateway is told otherwise." -}}
{{- end -}}
{{- end }}

{{/* What the chart sets in `config.console`. */}}
{{- define "extproc.consoleConfig" -}}
url: {{ include "extproc.console.url" . }}
address: 0.0.0.0
port: 8090
grpc_port: 8091
metrics_port: 9469
keys: /etc/extproc/secrets/console-keys
tls:
  certificate: /etc/extproc/secrets/console-tls/tls.crt
  key: /etc/extproc/secrets/console-tls/tls.key
{{- end }}

{{/* What the console mounts of the Secrets that are named. */}}
{{- define "extproc.console.parts" -}}
config,policy,run,tmp,digestKey,auditKeys,maskKeys,issuers,database,telemetry,console
{{- end }}

{{/* As large as the spool of config.audit gets, and a quarter more. */}}
{{- define "extproc.console.spoolSize" -}}
{{- $most := include "extproc.mebibytes" (dig "audit" "max_spool" "1GiB" .Values.config) | int64 -}}
{{- $size := .Values.console.spool.size -}}
{{- if not $size -}}
{{- printf "%dMi" (div (mul $most 5) 4) -}}
{{- else if lt (include "extproc.mebibytes" $size | int64) (div (mul $most 9) 8) -}}
{{- fail (printf "console.spool.size (%s) must be an eighth more than config.audit.max_spool (%dMi): the kubelet would evict the pod before the console refuses to record. Raise the first, lower the second, or leave console.spool.size empty." $size $most) -}}
{{- else -}}
{{- $size -}}
{{- end -}}
{{- end }}

{{/* The spool counts against the container's ephemeral storage. */}}
{{- define "extproc.console.resources" -}}
{{- $resources := deepCopy .Values.console.resources -}}
{{- $scratch := add 256 (include "extproc.mebibytes" (include "extproc.console.spoolSize" .)) -}}
{{- range list "requests" "limits" -}}
{{- $_ := set $resources . (merge (dict) (get $resources . | default dict) (dict "ephemeral-storage" (printf "%dMi" $scratch))) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

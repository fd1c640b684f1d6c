{{/* config.yaml: what the user wrote under `config`, and over it what the pods are made like. */}}

{{/* Worker processes of the data plane: those of the mode. */}}
{{- define "extproc.workers" -}}
{{- (get .Values .Values.mode | default dict).workers | default .Values.gateway.workers -}}
{{- end }}

{{- define "extproc.drainSeconds" -}}
{{- include "extproc.seconds" (.Values.config.drain | default "30s") -}}
{{- end }}

{{/* (dict "root" $ "component" "gateway") The data plane has no console and tells nobody: its configuration needs no file of
     theirs. The console has no listener and no model server's key. */}}
{{- define "extproc.config" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $component := .component | default "gateway" -}}
{{- $user := deepCopy $values.config -}}
{{- $tls := include "extproc.secretName" (dict "root" $root "purpose" "tls") -}}
{{- $own := dict
    "apiVersion" "extproc/v1"
    "kind" "Config"
    "deployment" ($user.deployment | default (include "extproc.fullname" $root))
    "run_directory" "/run/extproc"
    "workers" (include "extproc.workers" $root | int)
    "policy" "/etc/extproc/policy/policy.yaml"
    "digest_key" "/etc/extproc/secrets/digest-key/digest.key"
    "health" (dict "address" "0.0.0.0" "port" 9465)
    "listener" (dict "address" "0.0.0.0" "port" (include "extproc.listenerPort" $root | int))
    "envoy" (dict "status_address" "0.0.0.0" "status_port" 9902 "ends_with_service" true)
    "approvals" (dict "database_file" "/etc/extproc/secrets/database/url" "migrate" ($values.migrations.enabled | ternary "manual" "automatic"))
    "audit" (dict "spool" "/var/lib/extproc/spool" "keys" "/etc/extproc/secrets/audit-keys")
    "telemetry" (dict "metrics_address" "0.0.0.0" "metrics_port" 9470 "supervisor_metrics_port" 9466)
-}}
{{- if $tls -}}
{{- $files := dict "certificate" "/etc/extproc/secrets/tls/tls.crt" "key" "/etc/extproc/secrets/tls/tls.key" -}}
{{- with $values.secrets.tls.clientAuthority }}{{ $_ := set $files "client_ca" (printf "/etc/extproc/secrets/tls/%s" .) }}{{ end -}}
{{- $_ := set $own.listener "tls" $files -}}
{{- end -}}
{{- if and $values.console.enabled (not (dig "approvals" "url" "" $user)) -}}
{{- $_ := set $own.approvals "url" (printf "%s/approvals/{id}" (include "extproc.console.url" $root)) -}}
{{- end -}}
{{- if eq $component "console" -}}
{{- $_ := unset $own.listener "tls" -}}
{{- range $user.connections }}{{ $_ := unset . "credential_file" }}{{ $_ := unset . "credential_header" }}{{ end -}}
{{- $_ := set $own "console" (include "extproc.consoleConfig" $root | fromYaml) -}}
{{- else -}}
{{- $_ := unset $user "console" -}}
{{- if eq $values.mode "attach" -}}
{{- $_ := unset $own.listener "tls" -}}
{{- $_ := set $own.listener "address" "127.0.0.1" -}}
{{- /* There is no Envoy in its pods. */ -}}
{{- $_ := unset $own "envoy" -}}
{{- $_ := set $own "ext_proc" (include "extproc.attach.config" $root | fromJson) -}}
{{- end -}}
{{- $_ := unset ($user.approvals | default dict) "notify" -}}
{{- end -}}
{{- include "extproc.document" (mergeOverwrite $user $own) -}}
{{- end }}

{{/* Of what the service takes over after a restart only: pods are replaced when it changes. Model servers and issuers are
     taken over while it serves. */}}
{{- define "extproc.restartChecksum" -}}
{{- omit (include "extproc.config" (dict "root" . "component" "gateway") | fromJson) "connections" "identity" | toJson | sha256sum -}}
{{- end }}

{{/* A document as our readers take it. JSON is YAML, and leaves no doubt about what is text: helm's writer and our reader need
     not agree on dates and numbers. Its escapes of `<`, `>` and `&` are taken back where people read them, twice for two in a
     row. */}}
{{- define "extproc.document" -}}
{{- $text := toPrettyJson . -}}
{{- range list 1 2 -}}
{{- range $code, $sign := dict "003c" "<" "003e" ">" "0026" "&" -}}
{{- $text = regexReplaceAll (printf `([^\\](?:\\\\)*)\\u%s` $code) $text (printf "${1}%s" $sign) -}}
{{- end -}}
{{- end -}}
{{- $text -}}
{{- end }}

{{- define "extproc.listenerPort" -}}
{{- empty (include "extproc.secretName" (dict "root" . "purpose" "tls")) | ternary 8080 8443 -}}
{{- end }}

{{/* The anchor: a witness under an identity of its own. It holds no key of the gateway but a public one. */}}

{{- define "extproc.anchor.name" -}}
{{- printf "%s-anchor" (include "extproc.fullname" .) -}}
{{- end }}

{{- define "extproc.anchor.serviceAccountName" -}}
{{- $account := .Values.anchor.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (include "extproc.anchor.name" .) -}}
{{- else -}}
{{- required "anchor.serviceAccount.name: with anchor.serviceAccount.create false the name of an existing ServiceAccount is needed." $account.name -}}
{{- end -}}
{{- end }}

{{- define "extproc.anchor.checks" -}}
{{- $anchor := .Values.anchor -}}
{{- if not $anchor.name -}}
{{- fail "anchor.name: give the name in the anchor's signatures, a URL without its scheme that stays, such as anchor.example.org/prod." -}}
{{- end -}}
{{- if not .Values.secrets.anchor.existingSecret -}}
{{- fail "anchor.enabled: put 32 random bytes as anchor.key into a Secret and name it in secrets.anchor.existingSecret; none of the gateway's Secrets." -}}
{{- end -}}
{{- $public := $anchor.publicKey -}}
{{- $given := list -}}
{{- range list $public.pem $public.existingConfigMap $public.existingSecret }}{{ with . }}{{ $given = append $given . }}{{ end }}{{ end -}}
{{- if ne (len $given) 1 -}}
{{- fail "anchor.publicKey: give one of pem, existingConfigMap and existingSecret: the gateway's deployment.pub." -}}
{{- end -}}
{{- if and $public.existingSecret (eq $public.existingSecret .Values.secrets.auditKeys.existingSecret) -}}
{{- fail "anchor.publicKey.existingSecret is the Secret of the gateway's private keys: whoever can sign must not be the witness. Put deployment.pub alone into a ConfigMap or another Secret." -}}
{{- end -}}
{{- if eq .Values.secrets.anchor.existingSecret .Values.secrets.auditKeys.existingSecret -}}
{{- fail "secrets.anchor.existingSecret is the Secret of the gateway's private keys: the anchor has a key of its own." -}}
{{- end -}}
{{- if and $anchor.serviceAccount.create (eq (include "extproc.anchor.serviceAccountName" .) (include "extproc.serviceAccountName" .)) -}}
{{- fail "anchor.serviceAccount.name is that of the gateway: the anchor is a witness only under an identity of its own." -}}
{{- end -}}
{{- if not (dig "audit" "store" "s3" "" .Values.config) -}}
{{- fail "anchor.enabled: the anchor reads the audit store, and a directory is for one pod: give config.audit.store.s3." -}}
{{- end -}}
{{- end }}

{{- define "extproc.anchor.config" -}}
{{- $anchor := .Values.anchor -}}
{{- $s3 := pick (deepCopy .Values.config.audit.store.s3) "bucket" "prefix" "endpoint_url" "region" -}}
{{- $file := dict "apiVersion" "extproc/v1" "kind" "Anchor" "name" $anchor.name "deployment" .Values.config.deployment -}}
{{- $_ := set $file "public_key" (printf "/etc/extproc/public/%s" $anchor.publicKey.key) -}}
{{- $_ := set $file "store" (dict "s3" $s3) -}}
{{- $_ := set $file "key" "/etc/extproc/secrets/anchor/anchor.key" -}}
{{- $_ := set $file "memory" "/var/lib/extproc/anchor" -}}
{{- if $anchor.copies.bucket -}}
{{- $bucket := dict -}}
{{- range $key, $value := omit $anchor.copies "endpointUrl" }}{{ if $value }}{{ $_ := set $bucket $key $value }}{{ end }}{{ end -}}
{{- with $anchor.copies.endpointUrl }}{{ $_ := set $bucket "endpoint_url" . }}{{ end -}}
{{- $_ := set $file "copies" (dict "s3" $bucket) -}}
{{- end -}}
{{- with $anchor.retention }}{{ $_ := set $file "retention" . }}{{ end -}}
{{- with $anchor.silence }}{{ $_ := set $file "silence" . }}{{ end -}}
{{- toYaml $file -}}
{{- end }}

{{/* Volumes and where they are mounted: one list of parts for both, so that none is without the other.

     (dict "root" $ "parts" (list "config" "policy" "run" "spool" "tmp" "digestKey" …)). Parts that are purposes of
     `secrets` are left out where no Secret is named. What each component takes, it says itself. */}}

{{/* The Secret of a purpose, or nothing. (dict "root" $ "purpose" "tls") */}}
{{- define "extproc.secretName" -}}
{{- $secret := (get .root.Values.secrets .purpose).existingSecret -}}
{{- if and (not $secret) (eq .purpose "tls") .root.Values.certManager.enabled -}}
{{- $secret = printf "%s-tls" (include "extproc.fullname" .root) -}}
{{- end -}}
{{- $secret -}}
{{- end }}

{{- define "extproc.policyConfigMap" -}}
{{- .Values.policy.existingConfigMap | default (printf "%s-policy" (include "extproc.fullname" .)) -}}
{{- end }}

{{/* What the data plane mounts: `extproc serve`, and before it `extproc envoy config`, which checks every file. */}}
{{- define "extproc.serviceParts" -}}
config,policy,run,spool,tmp,digestKey,auditKeys,maskKeys,credentials,issuers,database,telemetry,tls
{{- end }}

{{/* Of the service alone: the token with which it writes Events. A pod of somebody else's has its own ServiceAccount. */}}
{{- define "extproc.events" -}}
{{- if and .Values.events.enabled (ne .Values.mode "sidecar") }}true{{ end -}}
{{- end }}

{{- define "extproc.envoyParts" -}}
run,tmp,tls
{{- end }}

{{/* `configMap` names another ConfigMap of config.yaml than the data plane's; `claim`: the spool is a claim template. */}}
{{- define "extproc.volumes" -}}
{{- $root := .root -}}
{{- $fullname := include "extproc.fullname" $root -}}
{{- range .parts }}
{{- if eq . "config" }}
- name: config
  configMap:
    name: {{ $.configMap | default (printf "%s-config" $fullname) }}
    defaultMode: 0440
{{- else if eq . "policy" }}
- name: policy
  configMap:
    name: {{ include "extproc.policyConfigMap" $root }}
    defaultMode: 0440
{{- else if eq . "run" }}
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- else if eq . "tmp" }}
- name: tmp
  emptyDir:
    sizeLimit: 128Mi
{{- else if eq . "spool" }}
{{- if not $.claim }}
- name: spool
  emptyDir:
    sizeLimit: {{ include "extproc.spoolSize" $root }}
{{- end }}
{{- else if eq . "api" }}
{{- if include "extproc.events" $root }}
- name: api
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}
{{- else if include "extproc.secretName" (dict "root" $root "purpose" .) }}
{{- $part := . }}
{{- $secret := get $root.Values.secrets . }}
- name: {{ kebabcase . }}
  secret:
    secretName: {{ include "extproc.secretName" (dict "root" $root "purpose" .) }}
    defaultMode: 0440
    {{- with $secret.key }}
    items:
      - key: {{ . }}
        path: {{ eq $part "digestKey" | ternary "digest.key" "url" }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "extproc.mounts" -}}
{{- $root := .root -}}
{{- range .parts }}
{{- if has . (list "config" "policy") }}
- name: {{ . }}
  mountPath: /etc/extproc/{{ . }}
  readOnly: true
{{- else if eq . "run" }}
- name: run
  mountPath: /run/extproc
{{- else if eq . "tmp" }}
- name: tmp
  mountPath: /tmp
{{- else if eq . "spool" }}
- name: spool
  mountPath: /var/lib/extproc/spool
{{- else if eq . "api" }}
{{- if include "extproc.events" $root }}
- name: api
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
{{- else if include "extproc.secretName" (dict "root" $root "purpose" .) }}
- name: {{ kebabcase . }}
  mountPath: /etc/extproc/secrets/{{ kebabcase . }}
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{/* The largest that the spool gets, and a quarter for what is adopted from a worker that died. */}}
{{- define "extproc.spoolSize" -}}
{{- $most := include "extproc.mebibytes" (dig "audit" "max_spool" "1GiB" .Values.config) | int64 -}}
{{- $size := .Values.gateway.spool.size -}}
{{- if not $size -}}
{{- printf "%dMi" (div (mul $most 5) 4) -}}
{{- else if lt (include "extproc.mebibytes" $size | int64) (div (mul $most 9) 8) -}}
{{- fail (printf "gateway.spool.size (%s) must be an eighth more than config.audit.max_spool (%dMi): the kubelet would evict the pod before the service refuses requests. Raise the first, lower the second, or leave gateway.spool.size empty." $size $most) -}}
{{- else -}}
{{- $size -}}
{{- end -}}
{{- end }}

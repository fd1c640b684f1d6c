{{/* What NetworkPolicies of our pods have in common. */}}

{{/* Who asks pods for metrics. (dict "root" $ "ports" (list 9465 …)) A kubelet that probes is let in by every CNI. */}}
{{- define "extproc.network.monitoring" -}}
{{- with .root.Values.networkPolicy.monitoring -}}
- from: {{- toYaml . | nindent 4 }}
  ports:
    {{- range $.ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
{{- end }}

{{/* Names, and a few of the destinations of `networkPolicy.egress`. (dict "root" $ "names" (list "database") "ports" list) */}}
{{- define "extproc.network.some" -}}
{{- $egress := .root.Values.networkPolicy.egress -}}
- to: {{- toYaml $egress.dns | nindent 4 }}
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- range .names }}
{{- $each := get $egress . }}
# {{ . }}
- ports:
    {{- range concat $each.ports ($.ports | default list) | uniq }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $each.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Names, and what the configuration speaks to by TCP; each of them at named ports alone. */}}
{{- define "extproc.network.egress" -}}
{{- $egress := .Values.networkPolicy.egress -}}
- to: {{- toYaml $egress.dns | nindent 4 }}
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- $names := list "https" "database" "collector" }}
{{- if include "extproc.events" . }}{{ $names = append $names "kubernetes" }}{{ end }}
{{- range $name := $names }}
{{- $each := get $egress $name }}
{{- $ports := $each.ports }}
{{- if eq $name "https" }}{{ $ports = concat $ports (include "extproc.network.ports" $ | fromJsonArray) | uniq }}{{ end }}
{{- if $ports }}
# {{ $name }}
- ports:
    {{- range $ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $each.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- with $egress.extra }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Ports of the addresses in config that are not those of the schemes. A JSON list. */}}
{{- define "extproc.network.ports" -}}
{{- $config := .Values.config -}}
{{- $urls := list (dig "audit" "store" "s3" "endpoint_url" "" $config) (dig "audit" "kms" "endpoint_url" "" $config) (dig "telemetry" "otlp_endpoint" "" $config) -}}
{{- range dig "identity" "issuers" list $config }}{{ $urls = concat $urls (list (.jwks_url | default "") (.discovery | default false | ternary .issuer "")) }}{{ end -}}
{{- $ports := list -}}
{{- range $url := $urls -}}
{{- $port := regexFind ":[0-9]+$" (urlParse $url).host | trimPrefix ":" -}}
{{- if $port }}{{ $ports = append $ports (int $port) }}{{ end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end }}

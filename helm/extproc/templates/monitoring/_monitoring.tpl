{{/* What Prometheus and Grafana are told. */}}

{{/* The label `deployment` of every series, by which rules and dashboards know whose it is. */}}
{{- define "extproc.monitoring.deployment" -}}
{{- .Values.config.deployment | default (include "extproc.fullname" .) -}}
{{- end }}

{{/* Which series are this release's. Sidecars stand in any namespace. */}}
{{- define "extproc.monitoring.where" -}}
{{- if ne .Values.mode "sidecar" }}namespace={{ .Release.Namespace | quote }},{{ end -}}
deployment={{ include "extproc.monitoring.deployment" . | quote }}
{{- end }}

{{/* One endpoint of a ServiceMonitor or PodMonitor. (dict "root" $ "port" "…" "path" "/metrics" "monitor" dict) */}}
{{- define "extproc.monitoring.endpoint" -}}
- port: {{ .port }}
  path: {{ .path }}
  interval: {{ .monitor.interval }}
  scrapeTimeout: {{ .monitor.scrapeTimeout }}
  relabelings:
    - targetLabel: deployment
      replacement: {{ include "extproc.monitoring.deployment" .root | quote }}
    {{- with .monitor.relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .monitor.metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Every port of a pod of the data plane that shows metrics. (dict "root" $ "monitor" dict) */}}
{{- define "extproc.monitoring.endpoints" -}}
{{ include "extproc.monitoring.endpoint" (dict "root" .root "monitor" .monitor "port" "metrics" "path" "/metrics") }}
{{- range until (include "extproc.workers" .root | int) }}
{{ include "extproc.monitoring.endpoint" (dict "root" $.root "monitor" $.monitor "port" (printf "metrics-%d" .) "path" "/metrics") }}
{{- end }}
{{- if ne .root.Values.mode "attach" }}
{{ include "extproc.monitoring.endpoint" (dict "root" .root "monitor" .monitor "port" "status" "path" "/stats/prometheus") }}
{{- end }}
{{- end }}

{{/* A rule file of ours as this release means it: its own series, the objectives and the runbook of the values.
     (dict "root" $ "text" "…") */}}
{{- define "extproc.monitoring.rules" -}}
{{- $fullname := include "extproc.fullname" .root -}}
{{- $namespace := printf "namespace=%q," .root.Release.Namespace -}}
{{- $rule := .root.Values.monitoring.prometheusRule -}}
{{- $text := .text
    | replace "deployment=~\".+\"" (include "extproc.monitoring.where" .root)
    | replace "pod=~\"extproc-.*\"" (printf "%spod=~%q" $namespace (printf "%s-.*" $fullname))
    | replace "job_name=~\"extproc-.*\"" (printf "%sjob_name=~%q" $namespace (printf "%s-.*" $fullname))
    | replace "deployment=~\"extproc\"" (printf "%sdeployment=%q" $namespace $fullname)
    | replace "statefulset=~\"extproc\"" (printf "%sstatefulset=%q" $namespace $fullname)
    | replace "(1 - 0.999)" (printf "(1 - %v)" $rule.objectives.availability)
    | replace "(1 - 0.99)" (printf "(1 - %v)" $rule.objectives.latency)
    | replace "le=\"0.025\"" (printf "le=%q" ($rule.objectives.latencySeconds | toString)) -}}
{{- with $rule.runbookUrl }}{{ $text = $text | replace "RUNBOOK.md" . }}{{ end -}}
{{- $text -}}
{{- end }}

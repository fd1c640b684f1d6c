{{/* The Job that brings the database to this version before anything of this version starts.

     It is a hook, because pods of the old version must still answer while it runs and those of the new one must not start
     before: `helm upgrade --atomic` then fails before it has changed a Deployment, and Argo CD runs it as a PreSync hook.
     A hook runs before the chart's objects are there. So it needs none of them: the command takes the database's URL from
     its Secret and no configuration, and what else the Job needs are hooks of a smaller weight. */}}

{{- define "extproc.migrations.enabled" -}}
{{- if and .Values.migrations.enabled .Values.secrets.database.existingSecret }}true{{ end -}}
{{- end }}

{{- define "extproc.migrations.name" -}}
{{- printf "%s-migrations" (include "extproc.fullname" .) -}}
{{- end }}

{{/* (dict "weight" "-5") */}}
{{- define "extproc.migrations.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

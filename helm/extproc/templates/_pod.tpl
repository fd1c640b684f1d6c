{{/* What all pods of this chart share: who they run as, what they mount, what they are told. */}}

{{- define "extproc.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Core dumps are off without a word here: the service sets RLIMIT_CORE to 0 itself and is not dumpable. */}}
{{- define "extproc.containerSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What a pod's specification begins with. (dict "root" $ "serviceAccountName" "…") */}}
{{- define "extproc.podBasics" -}}
serviceAccountName: {{ .serviceAccountName }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "extproc.podSecurityContext" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where pods go. The argument is a component's values: nodeSelector, tolerations, affinity, priorityClassName. */}}
{{- define "extproc.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* image, imagePullPolicy and securityContext of a container of our own image. */}}
{{- define "extproc.ownImage" -}}
image: {{ include "extproc.image" (dict "root" . "image" .Values.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- include "extproc.containerSecurityContext" . | nindent 2 }}
{{- end }}

{{/* (dict "root" $ "extraEnv" list) */}}
{{- define "extproc.env" -}}
- name: EXTPROC_CONFIG
  value: /etc/extproc/config/config.yaml
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(NODE_NAME)
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

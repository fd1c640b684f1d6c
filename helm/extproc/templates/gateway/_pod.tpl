{{/* The gateway's pod: of a Deployment, or with `claim` of a StatefulSet. (dict "root" $ "claim" false) */}}
{{- define "extproc.gateway.pod" -}}
{{- $root := .root -}}
{{- $gateway := $root.Values.gateway -}}
metadata:
  labels: {{- include "extproc.labels" (dict "root" $root "component" "gateway") | nindent 4 }}
    {{- with $gateway.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Neither of the policy nor of model servers and issuers: they are taken over without a restart.
    checksum/config: {{ include "extproc.restartChecksum" $root }}
    {{- with merge (dict) $gateway.podAnnotations $root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "extproc.podBasics" (dict "root" $root "serviceAccountName" (include "extproc.serviceAccountName" $root)) | nindent 2 }}
  {{- with include "extproc.scheduling" $gateway | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if $gateway.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ $key }}
      maxSkew: {{ $gateway.topologySpread.maxSkew }}
      whenUnsatisfiable: {{ $gateway.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels: {{- include "extproc.selectorLabels" (dict "root" $root "component" "gateway") | nindent 10 }}
      {{- if not $.claim }}
      # Pods of the version before do not count.
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $gateway.terminationGracePeriodSeconds | default (include "extproc.gracePeriod" $root) }}
  {{- /* Behind another gateway the service is alone: no Envoy, and no bootstrap for one. */}}
  {{- if eq $root.Values.mode "gateway" }}
  initContainers:
    - {{ include "extproc.bootstrapContainer" (dict "root" $root "extraEnv" $gateway.extraEnv "extraVolumeMounts" $gateway.extraVolumeMounts) | indent 6 | trim }}
  {{- end }}
  containers:
    - {{ include "extproc.serviceContainer" (dict "root" $root "claim" .claim "resources" $gateway.resources "extraEnv" $gateway.extraEnv "extraVolumeMounts" $gateway.extraVolumeMounts) | indent 6 | trim }}
    {{- if eq $root.Values.mode "gateway" }}
    - {{ include "extproc.envoyContainer" (dict "root" $root "resources" $gateway.envoyResources) | indent 6 | trim }}
    {{- end }}
  volumes:
    {{- include "extproc.volumes" (dict "root" $root "claim" .claim "parts" (append (include "extproc.serviceParts" $root | splitList ",") "api")) | trim | nindent 4 }}
    {{- with $gateway.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* The containers of the data plane: bootstrap, service, Envoy. */}}

{{/* (dict "root" $ "extraEnv" list "extraVolumeMounts" list) Checks every file that config.yaml names, and writes Envoy's configuration. */}}
{{- define "extproc.bootstrapContainer" -}}
name: bootstrap
{{ include "extproc.ownImage" .root }}
command: [extproc]
args: [envoy, config, --output, /run/extproc/envoy.yaml, --unchecked]
env: {{- include "extproc.env" . | nindent 2 }}
volumeMounts: {{- include "extproc.mounts" (dict "root" .root "parts" (include "extproc.serviceParts" .root | splitList ",")) | trim | nindent 2 }}
{{- with .extraVolumeMounts }}
{{- toYaml . | nindent 2 }}
{{- end }}
resources:
  requests: {cpu: 100m, memory: 128Mi, ephemeral-storage: 16Mi}
  limits: {memory: 384Mi, ephemeral-storage: 64Mi}
{{- end }}

{{/* (dict "root" $ "resources" dict "extraEnv" list "extraVolumeMounts" list "preStop" dict) */}}
{{- define "extproc.serviceContainer" -}}
{{- $root := .root -}}
name: extproc
{{ include "extproc.ownImage" $root }}
command: [extproc]
args: [serve]
env: {{- include "extproc.env" . | nindent 2 }}
  {{- if include "extproc.events" $root }}
  - name: POD_UID
    valueFrom:
      fieldRef:
        fieldPath: metadata.uid
  {{- end }}
ports:
  {{- if eq $root.Values.mode "attach" }}
  - name: grpc
    containerPort: 9443
  {{- end }}
  - name: health
    containerPort: 9465
  - name: metrics
    containerPort: 9466
  {{- range until (include "extproc.workers" $root | int) }}
  - name: metrics-{{ . }}
    containerPort: {{ add 9470 . }}
  {{- end }}
startupProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 3
lifecycle:
  preStop: {{- .preStop | default (dict "sleep" (dict "seconds" 5)) | toYaml | nindent 4 }}
resources: {{- include "extproc.serviceResources" . | nindent 2 }}
volumeMounts: {{- include "extproc.mounts" (dict "root" $root "parts" (append (include "extproc.serviceParts" $root | splitList ",") "api")) | trim | nindent 2 }}
{{- with .extraVolumeMounts }}
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The spool is scratch of this container where it is no claim: it counts against its ephemeral storage. */}}
{{- define "extproc.serviceResources" -}}
{{- $resources := deepCopy .resources -}}
{{- $scratch := 256 -}}
{{- if not .claim }}{{ $scratch = add $scratch (include "extproc.mebibytes" (include "extproc.spoolSize" .root)) }}{{ end -}}
{{- range list "requests" "limits" -}}
{{- $part := get $resources . | default dict -}}
{{- if not (hasKey $part "ephemeral-storage") -}}
{{- $_ := set $resources . (merge (dict "ephemeral-storage" (printf "%dMi" $scratch)) $part) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* It is told to quit by the service, once the pod is empty; SIGTERM, at which it would drop its streams, comes after that.
     (dict "root" $ "resources" dict) */}}
{{- define "extproc.envoyContainer" -}}
{{- $root := .root -}}
name: envoy
image: {{ include "extproc.image" (dict "root" $root "image" $root.Values.envoyImage) }}
imagePullPolicy: {{ $root.Values.envoyImage.pullPolicy }}
securityContext: {{- include "extproc.containerSecurityContext" $root | nindent 2 }}
command: [/usr/local/bin/envoy]
args:
  - -c
  - /run/extproc/envoy.yaml
  - --concurrency
  - {{ $root.Values.config.envoy | default dict | dig "concurrency" 1 | toString | quote }}
  - --disable-hot-restart
ports:
  - name: {{ eq (include "extproc.listenerPort" $root) "8443" | ternary "https" "http" }}
    containerPort: {{ include "extproc.listenerPort" $root }}
  - name: status
    containerPort: 9902
startupProbe:
  httpGet: {path: /ready, port: status}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
# The status listener stays open while Envoy drains.
livenessProbe:
  tcpSocket: {port: status}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /ready, port: status}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 3
lifecycle:
  preStop:
    sleep:
      seconds: {{ add 20 (include "extproc.drainSeconds" $root) }}
resources: {{- toYaml .resources | nindent 2 }}
volumeMounts: {{- include "extproc.mounts" (dict "root" $root "parts" (include "extproc.envoyParts" $root | splitList ",")) | trim | nindent 2 }}
{{- end }}

{{/* 5 s until nobody sends anything new, then at most `drain`, then what is to be stored. */}}
{{- define "extproc.gracePeriod" -}}
{{- add 35 (include "extproc.drainSeconds" .) -}}
{{- end }}

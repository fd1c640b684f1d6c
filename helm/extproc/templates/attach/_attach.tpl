{{/* Where the gateway's resources stand: policies must stand beside what they are attached to. */}}
{{- define "extproc.attach.namespace" -}}
{{- .Values.attach.gateway.namespace | default .Release.Namespace -}}
{{- end }}

{{/* The Service that the gateway's Envoy calls. */}}
{{- define "extproc.attach.service" -}}
{{- printf "%s-grpc" (include "extproc.fullname" .) | trunc 63 -}}
{{- end }}

{{/* The name in the service's certificate. */}}
{{- define "extproc.attach.serverName" -}}
{{- .Values.attach.serverName | default (printf "%s.%s.svc" (include "extproc.attach.service" .) .Release.Namespace) -}}
{{- end }}

{{/* The Service of a connection's `upstream`, as `name/namespace/port`: a gateway's routes know Services, no addresses. */}}
{{- define "extproc.attach.backend" -}}
{{- $root := .root -}}
{{- $connection := .connection -}}
{{- $url := urlParse $connection.upstream -}}
{{- $parts := splitList ":" $url.host -}}
{{- $labels := splitList "." (first $parts) -}}
{{- $port := 80 -}}
{{- if gt (len $parts) 1 }}{{ $port = last $parts }}{{ end -}}
{{- $cluster := or (eq (len $labels) 1) (eq (len $labels) 2) (and (ge (len $labels) 3) (eq (index $labels 2) "svc")) -}}
{{- if not (and $cluster (regexMatch "^[a-z]" (first $labels))) -}}
{{- fail (printf "attach: the upstream of connection %s must be a Service, `http://name.namespace.svc:port`: a gateway's routes know nothing else. Set attach.routes.enabled to false to write the routes yourself." $connection.name) -}}
{{- end -}}
{{- $namespace := $root.Release.Namespace -}}
{{- if gt (len $labels) 1 }}{{ $namespace = index $labels 1 }}{{ end -}}
{{ first $labels }}/{{ $namespace }}/{{ $port }}
{{- end }}

{{/* Everything that one of the two controllers cannot do, said before anything is rendered. Each `fail` is one line of
     the table in the README. */}}
{{- define "extproc.attach.checks" -}}
{{- include "extproc.checks" . -}}
{{- $attach := .Values.attach -}}
{{- $istio := eq $attach.controller "istio" -}}
{{- $connections := .Values.config.connections | default list -}}
{{- $hold := include "extproc.seconds" (dig "envoy" "max_hold" "15m" .Values.config) | int64 -}}
{{- $margin := include "extproc.seconds" (dig "limits" "hold_margin" "5s" .Values.config) | int64 -}}
{{- $idle := include "extproc.seconds" $attach.timeouts.streamIdle | int64 -}}
{{- if le $idle (add $hold $margin) -}}
{{- fail (printf "attach: a held client gets 504 from the gateway after attach.timeouts.streamIdle (%s), before the longest hold ends (config.envoy.max_hold and limits.hold_margin: %ds). Raise the first or lower the second." $attach.timeouts.streamIdle (add $hold $margin)) -}}
{{- end -}}
{{- if and (not $attach.routes.enabled) (gt (len $connections) 1) -}}
{{- fail "attach: with several connections the routes must follow the service's choice (header x-extproc-connection): set attach.routes.enabled, or install one release for each connection." -}}
{{- end -}}
{{- if and (not $attach.routes.enabled) (not $istio) (not (has "request-lock" $attach.accept)) -}}
{{- fail "attach: under Envoy Gateway the request lock is the routes that this chart renders. With attach.routes.enabled false there is none: a bug of the service that ends its stream cleanly lets requests on unread. Say so in attach.accept: [request-lock]." -}}
{{- end -}}
{{- if and (not $istio) (not $attach.clientTrafficPolicy) (not (has "request-lock" $attach.accept)) -}}
{{- fail "attach: without attach.clientTrafficPolicy your own ClientTrafficPolicy must take x-extproc-connection off requests early, or a client opens the request lock, and its streamIdleTimeout must outlast holds. Say that it does, or that you accept the loss, in attach.accept: [request-lock]." -}}
{{- end -}}
{{- if and (not $attach.responseLock) (not (has "response-lock" $attach.accept)) -}}
{{- fail "attach: without attach.responseLock an answer that the service never judged reaches the client. Say so in attach.accept: [response-lock]." -}}
{{- end -}}
{{- if and $istio (eq $attach.istio.context "SIDECAR_INBOUND") (gt (len $connections) 1) -}}
{{- fail "attach: an inbound sidecar leads to its own pod only: exactly one connection." -}}
{{- end -}}
{{- if and $istio (not $attach.istio.selector) -}}
{{- fail "attach: attach.istio.selector names the proxies' pods by label; an EnvoyFilter without it changes every proxy of its namespace." -}}
{{- end -}}
{{- if and $istio (eq $attach.istio.context "GATEWAY") $attach.routes.enabled (not $attach.istio.gateways) -}}
{{- fail "attach: attach.istio.gateways are the Gateways of the VirtualService, as NAMESPACE/NAME; set attach.routes.enabled to false to write the routes yourself." -}}
{{- end -}}
{{- if and (not $istio) (not $attach.gateway.name) -}}
{{- fail "attach: attach.gateway.name is the Gateway that EnvoyExtensionPolicy is attached to." -}}
{{- end -}}
{{- if not $attach.clients -}}
{{- fail "attach: attach.clients are the names in the gateway's client certificate; an authority alone vouches for many that are no gateway." -}}
{{- end -}}
{{- if not .Values.secrets.tls.existingSecret -}}
{{- if not .Values.certManager.enabled -}}
{{- fail "attach: the gateway calls over a network, so the service needs a certificate: secrets.tls.existingSecret (tls.crt, tls.key) or certManager.enabled." -}}
{{- end -}}
{{- end -}}
{{- if not .Values.secrets.tls.clientAuthority -}}
{{- fail "attach: secrets.tls.clientAuthority is the key, such as ca.crt, of the tls Secret with the authority of the gateway's client certificate." -}}
{{- end -}}
{{- if dig "identity" "spiffe" false .Values.config -}}
{{- fail "attach: identity.spiffe needs the client's certificate verified by our own listener; here the gateway ends TLS. Use tokens." -}}
{{- end -}}
{{- end }}

{{- define "extproc.attach.target" -}}
- group: gateway.networking.k8s.io
  kind: Gateway
  name: {{ .Values.attach.gateway.name }}
  {{- with .Values.attach.gateway.sectionName }}
  sectionName: {{ . }}
  {{- end }}
{{- end }}

{{/* What Envoy tells the service of each request and response: the same as in our own bootstrap. */}}
{{- define "extproc.attach.requestAttributes" -}}
- request.id
- source.address
- connection.requested_server_name
- connection.sha256_peer_certificate_digest
- connection.subject_peer_certificate
- connection.uri_san_peer_certificate
- xds.route_name
{{- end }}

{{- define "extproc.attach.responseAttributes" -}}
- request.id
- request.path
- source.address
- response.code_details
- response.flags
- upstream.address
- xds.route_name
{{- end }}

{{/* What is written over config.yaml in this mode: where the gateway calls. Nothing listens for clients. */}}
{{- define "extproc.attach.config" -}}
{{- $files := "/etc/extproc/secrets/tls" -}}
{{- $tls := dict
    "certificate" (printf "%s/tls.crt" $files)
    "key" (printf "%s/tls.key" $files)
    "client_ca" (printf "%s/%s" $files .Values.secrets.tls.clientAuthority)
    "clients" .Values.attach.clients
-}}
{{- dict "address" "0.0.0.0" "port" 9443 "tls" $tls | toJson -}}
{{- end }}

{{/* The listeners that an EnvoyFilter changes; with `router`, a place before it. (dict "istio" $ "router" true) */}}
{{- define "extproc.attach.istioListener" -}}
context: {{ .istio.context }}
listener:
  {{- with .istio.port }}
  portNumber: {{ . }}
  {{- end }}
  filterChain:
    filter:
      name: envoy.filters.network.http_connection_manager
      {{- if .router }}
      subFilter:
        name: envoy.filters.http.router
      {{- end }}
{{- end }}

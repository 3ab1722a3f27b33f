{{/*
Who may talk to whom: the table of all edges of this release, from which every NetworkPolicy is made, on both sides of an edge.
Sides are components, or parties of `networkPolicy` in the values. Ports are those of the receiving pods. YAML; takes root.
*/}}
{{- define "ias.edges" -}}
{{- $values := .Values -}}
{{- $ports := include "ias.ports" . | fromJson -}}
{{- range $component := include "ias.components" . | fromJsonArray }}
- {from: monitoring, to: {{ $component }}, ports: [{{ (index $ports $component).metrics }}]}
{{- end }}
- {from: apiClients, to: api, ports: [{{ $ports.api.http }}]}
- {from: gateway, to: extauth, ports: [{{ $ports.extauth.grpc }}]}
- {from: gateway, to: extproc, ports: [{{ $ports.extproc.grpc }}]}
- {from: gateway, to: engines, ports: {{ toJson $values.networkPolicy.engines.ports }}}
{{- if $values.registry.enabled }}
- {from: registryClients, to: registry, ports: [{{ $ports.registry.grpc }}]}
- {from: registry, to: postgresql, ports: {{ toJson $values.networkPolicy.postgresql.ports }}}
{{- end }}
{{- range list "migrate" "api" "worker" "extauth" }}
- {from: {{ . }}, to: postgresql, ports: {{ toJson $values.networkPolicy.postgresql.ports }}}
{{- end }}
{{- $valkey := list "api" "worker" "extauth" "extproc" }}
{{- if $values.ratelimit.enabled }}
- {from: gateway, to: ratelimit, ports: [{{ $ports.ratelimit.grpc }}]}
{{- $valkey = append $valkey "ratelimit" }}
{{- end }}
{{- range $valkey }}
- {from: {{ . }}, to: valkey, ports: {{ toJson $values.networkPolicy.valkey.ports }}}
{{- end }}
{{- range list "worker" "extauth" "extproc" }}
- {from: {{ . }}, to: kafka, ports: {{ toJson $values.networkPolicy.kafka.ports }}}
{{- end }}
{{- if $values.networkPolicy.engines.probes }}
{{- range list "api" "worker" }}
- {from: {{ . }}, to: engines, ports: {{ toJson $values.networkPolicy.engines.ports }}}
{{- end }}
{{- end }}
{{- with include "ias.gatewayPorts" . | fromJsonArray }}
- {from: api, to: gateway, ports: {{ toJson . }}}
{{- end }}
{{- if $values.gateway.enabled }}
- {from: api, to: kubernetesApi, ports: {{ toJson $values.networkPolicy.kubernetesApi.ports }}}
{{- end }}
{{- if $values.mail.host }}
- {from: api, to: mail, ports: [{{ $values.mail.port }}]}
{{- end }}
{{- end -}}

{{/* What of an edge's other side a policy names, a YAML list; empty: nobody, and then there must be no rule. Takes root, party. */}}
{{- define "ias.peers" -}}
{{- if has .party (append (include "ias.components" .root | fromJsonArray) "migrate") }}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .root.Release.Namespace }}}
  podSelector:
    matchLabels:
      {{- include "ias.selectorLabels" (dict "root" .root "component" .party) | nindent 6 }}
{{- else }}
{{- $party := index .root.Values.networkPolicy .party }}
{{- $pods := ternary (include "ias.gatewayPods" .root | fromYamlArray) $party.pods (eq .party "gateway") }}
{{- range $pods }}
{{ include "ias.podsOf" . }}
{{- end }}
{{- range $party.blocks }}
- ipBlock:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ias.podsOf" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
  podSelector:
    {{- if .podLabels }}
    matchLabels:
      {{- toYaml .podLabels | nindent 6 }}
    {{- else }} {}
    {{- end }}
{{- end -}}

{{/* One rule for each edge of a party in one direction, ingress or egress. Takes root, party, direction. */}}
{{- define "ias.rules" -}}
{{- $here := ternary "to" "from" (eq .direction "ingress") }}
{{- $there := ternary "from" "to" (eq .direction "ingress") }}
{{- range $edge := include "ias.edges" .root | fromYamlArray }}
{{- if eq (index $edge $here) $.party }}
{{- with include "ias.peers" (dict "root" $.root "party" (index $edge $there)) | trim }}
- {{ $there }}:
    {{- . | nindent 4 }}
  ports:
    {{- range $edge.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

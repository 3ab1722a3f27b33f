{{/*
What the control plane is told of its gateway (`controlplane/kubernetes/profile.py`): `gateway.profile`, and what this chart knows by itself.
A map, as YAML.
*/}}
{{- define "ias.gatewayProfile" -}}
{{- $values := .Values -}}
{{- $profile := deepCopy $values.gateway.profile -}}
{{- $_ := set $profile "namespace" (include "ias.gatewayNamespace" .) -}}
{{- $_ := set $profile "metering" $values.gateway.metering -}}
{{- $_ := set $profile "maxBodyBytes" ($values.extauth.maxBodyBytes | int64) -}}
{{- $_ := set $profile "maxStreamDurationS" ($values.extproc.maxStreamSeconds | int64) -}}
{{- range $component := list "extauth" "extproc" -}}
{{- $_ := set $profile $component (include "ias.endpoint" (dict "root" $ "component" $component) | fromYaml) -}}
{{- end -}}
{{- with .Values.ratelimit -}}
{{- if .enabled -}}
{{- $service := include "ias.endpoint" (dict "root" $ "component" "ratelimit") | fromYaml -}}
{{- $_ := set $profile "globalLimit" (dict "requests" (.requests | int64) "unit" .unit "service" $service) -}}
{{- end -}}
{{- end -}}
{{- toYaml $profile -}}
{{- end -}}

{{- define "ias.endpoint" -}}
service: {{ include "ias.name" . }}
namespace: {{ .root.Release.Namespace }}
port: {{ (index (include "ias.ports" .root | fromJson) .component).grpc }}
{{- end -}}

{{- define "ias.gatewayNamespace" -}}
{{- default .Release.Namespace .Values.gateway.profile.namespace -}}
{{- end -}}

{{/* Where objects of the gateway may be: its own namespace, and those of Services and certificates, which grant their use. A JSON list. */}}
{{- define "ias.gatewayNamespaces" -}}
{{- $found := list (include "ias.gatewayNamespace" .) .Release.Namespace -}}
{{- range concat .Values.gateway.profile.listeners .Values.gateway.profile.grpcListeners -}}
{{- with .certificateNamespace }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* Envoy's pods, unless `networkPolicy.gateway` names others: those that Envoy Gateway runs for this gateway, and for no other one. YAML list. */}}
{{- define "ias.gatewayPods" -}}
{{- $party := .Values.networkPolicy.gateway -}}
{{- if $party.pods -}}
{{- toYaml $party.pods -}}
{{- else -}}
- namespace: envoy-gateway-system
  podLabels:
    app.kubernetes.io/name: envoy
    app.kubernetes.io/managed-by: envoy-gateway
    gateway.envoyproxy.io/owning-gateway-name: {{ .Values.gateway.profile.gateway }}
    gateway.envoyproxy.io/owning-gateway-namespace: {{ include "ias.gatewayNamespace" . }}
{{- end -}}
{{- end -}}

{{/* Ports of Envoy's containers: Envoy Gateway moves those below 1024 up by 10,000. A JSON list. */}}
{{- define "ias.gatewayPorts" -}}
{{- $found := .Values.networkPolicy.gateway.ports -}}
{{- if not $found -}}
{{- range concat .Values.gateway.profile.listeners .Values.gateway.profile.grpcListeners -}}
{{- $found = append $found (ternary (add 10000 .port) (.port | int64) (lt (.port | int) 1024)) -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end -}}

{{/* What the Rate Limit Service must know: descriptors of Envoy Gateway bring no limit (`controlplane/kubernetes/render/rate_limits.py`). JSON. */}}
{{- define "ias.rateLimits" -}}
{{- $domain := printf "%s/%s/*" (include "ias.gatewayNamespace" .) .Values.gateway.profile.gateway -}}
{{- $entries := list (list "httproute/*" "httproute/*") (list "rule-0-*" "rule-0-*") -}}
{{- with .Values.ratelimit -}}
{{- $rule := dict "name" "requests to this model" "domain" $domain "entries" $entries -}}
{{- list (merge $rule (dict "requests_per_unit" (.requests | int64) "unit" (lower .unit))) | toJson -}}
{{- end -}}
{{- end -}}

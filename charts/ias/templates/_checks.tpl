{{/* What the schema cannot say: values that would render and not work. */}}
{{- define "ias.checks" -}}
{{- $values := .Values -}}
{{- range $component := list "api" "extauth" "ratelimit" }}
{{- with (index $values $component).autoscaling }}
{{- if gt (.minReplicas | int) (.maxReplicas | int) }}
{{- fail (printf "%s.autoscaling: minReplicas is larger than maxReplicas" $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $values.gateway.enabled (not $values.gateway.profile.listeners) }}
{{- fail "gateway.profile.listeners: a gateway needs a listener, its certificate by reference; gateway.enabled=false leaves the gateway to others" }}
{{- end }}
{{- if $values.networkPolicy.enabled }}
{{- $needed := list "dns" "postgresql" "valkey" "kafka" }}
{{- if $values.networkPolicy.engines.probes }}{{ $needed = append $needed "engines" }}{{ end }}
{{- if $values.gateway.enabled }}{{ $needed = append $needed "kubernetesApi" }}{{ end }}
{{- if $values.mail.host }}{{ $needed = append $needed "mail" }}{{ end }}
{{- range $needed }}
{{- if not (concat (index $values.networkPolicy .).pods (index $values.networkPolicy .).blocks) }}
{{- fail (printf "networkPolicy.%s: say where it is, by pods or blocks, or nothing reaches it; networkPolicy.enabled=false closes nothing" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

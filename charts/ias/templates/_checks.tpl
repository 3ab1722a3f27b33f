{{/* What the schema cannot say: values that would render and not work. */}}
{{- define "ias.checks" -}}
{{- $values := .Values -}}
{{- range $component := list "api" "extauth" }}
{{- with (index $values $component).autoscaling }}
{{- if gt (.minReplicas | int) (.maxReplicas | int) }}
{{- fail (printf "%s.autoscaling: minReplicas is larger than maxReplicas" $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $values.networkPolicy.enabled }}
{{- $needed := list "dns" "gateway" "postgresql" "valkey" "kafka" }}
{{- if $values.networkPolicy.engines.probes }}{{ $needed = append $needed "engines" }}{{ end }}
{{- if $values.mail.host }}{{ $needed = append $needed "mail" }}{{ end }}
{{- range $needed }}
{{- if not (concat (index $values.networkPolicy .).pods (index $values.networkPolicy .).blocks) }}
{{- fail (printf "networkPolicy.%s: say where it is, by pods or blocks, or nothing reaches it; networkPolicy.enabled=false closes nothing" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

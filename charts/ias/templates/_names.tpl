{{/* Names and labels. A component is one of the services: api, worker, registry, extauth, extproc, ratelimit, migrate. */}}

{{- define "ias.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects. Takes root, component. */}}
{{- define "ias.name" -}}
{{- printf "%s-%s" (include "ias.fullname" .root) .component -}}
{{- end -}}

{{/* What never changes in the life of a release: selectors are immutable. Takes root, component. */}}
{{- define "ias.selectorLabels" -}}
{{ include "ias.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* All pods of the release. */}}
{{- define "ias.releaseLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Not the chart's version: pods need not start anew for it. */}}
{{- define "ias.podLabels" -}}
{{ include "ias.selectorLabels" . }}
app.kubernetes.io/part-of: ias
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end -}}

{{- define "ias.labels" -}}
{{ include "ias.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "ias.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "ias.serviceAccountName" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- default (include "ias.name" .) $account.name -}}
{{- end -}}

{{/* Which components this release runs as long as it lives, as a JSON list. */}}
{{- define "ias.components" -}}
{{- $running := list "api" "worker" -}}
{{- if .Values.registry.enabled }}{{ $running = append $running "registry" }}{{ end -}}
{{- $running = concat $running (list "extauth" "extproc") -}}
{{- if .Values.ratelimit.enabled }}{{ $running = append $running "ratelimit" }}{{ end -}}
{{- $running | toJson -}}
{{- end -}}

{{/* Ports of a component's pods, name to number, as JSON. `metrics` is where Prometheus asks. */}}
{{- define "ias.ports" -}}
{{- dict
  "api" (dict "http" 8085 "metrics" 9090)
  "worker" (dict "metrics" 9090)
  "registry" (dict "grpc" 9003 "metrics" 9090)
  "extauth" (dict "grpc" 9001 "metrics" 9090)
  "extproc" (dict "grpc" 9002 "metrics" 9090)
  "ratelimit" (dict "grpc" 9004 "metrics" 9090)
  | toJson -}}
{{- end -}}

{{/* A Deployment whose pod is `ias.podTemplate`, which says what it takes. */}}
{{- define "ias.deployment" -}}
{{- $own := index .root.Values .component }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "ias.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ias.labels" . | nindent 4 }}
spec:
  {{- if not ($own.autoscaling).enabled }}
  replicas: {{ $own.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "ias.selectorLabels" . | nindent 6 }}
  strategy:
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  template:
    {{- include "ias.podTemplate" . | nindent 4 }}
{{- end -}}

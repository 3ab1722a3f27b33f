{{/*
The pod of a component. Takes root, component, args (list), and where the component needs them: graceSeconds, probes (YAML), automount (bool),
restartPolicy, annotations (a map), mounts and volumes (YAML lists).
*/}}
{{- define "ias.podTemplate" -}}
{{- $values := .root.Values -}}
{{- $own := index $values .component -}}
metadata:
  labels:
    {{- include "ias.podLabels" . | nindent 4 }}
    {{- with merge dict ($own.podLabels | default dict) $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge dict ($own.podAnnotations | default dict) $values.podAnnotations (.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "ias.serviceAccountName" . }}
  automountServiceAccountToken: {{ .automount | default false }}
  {{- /* Variables of links, `IAS_API_PORT` and the like, would look like settings. */}}
  enableServiceLinks: false
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .graceSeconds }}
  terminationGracePeriodSeconds: {{ . }}
  {{- end }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- with $values.security }}
    {{- with .runAsUser }}
    runAsUser: {{ . | int64 }}
    {{- end }}
    {{- with .runAsGroup }}
    runAsGroup: {{ . | int64 }}
    {{- end }}
    {{- with .fsGroup }}
    fsGroup: {{ . | int64 }}
    fsGroupChangePolicy: OnRootMismatch
    {{- end }}
    {{- end }}
    seccompProfile:
      type: RuntimeDefault
  {{- with include "ias.placement" (dict "root" .root "component" .component "own" $own) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "ias.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command:
        - python
        - -m
        {{- toYaml .args | nindent 8 }}
      env:
        {{- include "ias.environment" (dict "root" .root "component" .component "own" $own) | trim | nindent 8 }}
      {{- with index (include "ias.ports" .root | fromJson) .component }}
      ports:
        {{- range $name, $number := . }}
        - name: {{ $name }}
          containerPort: {{ $number }}
        {{- end }}
      {{- end }}
      {{- with .probes }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with $own.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: secrets, mountPath: /etc/ias/secrets, readOnly: true}
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with include "ias.certificates.mounts" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- range include "ias.secrets" . | fromYamlArray }}
          - secret:
              name: {{ .secret }}
              items:
                - {key: {{ .key }}, path: {{ lower .setting }}}
          {{- end }}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "ias.certificates.volumes" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Plain settings, then the files of secrets, then what the installation adds or replaces; each name once. */}}
{{- define "ias.environment" -}}
{{- $environment := include "ias.settings" . | fromYaml -}}
{{- range include "ias.secrets" . | fromYamlArray }}
{{- $_ := set $environment (printf "IAS_%s_FILE" .setting) (printf "/etc/ias/secrets/%s" (lower .setting)) }}
{{- end }}
{{- $environment = mergeOverwrite $environment (.own.settings | default dict) -}}
{{- range $name, $value := $environment }}
- name: {{ $name }}
  value: {{ (kindIs "float64" $value) | ternary ($value | toJson) $value | quote }}
{{- end }}
{{- range concat .root.Values.extraEnv (.own.extraEnv | default list) }}
{{- if hasKey $environment .name }}
{{- fail (printf "extraEnv: %s is set by this chart already; `settings` of %s may replace it" .name $.component) }}
{{- end }}
{{ toYaml (list .) }}
{{- end }}
{{- end -}}

{{/* Where pods go. A component's own value replaces the one for all. Without any, replicas are spread over zones and nodes. */}}
{{- define "ias.placement" -}}
{{- $values := .root.Values -}}
{{- with .own.priorityClassName | default $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .own.nodeSelector | default $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations | default $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity | default $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if ne .component "migrate" }}
topologySpreadConstraints:
{{- with .own.topologySpreadConstraints | default $values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "ias.selectorLabels" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ias.certificates.mounts" -}}
{{- $values := .root.Values -}}
{{- if ((index $values .component).tls).existingSecret }}
- {name: tls, mountPath: /etc/ias/tls, readOnly: true}
{{- end }}
{{- if and $values.kafka.tls.existingSecret (has .component (list "worker" "extauth" "extproc")) }}
- {name: kafka, mountPath: /etc/ias/kafka, readOnly: true}
{{- end }}
{{- end -}}

{{- define "ias.certificates.volumes" -}}
{{- $values := .root.Values -}}
{{- with (index $values .component).tls }}
{{- if .existingSecret }}
- name: tls
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      {{- if .clientAuthority }}
      - {key: ca.crt, path: ca.crt}
      {{- end }}
{{- end }}
{{- end }}
{{- if has .component (list "worker" "extauth" "extproc") }}
{{- with $values.kafka.tls }}
{{- if .existingSecret }}
- name: kafka
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .keys.ca }}, path: ca.crt}
      {{- if .clientCertificate }}
      - {key: {{ .keys.certificate }}, path: tls.crt}
      - {key: {{ .keys.key }}, path: tls.key}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Probes of a gRPC service. Its port opens when it knows what it needs to answer, so the time to start is bounded by the startup probe alone.
The kubelet asks no gRPC over TLS: then it only connects. Takes port, and tls (its values, where it has any).
*/}}
{{- define "ias.probes.grpc" -}}
{{- $ask := ternary (dict "tcpSocket" (dict "port" "grpc")) (dict "grpc" (dict "port" .port)) (not (empty (.tls).existingSecret)) -}}
startupProbe:
  {{- toYaml $ask | nindent 2 }}
  periodSeconds: 2
  failureThreshold: 300
readinessProbe:
  {{- toYaml $ask | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 2
livenessProbe:
  {{- toYaml $ask | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
lifecycle:
  {{- include "ias.leave" . | nindent 2 }}
{{- end -}}

{{/* Callers hear a few seconds late that a pod is gone. Until then it goes on as before. */}}
{{- define "ias.leave" -}}
preStop:
  sleep: {seconds: 5}
{{- end -}}

{{/*
What each service is told: its settings (docs/settings.md), by component. `ias.settings` is a map of plain ones,
`ias.secrets` a list of those that come from a Secret, each mounted as a file and named by `IAS_<SETTING>_FILE`.
Both are YAML; both take root, component.
*/}}

{{- define "ias.settings" -}}
{{- $values := .root.Values -}}
{{- $ports := index (include "ias.ports" .root | fromJson) .component | default dict -}}
IAS_LOG_LEVEL: {{ $values.logLevel }}
{{- if $ports.metrics }}
IAS_METRICS_ADDRESS: 0.0.0.0:{{ $ports.metrics }}
{{- end }}
{{- if $ports.grpc }}
IAS_LISTEN: 0.0.0.0:{{ $ports.grpc }}
{{- with (index $values .component).tls }}{{ include "ias.settings.tls" . }}{{ end }}
{{- end }}
{{- if has .component (list "extauth" "extproc" "worker") }}
{{- include "ias.settings.kafka" $values.kafka }}
{{- end }}
{{- if has .component (list "extauth" "extproc") }}
IAS_SIGNING_KEY_CURRENT: {{ $values.apiKeys.signingKeyCurrent | quote }}
{{- /* Bodies of a megabyte come and go: glibc would give their pages back and ask for them anew. */}}
MALLOC_TRIM_THRESHOLD_: 67108864
MALLOC_MMAP_THRESHOLD_: 33554432
{{- end }}
{{- if and (has .component (list "api" "worker")) $values.egressAllowedNetworks }}
IAS_EGRESS_ALLOWED_NETWORKS: {{ join "," $values.egressAllowedNetworks | quote }}
{{- end }}
{{- if eq .component "api" }}
{{- include "ias.settings.api" (dict "root" .root "port" $ports.http) }}
{{- else if eq .component "worker" }}
IAS_KAFKA_PARTITIONS: {{ $values.kafka.partitions }}
IAS_KAFKA_REPLICAS: {{ $values.kafka.replicas }}
{{- else if eq .component "extauth" }}
IAS_DRAIN_S: {{ $values.extauth.drainSeconds }}
IAS_METERING: {{ $values.gateway.metering }}
IAS_MAX_BODY_BYTES: {{ $values.extauth.maxBodyBytes | int64 }}
IAS_SECURITY_DIR: /var/lib/ias/security
{{- else if eq .component "extproc" }}
IAS_DRAIN_S: {{ $values.extproc.maxStreamSeconds }}
IAS_SPOOL_DIR: /var/lib/ias/spool/segments
{{- /* Four fifths of the volume: the segment that is being written and what the file system needs have room beside it. */}}
IAS_SPOOL_TOTAL_BYTES: {{ div (mul $values.extproc.spool.gibibytes 1073741824 4) 5 }}
{{- else if eq .component "ratelimit" }}
IAS_DRAIN_S: {{ $values.ratelimit.drainSeconds }}
{{- /* Clients are told of their own limits, by extauth. */}}
IAS_TELL_LIMITS: false
IAS_RATE_LIMITS: {{ include "ias.rateLimits" .root | quote }}
{{- end }}
{{- end -}}

{{- define "ias.settings.api" }}
{{- $values := .root.Values }}
IAS_API_LISTEN: 0.0.0.0:{{ .port }}
IAS_PUBLIC_URL: {{ $values.publicUrl | quote }}
IAS_GATEWAY_URL: {{ $values.gateway.url | quote }}
IAS_METERING: {{ $values.gateway.metering }}
{{- if $values.gateway.enabled }}
IAS_GATEWAY: kubernetes
IAS_KUBERNETES_PROFILE: /etc/ias/gateway/profile.yaml
{{- end }}
{{- with $values.gateway.canaryUrl }}
IAS_CANARY_URL: {{ . | quote }}
{{- end }}
{{- with $values.trustedProxies }}
IAS_TRUSTED_PROXIES: {{ join "," . | quote }}
{{- end }}
{{- if $values.backendCredentials.existingSecret }}
IAS_BACKEND_CREDENTIALS_DIR: /etc/ias/backend-credentials
{{- end }}
{{- with $values.mail }}
{{- if .host }}
IAS_SMTP_HOST: {{ .host | quote }}
IAS_SMTP_PORT: {{ .port }}
IAS_SMTP_SECURITY: {{ .security }}
IAS_MAIL_FROM: {{ .from | quote }}
{{- with .username }}
IAS_SMTP_USERNAME: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ias.settings.tls" }}
{{- if .existingSecret }}
IAS_TLS_CERTIFICATE_PATH: /etc/ias/tls/tls.crt
IAS_TLS_KEY_PATH: /etc/ias/tls/tls.key
{{- if .clientAuthority }}
IAS_TLS_CLIENT_CA_PATH: /etc/ias/tls/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- define "ias.settings.kafka" }}
IAS_KAFKA_BOOTSTRAP: {{ .bootstrap | quote }}
IAS_KAFKA_SECURITY_PROTOCOL: {{ .securityProtocol }}
{{- with .topicPrefix }}
IAS_KAFKA_TOPIC_PREFIX: {{ . | quote }}
{{- end }}
{{- if hasPrefix "SASL" .securityProtocol }}
IAS_KAFKA_SASL_MECHANISM: {{ .sasl.mechanism }}
IAS_KAFKA_USERNAME: {{ .sasl.username | quote }}
{{- end }}
{{- if .tls.existingSecret }}
IAS_KAFKA_CA_FILE: /etc/ias/kafka/ca.crt
{{- if .tls.clientCertificate }}
IAS_KAFKA_CERT_FILE: /etc/ias/kafka/tls.crt
IAS_KAFKA_KEY_FILE: /etc/ias/kafka/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "ias.secrets" -}}
{{- $values := .root.Values -}}
{{- $database := $values.database -}}
{{- $role := dict "api" "controlPlaneUrl" "worker" "controlPlaneUrl" "registry" "controlPlaneUrl" "extauth" "dataPlaneUrl" "migrate" "ownerUrl" -}}
{{- with index $role .component }}
- {setting: DATABASE_URL, secret: {{ $database.existingSecret }}, key: {{ index $database.keys . }}}
{{- end }}
{{- if eq .component "migrate" }}
- {setting: CONTROL_PLANE_PASSWORD, secret: {{ $database.existingSecret }}, key: {{ $database.keys.controlPlanePassword }}}
- {setting: DATA_PLANE_PASSWORD, secret: {{ $database.existingSecret }}, key: {{ $database.keys.dataPlanePassword }}}
{{- end }}
{{- if has .component (list "api" "worker" "extauth" "extproc" "ratelimit") }}
- {setting: VALKEY_URL, secret: {{ $values.valkey.existingSecret }}, key: {{ $values.valkey.keys.url }}}
{{- end }}
{{- with $values.apiKeys }}
{{- if has $.component (list "api" "extauth") }}
- {setting: PEPPERS, secret: {{ .existingSecret }}, key: {{ .keys.peppers }}}
{{- end }}
{{- if has $.component (list "extauth" "extproc") }}
- {setting: SIGNING_KEYS, secret: {{ .existingSecret }}, key: {{ .keys.signingKeys }}}
{{- end }}
{{- if eq $.component "api" }}
- {setting: TOKEN_SECRET, secret: {{ .existingSecret }}, key: {{ .keys.tokenSecret }}}
{{- end }}
{{- end }}
{{- if and (has .component (list "worker" "extauth" "extproc")) (hasPrefix "SASL" $values.kafka.securityProtocol) }}
- {setting: KAFKA_PASSWORD, secret: {{ $values.kafka.sasl.existingSecret }}, key: {{ $values.kafka.sasl.keys.password }}}
{{- end }}
{{- with $values.mail }}
{{- if and (eq $.component "api") .host .username }}
- {setting: SMTP_PASSWORD, secret: {{ .existingSecret }}, key: {{ .keys.password }}}
{{- end }}
{{- end }}
{{- end -}}

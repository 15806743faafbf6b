{{/* Name of the release's objects: the release's own, which is unique in its namespace. */}}
{{- define "vision-node.name" -}}
{{- if contains "vision-node" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-vision-node" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels that select a component's pods: (list . "api") */}}
{{- define "vision-node.selector" -}}
app.kubernetes.io/name: vision-node
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of a component's objects: (list . "api") */}}
{{- define "vision-node.labels" -}}
{{ include "vision-node.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/part-of: vision-node
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{/* Pod Security `restricted`, for pods */}}
{{- define "vision-node.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Pod Security `restricted`, for containers */}}
{{- define "vision-node.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "vision-node.storageSecret" -}}
{{ .Values.storage.existingSecret | default (printf "%s-storage" (include "vision-node.name" .)) }}
{{- end }}

{{- define "vision-node.s3Endpoint" -}}
{{ .Values.storage.endpoint | default (printf "%s-minio:9000" (include "vision-node.name" .)) }}
{{- end }}

{{/* How a component reaches the bucket as its own user: (list . "api") */}}
{{- define "vision-node.s3Env" -}}
{{- $root := index . 0 }}{{- $user := index . 1 -}}
- {name: S3_ENDPOINT, value: {{ include "vision-node.s3Endpoint" $root | quote }}}
- {name: S3_BUCKET, value: {{ $root.Values.storage.bucket | quote }}}
- {name: S3_SECURE, value: {{ and (ne $root.Values.storage.endpoint "") $root.Values.storage.secure | quote }}}
- name: S3_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ include "vision-node.storageSecret" $root }}, key: {{ $user }}-access-key}}
- name: S3_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ include "vision-node.storageSecret" $root }}, key: {{ $user }}-secret-key}}
{{- end }}

{{- define "vision-node.namespaceEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}

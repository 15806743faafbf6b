{{/* The Secret with the hashes of the API keys. A hook creates it, and nothing deletes it. */}}
{{- define "vision-node.keysSecret" -}}
{{ include "vision-node.name" . }}-api-keys
{{- end }}

{{/* The Secret with the text of the first API key. The hook creates it, and an administrator may delete it. */}}
{{- define "vision-node.adminKeySecret" -}}
{{ include "vision-node.name" . }}-admin-key
{{- end }}

{{/* Returns "true" if the API also accepts tokens of Kubernetes. */}}
{{- define "vision-node.acceptsTokens" -}}
{{- with .Values.auth }}{{ if and .enabled .kubernetes.enabled }}true{{ end }}{{ end }}
{{- end }}

{{/* The command that prints the first API key. */}}
{{- define "vision-node.readAdminKey" -}}
kubectl -n {{ .Release.Namespace }} get secret {{ include "vision-node.adminKeySecret" . }} -o jsonpath='{.data.key}' | base64 -d
{{- end }}

{{/* Variables of the API that say who may use it; empty if everyone may. */}}
{{- define "vision-node.authEnv" -}}
{{- if .Values.auth.enabled }}
- {name: AUTH_ENABLED, value: "true"}
- {name: KEYS_SECRET, value: {{ include "vision-node.keysSecret" . | quote }}}
{{- if include "vision-node.acceptsTokens" . }}
- {name: AUTH_AUDIENCE, value: {{ .Values.auth.kubernetes.audience | quote }}}
{{- end }}
- {name: SESSION_SECONDS, value: {{ .Values.auth.sessionSeconds | int64 | quote }}}
{{- end }}
{{- end }}

{{/* Variables of the pod of `helm test`. The Secret is optional, because an administrator may delete it. */}}
{{- define "vision-node.testEnv" -}}
{{- if .Values.auth.enabled }}
- {name: NEEDS_API_KEY, value: "true"}
- name: VISION_NODE_API_KEY
  valueFrom: {secretKeyRef: {name: {{ include "vision-node.adminKeySecret" . | quote }}, key: key, optional: true}}
{{- end }}
{{- end }}

{{/* Permissions of the API that it needs only to know who sends a request. */}}
{{- define "vision-node.authRules" -}}
{{- if .Values.auth.enabled }}
# Keys are found by their hashes. The API adds and removes keys for administrators.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "vision-node.keysSecret" . | quote }}]
  verbs: [get, list, watch, patch]
{{- end }}
{{- if include "vision-node.acceptsTokens" . }}
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end }}

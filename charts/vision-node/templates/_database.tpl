{{/* Returns "true" if the release has the bundled PostgreSQL. */}}
{{- define "vision-node.bundlesPostgres" -}}
{{- with .Values.database }}
{{- if and .enabled (not (or .url .existingSecret)) }}true{{ end }}
{{- end }}
{{- end }}

{{/* The Secret with the roles' names and passwords, or with complete URLs. */}}
{{- define "vision-node.databaseSecret" -}}
{{ .Values.database.existingSecret | default (printf "%s-database" (include "vision-node.name" .)) }}
{{- end }}

{{/* The database's URL without credentials; empty if the Secret has complete URLs. */}}
{{- define "vision-node.databaseUrl" -}}
{{- if include "vision-node.bundlesPostgres" . -}}
postgresql://{{ include "vision-node.name" . }}-postgres:5432/vision_node?sslmode=disable
{{- else -}}
{{ .Values.database.url }}
{{- end }}
{{- end }}

{{/* Variables with which a component connects to the database as its own role; empty without a database. libpq reads
PGUSER, PGPASSWORD and PGSSLROOTCERT itself. Arguments: (list . "api") */}}
{{- define "vision-node.databaseEnv" -}}
{{- $root := index . 0 }}{{- $role := index . 1 }}
{{- if $root.Values.database.enabled }}
{{- $secret := include "vision-node.databaseSecret" $root | quote }}
{{- with include "vision-node.databaseUrl" $root }}
- {name: DATABASE_URL, value: {{ . | quote }}}
{{- range $variable, $key := dict "PGUSER" "username" "PGPASSWORD" "password" }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $role }}-{{ $key }}}}
{{- end }}
{{- else }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $role }}-url}}
{{- end }}
{{- if $root.Values.caBundle.configMap }}
- {name: PGSSLROOTCERT, value: /etc/vision-node/ca/ca.crt}
{{- else if contains "sslmode=verify" $root.Values.database.url }}
# The authorities in the image. libpq itself knows none.
- {name: PGSSLROOTCERT, value: /etc/ssl/certs/ca-certificates.crt}
{{- end }}
{{- end }}
{{- end }}

{{/* How long a job's data is kept by default, in seconds; 0 means forever, which needs a database. */}}
{{- define "vision-node.jobSeconds" -}}
{{ .Values.database.enabled | ternary .Values.retention.historySeconds .Values.retention.jobSeconds | int64 }}
{{- end }}

{{/* The ports of your own database's servers, as a YAML list. A URL may name several servers. */}}
{{- define "vision-node.databasePorts" -}}
{{- $hosts := regexReplaceAll "[/?].*$" (regexReplaceAll "^[a-z]+://([^@/?]*@)?" .Values.database.url "") "" }}
{{- $ports := list }}
{{- range splitList "," $hosts }}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default "5432" | int) }}
{{- end }}
{{- $ports | uniq | toJson }}
{{- end }}

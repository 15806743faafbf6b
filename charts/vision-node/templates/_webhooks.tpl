{{/* Returns "true" if messages are sent to callbacks. They are kept in the database until they are delivered. */}}
{{- define "vision-node.sendsWebhooks" -}}
{{- if and .Values.webhooks.enabled .Values.database.enabled }}true{{ end }}
{{- end }}

{{/* The Secret with which messages are signed. A hook creates it, and nothing deletes it. */}}
{{- define "vision-node.webhookSecret" -}}
{{ include "vision-node.name" . }}-webhooks
{{- end }}

{{/* Variables that say which callbacks the API accepts, and what the archiver may reach; empty without webhooks. */}}
{{- define "vision-node.webhookEnv" -}}
{{- if include "vision-node.sendsWebhooks" . }}
- {name: WEBHOOKS, value: "true"}
- {name: WEBHOOK_ALLOWED_NETWORKS, value: {{ join "," .Values.webhooks.allowedNetworks | quote }}}
- {name: WEBHOOK_ALLOW_HTTP, value: {{ .Values.webhooks.allowHTTP | toString | quote }}}
{{- end }}
{{- end }}

{{/* Egress to callbacks: the public internet and the allowed networks. The archiver itself checks more precisely. */}}
{{- define "vision-node.toCallbacks" -}}
{{- if include "vision-node.sendsWebhooks" . }}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 168.63.129.16/32, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/4, 240.0.0.0/4]
    - ipBlock: {cidr: "2000::/3", except: ["2001::/23", "2001:db8::/32", "2002::/16"]}
    {{- range .Values.webhooks.allowedNetworks }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports: [{port: 80}, {port: 443}, {port: 1024, endPort: 65535}]
{{- end }}
{{- end }}

{{/* Fills in missing values with the defaults of values.yaml. Values are missing after `helm upgrade
--reuse-values` from an older chart, because Helm then passes only the older chart's defaults. defaults.yaml is a
copy of values.yaml, because templates can't read values.yaml. */}}
{{- define "vision-node.fillValues" -}}
{{- $defaults := .Files.Get "defaults.yaml" | fromYaml }}
{{- include "vision-node.fill" (list .Values $defaults) }}
{{- include "vision-node.fillDescribers" (list .Values.describers $defaults.describers) }}
{{- with .Values.providers }}{{ include "vision-node.readProviders" (list $.Values .) }}{{ end }}
{{- end }}

{{/* Adds the Describers `local` and `ocr`, which older charts did not have. If the values have one of
them, the other was set to null, which means that it should not exist. Arguments: (list <Describers> <defaults>) */}}
{{- define "vision-node.fillDescribers" -}}
{{- $describers := index . 0 }}{{- $defaults := index . 1 }}
{{- if not (or (hasKey $describers "local") (hasKey $describers "ocr")) }}
{{- range list "local" "ocr" }}{{ $_ := set $describers . (index $defaults .) }}{{ end }}
{{- end }}
{{- end }}

{{/* Reads `providers`, in which older charts had the CA bundle and the proxy of workers. Those charts never
used the proxy for the S3 service. Arguments: (list .Values .Values.providers) */}}
{{- define "vision-node.readProviders" -}}
{{- $values := index . 0 }}{{- $old := index . 1 }}
{{- if and (not $values.caBundle.configMap) ($old.caBundle | default dict).configMap }}
{{- $_ := set $values "caBundle" (dict "configMap" $old.caBundle.configMap "key" ($old.caBundle.key | default "ca.crt")) }}
{{- end }}
{{- if and (not $values.proxy.url) ($old.proxy | default dict).url }}
{{- $except := concat ($old.proxy.except | default list) ($values.proxy.except | default list) }}
{{- with $values.storage.endpoint }}{{ $except = append $except (regexReplaceAll ":[0-9]+$" . "") }}{{ end }}
{{- $_ := set $values "proxy" (dict "url" $old.proxy.url "except" (uniq $except)) }}
{{- end }}
{{- end }}

{{/* Fills missing keys with their defaults, except in maps in which a missing key has a meaning. Arguments: (list <values> <defaults>) */}}
{{- define "vision-node.fill" -}}
{{- $values := index . 0 }}
{{- $left := list "describers" "podSecurityContext" "resources" }}
{{- range $key, $default := index . 1 }}
{{- if not (hasKey $values $key) }}{{ $_ := set $values $key $default }}
{{- else if and (kindIs "map" $default) (kindIs "map" (index $values $key)) (not (has $key $left)) }}
{{- include "vision-node.fill" (list (index $values $key) $default) }}
{{- end }}
{{- end }}
{{- end }}

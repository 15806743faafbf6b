{{/* Puts the defaults of values.yaml where a value is missing. After `helm upgrade --reuse-values` from an older chart, Helm knows the
older chart's defaults alone. defaults.yaml is a copy of values.yaml, which templates can't read. */}}
{{- define "vision-node.fillValues" -}}
{{- /* Where caBundle and proxy were, for workers alone. */}}
{{- range $name, $old := .Values.providers }}
{{- $new := index $.Values $name | default dict }}
{{- if not (or $new.configMap $new.url) }}{{ $_ := set $.Values $name $old }}{{ end }}
{{- end }}
{{- include "vision-node.fill" (list .Values (.Files.Get "defaults.yaml" | fromYaml)) }}
{{- end }}

{{/* Left as they are: maps in which a key that is missing says something. */}}
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

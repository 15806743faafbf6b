{{/* Fills in the defaults of values.yaml where a value is missing: after `helm upgrade --reuse-values` from an older chart, Helm passes
only that chart's defaults. defaults.yaml is a copy of values.yaml, because templates can't read values.yaml. */}}
{{- define "vision-node.fillValues" -}}
{{- /* The old place of caBundle and proxy, which then applied to workers only. */}}
{{- range $name, $old := .Values.providers }}
{{- $new := index $.Values $name | default dict }}
{{- if not (or $new.configMap $new.url) }}{{ $_ := set $.Values $name $old }}{{ end }}
{{- end }}
{{- include "vision-node.fill" (list .Values (.Files.Get "defaults.yaml" | fromYaml)) }}
{{- end }}

{{/* Leaves maps alone in which a missing key has a meaning. */}}
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

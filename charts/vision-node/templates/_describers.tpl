{{/* Returns "true" if the values have that Describer and don't disable it. openai must be enabled explicitly. Arguments: (list . "openai") */}}
{{- define "vision-node.hasDescriber" -}}
{{- $name := index . 1 }}
{{- with index (index . 0).Values.describers $name }}
{{- if or .enabled (and (not (hasKey . "enabled")) (ne $name "openai")) }}true{{ end }}
{{- end }}
{{- end }}

{{/* The value defaultDescriber, or the first of the chart's own Describers that is enabled. */}}
{{- define "vision-node.defaultDescriber" -}}
{{- $first := "" }}
{{- range list "metadata" "local" "openai" }}
{{- if include "vision-node.hasDescriber" (list $ .) }}{{ $first = . }}{{ end }}
{{- end }}
{{- .Values.defaultDescriber | default $first }}
{{- end }}

{{/* Returns the specs of the Describers that the operator creates, by name, as JSON. */}}
{{- define "vision-node.describers" -}}
{{- $specs := dict }}
{{- range $name, $values := .Values.describers }}
{{- if include "vision-node.hasDescriber" (list $ $name) }}
{{- $pod := $values.pod | default dict }}
{{- $placed := dict "podAnnotations" $pod.annotations "nodeSelector" $pod.nodeSelector "tolerations" $pod.tolerations "affinity" $pod.affinity }}
{{- $spec := dict }}
{{- range $field, $value := merge $placed (omit $values "pod" "enabled") }}
{{- /* Keep 0, because it has a meaning. Leave out empty values, so that the CRD's defaults apply. */}}
{{- if or $value (kindIs "float64" $value) (kindIs "int64" $value) }}{{ $_ := set $spec $field $value }}{{ end }}
{{- end }}
{{- with $spec.resources }}{{ $_ := set $spec "resources" (include "vision-node.quantities" . | fromYaml) }}{{ end }}
{{- $_ := set $specs $name $spec }}
{{- end }}
{{- end }}
{{- $specs | toPrettyJson }}
{{- end }}

{{/* Returns resources with every quantity as a string, because a Describer accepts integers and strings, but not 0.5. */}}
{{- define "vision-node.quantities" -}}
{{- $all := dict }}
{{- range $kind, $amounts := . }}
{{- $texts := dict }}
{{- range $name, $amount := $amounts }}{{ $_ := set $texts $name (toString $amount) }}{{ end }}
{{- $_ := set $all $kind $texts }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{/* The pod that all workers share; each Describer adds its own settings. */}}
{{- define "vision-node.workerPod" -}}
metadata:
  labels:
    {{- $ours := include "vision-node.releaseSelector" . | fromYaml }}
    {{- $_ := set $ours "app.kubernetes.io/component" "worker" }}
    {{- $_ := set $ours "app.kubernetes.io/part-of" "vision-node" }}
    {{- with .Values.providerSecretRevision }}
    {{- /* Workers read the Secret only when they start, so a new revision must replace the workers. */}}
    {{- $_ := set $ours "vision-node.dev/provider-revision" (toString . | sha256sum | trunc 16) }}
    {{- end }}
    {{- merge $ours .Values.workers.podLabels | toYaml | nindent 4 }}
  {{- with include "vision-node.revisionAnnotations" (list . dict "storage") }}
  annotations: {{- . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "vision-node.name" . }}-worker
  # After SIGTERM, a worker finishes the images that it is processing.
  terminationGracePeriodSeconds: 90
  {{- include "vision-node.pod" (list . dict) | nindent 2 }}
  containers:
    # The container needs no probes, because its Lease shows sooner whether the worker is healthy.
    - name: worker
      {{- include "vision-node.container" (list . "describer") | nindent 6 }}
      env: {{- include "vision-node.env" (list (include "vision-node.workerEnv" .) .Values.workers.extraEnv) | nindent 8 }}
      {{- with .Values.providerSecret }}
      envFrom:
        - secretRef: {name: {{ . | quote }}, optional: false}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- include "vision-node.tokenMount" . | nindent 8 }}
        {{- include "vision-node.outboundMounts" . | nindent 8 }}
        {{- with .Values.workers.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- include "vision-node.tokenVolume" . | nindent 4 }}
    {{- include "vision-node.outboundVolumes" . | nindent 4 }}
    {{- with .Values.workers.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}

{{- define "vision-node.workerEnv" -}}
{{ include "vision-node.namespaceEnv" . }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: MEMORY_LIMIT_BYTES
  valueFrom: {resourceFieldRef: {resource: limits.memory}}
- {name: MAX_IMAGE_BYTES, value: {{ .Values.limits.imageBytes | int64 | quote }}}
- {name: MAX_IMAGE_PIXELS, value: {{ .Values.limits.imagePixels | int64 | quote }}}
{{ include "vision-node.s3Env" (list . "describer") }}
{{- include "vision-node.outboundEnv" . }}
{{- end }}

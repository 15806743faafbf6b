{{/* The Describers that the operator makes, as JSON: name → spec. */}}
{{- define "vision-node.describers" -}}
{{- $specs := dict }}
{{- range $name, $values := .Values.describers }}
{{- $pod := $values.pod | default dict }}
{{- $placed := dict "podAnnotations" $pod.annotations "nodeSelector" $pod.nodeSelector "tolerations" $pod.tolerations "affinity" $pod.affinity }}
{{- $spec := dict }}
{{- range $field, $value := merge $placed (omit $values "pod") }}
{{- /* 0 says something; what is empty leaves it to the CRD's default. */}}
{{- if or $value (kindIs "float64" $value) (kindIs "int64" $value) }}{{ $_ := set $spec $field $value }}{{ end }}
{{- end }}
{{- $_ := set $specs $name $spec }}
{{- end }}
{{- $specs | toPrettyJson }}
{{- end }}

{{/* What the pods of all workers have; each Describer adds its own. */}}
{{- define "vision-node.workerPod" -}}
{{- $provider := (lookup "v1" "Secret" .Release.Namespace (.Values.providerSecret | default "none")).data }}
metadata:
  labels:
    {{- include "vision-node.releaseSelector" . | nindent 4 }}
    app.kubernetes.io/part-of: vision-node
    {{- with $provider }}
    # Workers read it when they start: those with older keys are replaced.
    vision-node.dev/provider-hash: {{ . | toJson | sha256sum | trunc 16 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "vision-node.name" . }}-worker
  # After SIGTERM a worker finishes what it holds.
  terminationGracePeriodSeconds: 90
  {{- include "vision-node.pod" (list . dict) | nindent 2 }}
  containers:
    # No probes: the worker's Lease says the same, and sooner.
    - name: worker
      {{- include "vision-node.container" (list . "describer") | nindent 6 }}
      env:
        {{- include "vision-node.namespaceEnv" . | nindent 8 }}
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: POD_UID
          valueFrom: {fieldRef: {fieldPath: metadata.uid}}
        - name: MEMORY_LIMIT_BYTES
          valueFrom: {resourceFieldRef: {resource: limits.memory}}
        - {name: MAX_IMAGE_BYTES, value: {{ .Values.limits.imageBytes | int64 | quote }}}
        {{- include "vision-node.s3Env" (list . "describer") | nindent 8 }}
      {{- with .Values.providerSecret }}
      envFrom:
        - secretRef: {name: {{ . }}, optional: false}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- include "vision-node.tokenMount" . | nindent 8 }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- include "vision-node.tokenVolume" . | nindent 4 }}
{{- end }}

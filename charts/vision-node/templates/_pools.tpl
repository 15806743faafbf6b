{{/* The operator's pools as JSON: describer → sizes and the pod template of its workers. */}}
{{- define "vision-node.pools" -}}
{{- $pools := dict }}
{{- range $describer, $pool := .Values.describers }}
{{- $sizes := pick $pool "minWorkers" "maxWorkers" "concurrency" "idleSeconds" }}
{{- $template := include "vision-node.workerPod" (list $ $pool) | fromYaml }}
{{- $_ := set $pools $describer (merge (dict "podTemplate" $template) $sizes) }}
{{- end }}
{{- $pools | toPrettyJson }}
{{- end }}

{{/* A worker's pod: (list . pool) */}}
{{- define "vision-node.workerPod" -}}
{{- $root := index . 0 }}{{- $pool := index . 1 -}}
{{- $provider := (lookup "v1" "Secret" $root.Release.Namespace ($root.Values.providerSecret | default "none")).data }}
metadata:
  labels:
    {{- include "vision-node.releaseSelector" $root | nindent 4 }}
    app.kubernetes.io/part-of: vision-node
    {{- with $provider }}
    # Workers read it when they start: those with older keys are replaced.
    vision-node.dev/provider-hash: {{ . | toJson | sha256sum | trunc 16 }}
    {{- end }}
  {{- with include "vision-node.podAnnotations" (list $root $pool) }}
  annotations: {{- . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "vision-node.name" $root }}-worker
  # After SIGTERM a worker finishes what it holds.
  terminationGracePeriodSeconds: 90
  {{- include "vision-node.pod" (list $root $pool) | nindent 2 }}
  containers:
    # No probes: the worker's Lease says the same, and sooner.
    - name: worker
      {{- include "vision-node.container" (list $root "describer") | nindent 6 }}
      env:
        {{- include "vision-node.namespaceEnv" $root | nindent 8 }}
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: POD_UID
          valueFrom: {fieldRef: {fieldPath: metadata.uid}}
        - name: MEMORY_LIMIT_BYTES
          valueFrom: {resourceFieldRef: {resource: limits.memory}}
        - {name: MAX_IMAGE_BYTES, value: {{ $root.Values.limits.imageBytes | int64 | quote }}}
        {{- include "vision-node.s3Env" (list $root "describer") | nindent 8 }}
      {{- with $root.Values.providerSecret }}
      envFrom:
        - secretRef: {name: {{ . }}, optional: false}
      {{- end }}
      resources: {{- toYaml $pool.resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- include "vision-node.tokenMount" $root | nindent 8 }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- include "vision-node.tokenVolume" $root | nindent 4 }}
{{- end }}

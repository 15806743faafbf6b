{{/* The operator's pools as JSON: describer → sizes and the pod template of its workers. */}}
{{- define "vision-node.pools" -}}
{{- $pools := dict }}
{{- range $describer, $pool := .Values.describers }}
{{- $template := include "vision-node.workerPod" (list $ $pool) | fromYaml }}
{{- $_ := set $pools $describer (dict "minWorkers" $pool.minWorkers "maxWorkers" $pool.maxWorkers "concurrency" $pool.concurrency "idleSeconds" $pool.idleSeconds "podTemplate" $template) }}
{{- end }}
{{- $pools | toPrettyJson }}
{{- end }}

{{/* A worker's pod: (list . pool) */}}
{{- define "vision-node.workerPod" -}}
{{- $root := index . 0 }}{{- $pool := index . 1 -}}
metadata:
  labels:
    app.kubernetes.io/name: vision-node
    app.kubernetes.io/instance: {{ $root.Release.Name }}
    app.kubernetes.io/part-of: vision-node
spec:
  serviceAccountName: {{ include "vision-node.name" $root }}-worker
  imagePullSecrets: {{- toYaml $root.Values.imagePullSecrets | nindent 4 }}
  # After SIGTERM a worker finishes what it holds.
  terminationGracePeriodSeconds: 90
  securityContext: {{- include "vision-node.podSecurity" $root | nindent 4 }}
  containers:
    - name: worker
      image: {{ $root.Values.images.describer | quote }}
      imagePullPolicy: {{ $root.Values.imagePullPolicy }}
      securityContext: {{- include "vision-node.containerSecurity" $root | nindent 8 }}
      env:
        {{- include "vision-node.namespaceEnv" $root | nindent 8 }}
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: POD_UID
          valueFrom: {fieldRef: {fieldPath: metadata.uid}}
        - {name: MAX_IMAGE_BYTES, value: {{ $root.Values.limits.imageBytes | int64 | quote }}}
        {{- include "vision-node.s3Env" (list $root "describer") | nindent 8 }}
      resources: {{- toYaml $pool.resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  volumes:
    - {name: tmp, emptyDir: {}}
{{- end }}

{{/* What providerSecret holds, as JSON; without a cluster (`helm template`) nothing. */}}
{{- define "vision-node.providerData" -}}
{{- (lookup "v1" "Secret" .Release.Namespace (.Values.providerSecret | default "none")).data | default dict | toJson }}
{{- end }}

{{/* "true" if providerSecret says which server of OpenAI's protocol to ask, or has a key for it */}}
{{- define "vision-node.hasOpenAI" -}}
{{- $data := include "vision-node.providerData" . | fromJson }}
{{- if and .Values.providerSecret (or $data.OPENAI_API_KEY $data.OPENAI_BASE_URL) }}true{{ end }}
{{- end }}

{{- define "vision-node.defaultDescriber" -}}
{{ .Values.defaultDescriber | default (include "vision-node.hasOpenAI" . | eq "true" | ternary "openai" "metadata") }}
{{- end }}

{{/* What is in the cluster is reached without the proxy. */}}
{{- define "vision-node.noProxy" -}}
{{- $s3 := regexReplaceAll ":[0-9]+$" (include "vision-node.s3Endpoint" .) "" }}
{{- $inside := list "localhost" "127.0.0.1" ".svc" ".cluster.local" $s3 "$(KUBERNETES_SERVICE_HOST)" }}
{{- concat $inside .Values.providers.proxy.except | join "," }}
{{- end }}

{{/* The Describers that the operator makes, as JSON: name → spec. */}}
{{- define "vision-node.describers" -}}
{{- $specs := dict }}
{{- range $name, $values := .Values.describers }}
{{- if or (ne $name "openai") $values.env $values.envFrom (include "vision-node.hasOpenAI" $) }}
{{- $pod := $values.pod | default dict }}
{{- $placed := dict "podAnnotations" $pod.annotations "nodeSelector" $pod.nodeSelector "tolerations" $pod.tolerations "affinity" $pod.affinity }}
{{- $spec := dict }}
{{- range $field, $value := merge $placed (omit $values "pod") }}
{{- /* 0 says something; what is empty leaves it to the CRD's default. */}}
{{- if or $value (kindIs "float64" $value) (kindIs "int64" $value) }}{{ $_ := set $spec $field $value }}{{ end }}
{{- end }}
{{- $_ := set $specs $name $spec }}
{{- end }}
{{- end }}
{{- $specs | toPrettyJson }}
{{- end }}

{{/* What the pods of all workers have; each Describer adds its own. */}}
{{- define "vision-node.workerPod" -}}
{{- $provider := include "vision-node.providerData" . | fromJson }}
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
        - {name: MAX_IMAGE_PIXELS, value: {{ .Values.limits.imagePixels | int64 | quote }}}
        {{- include "vision-node.s3Env" (list . "describer") | nindent 8 }}
        {{- if .Values.providers.caBundle.configMap }}
        # Each client looks for its own.
        {{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" }}
        - {name: {{ . }}, value: /etc/vision-node/ca/ca.crt}
        {{- end }}
        {{- end }}
        {{- with .Values.providers.proxy.url }}
        - {name: HTTPS_PROXY, value: {{ . | quote }}}
        - {name: HTTP_PROXY, value: {{ . | quote }}}
        - {name: NO_PROXY, value: {{ include "vision-node.noProxy" $ | quote }}}
        {{- end }}
      {{- with .Values.providerSecret }}
      envFrom:
        - secretRef: {name: {{ . }}, optional: false}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- include "vision-node.tokenMount" . | nindent 8 }}
        {{- if .Values.providers.caBundle.configMap }}
        - {name: provider-ca, mountPath: /etc/vision-node/ca, readOnly: true}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- include "vision-node.tokenVolume" . | nindent 4 }}
    {{- with .Values.providers.caBundle }}
    {{- if .configMap }}
    - name: provider-ca
      configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
    {{- end }}
    {{- end }}
{{- end }}

{{/* Name of the release's objects, derived from the release's name, which is unique in its namespace. */}}
{{- define "vision-node.name" -}}
{{- $name := .Release.Name | replace "." "-" }}
{{- if not (contains "vision-node" $name) }}{{ $name = printf "%s-vision-node" $name }}{{ end }}
{{- /* The name of a worker's Job is also a label value, so it can have at most 63 characters. It consists of this
name and up to 27 more characters: "-", the Describer's name (22), "-" and a number (3). */}}
{{- $name | trunc 36 | trimSuffix "-" }}
{{- end }}

{{/* Name of the release's cluster-scoped objects. The name is unique, because a namespace's name has no dot. */}}
{{- define "vision-node.clusterName" -}}
{{ .Release.Namespace }}.{{ include "vision-node.name" . }}
{{- end }}

{{/* Labels that select a component's pods. Never change them, because selectors are immutable. Arguments: (list . "api") */}}
{{- define "vision-node.selector" -}}
{{ include "vision-node.releaseSelector" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels that select all of the release's pods. */}}
{{- define "vision-node.releaseSelector" -}}
app.kubernetes.io/name: vision-node
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* All labels of a component's objects. Arguments: (list . "api") */}}
{{- define "vision-node.labels" -}}
{{ include "vision-node.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/part-of: vision-node
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of a component's pods, including the user's. Arguments: (list . "api" <the component's values>) */}}
{{- define "vision-node.podLabels" -}}
{{- $ours := include "vision-node.labels" (list (index . 0) (index . 1)) | fromYaml }}
{{- merge $ours ((index . 2).podLabels | default dict) | toYaml }}
{{- end }}

{{/* Fields of every pod's spec, including those that Pod Security `restricted` requires. Arguments: (list . <the component's values>) */}}
{{- define "vision-node.pod" -}}
{{- $root := index . 0 }}{{- $pod := (index . 1).pod | default dict -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- range $field := list "runAsUser" "runAsGroup" "fsGroup" }}
  {{- with index ($root.Values.podSecurityContext | default dict) $field }}
  {{ $field }}: {{ . | int64 }}
  {{- end }}
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $pod $field }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fields of every container, including those that Pod Security `restricted` requires. Arguments: (list . <key of `images`>) */}}
{{- define "vision-node.container" -}}
image: {{ index (index . 0).Values.images (index . 1) | quote }}
imagePullPolicy: {{ (index . 0).Values.imagePullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The service account's token, mounted as Kubernetes itself would mount it, but only in the container that needs it. */}}
{{- define "vision-node.tokenVolume" -}}
- name: kube-api-access
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}
{{- define "vision-node.tokenMount" -}}
- {name: kube-api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}

{{/* Variables of a container: the chart's variables (as YAML), then the user's. A user's variable replaces the chart's
variable of the same name, because no name may be in the list twice. Arguments: (list <the chart's> <extraEnv>) */}}
{{- define "vision-node.env" -}}
{{- $extra := index . 1 | default list }}
{{- $replaced := dict }}
{{- range $extra }}{{ $_ := set $replaced .name true }}{{ end }}
{{- $all := list }}
{{- range index . 0 | fromYamlArray }}
{{- if not (hasKey $replaced .name) }}{{ $all = append $all . }}{{ end }}
{{- end }}
{{- concat $all $extra | toYaml }}
{{- end }}

{{/* Variables, mounts and volumes for outbound TLS and the proxy; each may be empty. */}}
{{- define "vision-node.outboundEnv" -}}
{{- if .Values.caBundle.configMap }}
{{- /* Each client library reads a different one of these variables. */}}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" }}
- {name: {{ . }}, value: /etc/vision-node/ca/ca.crt}
{{- end }}
{{- end }}
{{- with .Values.proxy.url }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
- {name: HTTP_PROXY, value: {{ . | quote }}}
- {name: NO_PROXY, value: {{ include "vision-node.noProxy" $ | quote }}}
{{- end }}
{{- end }}
{{- define "vision-node.outboundMounts" -}}
{{- if .Values.caBundle.configMap }}
- {name: ca-bundle, mountPath: /etc/vision-node/ca, readOnly: true}
{{- end }}
{{- end }}
{{- define "vision-node.outboundVolumes" -}}
{{- with .Values.caBundle }}
{{- if .configMap }}
- name: ca-bundle
  configMap: {name: {{ .configMap | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end }}

{{/* Hosts to reach without the proxy. The user's own S3 service is not among them, because it may be outside the cluster. */}}
{{- define "vision-node.noProxy" -}}
{{- $inside := list "localhost" "127.0.0.1" "::1" ".svc" ".cluster.local" "$(KUBERNETES_SERVICE_HOST)" }}
{{- if not .Values.storage.endpoint }}
{{- $inside = append $inside (printf "%s-minio" (include "vision-node.name" .)) }}
{{- end }}
{{- concat $inside .Values.proxy.except | join "," }}
{{- end }}

{{/* Returns "true" if the chart generates the bundled MinIO's credentials. */}}
{{- define "vision-node.makesCredentials" -}}
{{- if not (or .Values.storage.endpoint .Values.storage.existingSecret) }}true{{ end }}
{{- end }}

{{- define "vision-node.storageSecret" -}}
{{ .Values.storage.existingSecret | default (printf "%s-storage" (include "vision-node.name" .)) }}
{{- end }}

{{/* The ConfigMap with the release's id, which names its folders in the bucket. A hook creates it, and nothing deletes it. */}}
{{- define "vision-node.identityConfigMap" -}}
{{ include "vision-node.name" . }}-identity
{{- end }}

{{- define "vision-node.s3Endpoint" -}}
{{ .Values.storage.endpoint | default (printf "%s-minio:9000" (include "vision-node.name" .)) }}
{{- end }}

{{- define "vision-node.s3Secure" -}}
{{ and (ne .Values.storage.endpoint "") .Values.storage.secure }}
{{- end }}

{{/* Variables with which a component accesses the bucket as its own user. Arguments: (list . "api") */}}
{{- define "vision-node.s3Env" -}}
{{- $root := index . 0 }}{{- $user := index . 1 -}}
- {name: S3_ENDPOINT, value: {{ include "vision-node.s3Endpoint" $root | quote }}}
- {name: S3_BUCKET, value: {{ $root.Values.storage.bucket | quote }}}
- {name: S3_REGION, value: {{ $root.Values.storage.region | quote }}}
- {name: S3_SECURE, value: {{ include "vision-node.s3Secure" $root | quote }}}
- name: RELEASE_ID
  valueFrom: {configMapKeyRef: {name: {{ include "vision-node.identityConfigMap" $root | quote }}, key: id}}
{{- if $root.Values.storage.keyless }}
- {name: S3_KEYLESS, value: "true"}
{{- else }}
{{- range $variable, $key := dict "S3_ACCESS_KEY" "access-key" "S3_SECRET_KEY" "secret-key" }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ include "vision-node.storageSecret" $root | quote }}, key: {{ $user }}-{{ $key }}}}
{{- end }}
{{- end }}
{{- end }}

{{- define "vision-node.namespaceEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}

{{/* Annotations of pods as YAML; empty if there are none. Arguments: (list . <the component's values>) */}}
{{- define "vision-node.podAnnotations" -}}
{{- with ((index . 1).pod | default dict).annotations }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Annotations of pods that read Secrets when they start, so that a new revision of a Secret replaces the pods.
Arguments: (list . <the component's values> "storage" …), with the values that have a secretRevision */}}
{{- define "vision-node.revisionAnnotations" -}}
{{- $root := index . 0 }}
{{- $annotations := ((index . 1).pod | default dict).annotations | default dict }}
{{- range $what := slice . 2 }}
{{- with (index $root.Values $what).secretRevision }}
{{- $annotations = merge (dict (printf "vision-node.dev/%s-revision" $what) (toString .)) $annotations }}
{{- end }}
{{- end }}
{{- with $annotations }}{{ toYaml . }}{{ end }}
{{- end }}

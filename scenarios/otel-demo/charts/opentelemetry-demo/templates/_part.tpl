{{- define "demo.part" -}}
{{ include "demo.workload" . }}
{{ include "demo.services" . }}
{{ include "demo.configMaps" . }}
{{- end }}

{{- define "demo.workload" -}}
{{- $default := .root.Values.default }}
{{- $part := .part }}
{{- $kind := $part.kind | default "Deployment" }}
---
apiVersion: apps/v1
kind: {{ $kind }}
{{ include "demo.metadata" . }}
spec:
  {{- if ne $kind "DaemonSet" }}
  replicas: {{ hasKey $part "replicas" | ternary $part.replicas $default.replicas }}
  {{- end }}
  {{- if eq $kind "StatefulSet" }}
  serviceName: {{ .name }}-headless
  podManagementPolicy: Parallel
  {{- end }}
  revisionHistoryLimit: {{ hasKey $part "revisionHistoryLimit" | ternary $part.revisionHistoryLimit $default.revisionHistoryLimit }}
  selector:
    matchLabels: {{- toYaml $part.selector | nindent 6 }}
  template:
    metadata:
      labels: {{- mergeOverwrite (include "demo.labels" . | fromYaml) ($part.podLabels | default dict) | toYaml | nindent 8 }}
      {{- $data := list }}{{ range $part.mountedConfigMaps }}{{ $data = append $data .data }}{{ end }}
      {{- $checksum := compact $data | empty | ternary dict (dict "checksum/config" (toJson $data | sha256sum)) }}
      {{- with merge $checksum ($part.podAnnotations | default dict) }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ $part.account | default "default" }}
      {{- with ($part.imageOverride).pullSecrets | default $default.image.pullSecrets }}
      imagePullSecrets: {{ toJson . }}
      {{- end }}
      {{- with $part.podSecurityContext | default $default.podSecurityContext }}
      securityContext: {{ toJson . }}
      {{- end }}
      {{- range $rule, $value := mergeOverwrite (deepCopy $default.schedulingRules) ($part.schedulingRules | default dict) }}
      {{- with $value }}
      {{ $rule }}: {{ toJson . }}
      {{- end }}
      {{- end }}
      {{- with $part.initContainers }}
      initContainers: {{- tpl (toYaml .) $.root | nindent 6 }}
      {{- end }}
      containers:
      {{- include "demo.container" (dict "root" .root "name" .name "c" $part) | nindent 6 }}
      {{- range $part.sidecarContainers }}
      {{- include "demo.container" (dict "root" $.root "name" .name "c" .) | nindent 6 }}
      {{- end }}
      {{- $mounted := concat ($part.mountedConfigMaps | default list) ($part.mountedEmptyDirs | default list) }}
      {{- if concat $mounted ($part.additionalVolumes | default list) }}
      volumes:
      {{- range $part.mountedConfigMaps }}
      - {name: {{ .name }}, configMap: {name: {{ include "demo.configMapName" (dict "name" $.name "mount" .) }}}}
      {{- end }}
      {{- range $part.mountedEmptyDirs }}
      - {name: {{ .name }}, emptyDir: {}}
      {{- end }}
      {{- range $part.additionalVolumes }}
      - {{ toJson . }}
      {{- end }}
      {{- end }}
{{- end }}

{{- define "demo.services" -}}
{{- $ports := include "demo.ports" (dict "c" .part "as" "tcp-service") }}
{{- range .part.sidecarContainers }}
{{- $ports = print $ports (include "demo.ports" (dict "c" . "as" .name)) }}
{{- end }}
{{- if $ports }}
{{- $settings := .part.service | default dict }}
{{- range .part.services | default (list (dict "name" .name)) }}
---
apiVersion: v1
kind: Service
{{ include "demo.metadata" (merge (dict "as" .name) $) }}
  {{- with $settings.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $settings.type | default "ClusterIP" }}
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  selector: {{- toYaml $.part.selector | nindent 4 }}
  ports: {{- trim $ports | nindent 2 }}
{{ end }}
{{- end }}
{{- end }}

{{- define "demo.configMaps" -}}
{{- range .part.mountedConfigMaps }}
{{- if .data }}
---
apiVersion: v1
kind: ConfigMap
{{ include "demo.metadata" (merge (dict "as" (include "demo.configMapName" (dict "name" $.name "mount" .))) $) }}
{{ include "demo.data" .data }}
{{ end }}
{{- end }}
{{- end }}

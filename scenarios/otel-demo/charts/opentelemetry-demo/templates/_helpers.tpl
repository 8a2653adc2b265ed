{{/*
A part is one workload and what belongs to it: a component of the values or a backend of files/backends.yaml. The templates
of a part take (dict "root" $ "name" NAME "part" PART) and begin each object with a document separator.
*/}}

{{- define "demo.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/name" .name
  "app.kubernetes.io/component" .name
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/part-of" "opentelemetry-demo"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "fluxlab.dev/stand-in" "true" -}}
{{- toYaml (mergeOverwrite $labels ((.part).selector | default dict)) }}
{{- end }}

{{/* The metadata of an object; takes "name", "root" and, for an object called otherwise than its part, "as". */}}
{{- define "demo.metadata" -}}
metadata:
  name: {{ .as | default .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "demo.labels" . | nindent 4 }}
{{- end }}

{{- define "demo.account" -}}
{{- .Values.serviceAccount.name | default (ternary .Release.Name "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* The ports of a container "c", as a Service lists them; "as" names its main port. */}}
{{- define "demo.ports" -}}
{{- with .c.service }}{{ if .port }}
- {name: {{ $.as }}, port: {{ .port }}, targetPort: {{ .port }}{{ with .nodePort }}, nodePort: {{ . }}{{ end }}}
{{- end }}{{ end }}
{{- range .c.ports }}
- {name: {{ .name }}, port: {{ .value }}, targetPort: {{ .targetPort | default .value }}}
{{- end }}
{{- end }}

{{/* The environment of a container: the last definition of a name wins and stands where the first one stood. */}}
{{- define "demo.env" -}}
{{- $all := concat (.c.env | default list) (.c.envOverrides | default list) }}
{{- if (.c.useDefault).env }}
{{- $default := .root.Values.default }}
{{- $all = concat ($default.env | default list) ($default.envOverrides | default list) $all }}
{{- end }}
{{- $last := dict }}{{ $names := list }}
{{- range $all }}{{ $_ := set $last .name . }}{{ $names = append $names .name }}{{ end }}
{{- range uniq $names }}
- {{ tpl (index $last . | toJson) $.root }}
{{- end }}
{{- end }}

{{/* A container "c" called "name". An image of its own is used as it is; of the demo's image each container has a tag. */}}
{{- define "demo.container" -}}
{{- $default := .root.Values.default }}
{{- $image := .c.imageOverride | default dict }}
{{- $tag := $image.tag | default $default.image.tag | default .root.Chart.AppVersion -}}
- name: {{ .name }}
  image: "{{ $image.repository | default $default.image.repository }}:{{ $tag }}
  {{- if not (or $image.repository $image.tag) }}-{{ .name }}{{ end }}"
  imagePullPolicy: {{ $image.pullPolicy | default $default.image.pullPolicy }}
  {{- with include "demo.ports" (dict "c" .c "as" "service") | fromYamlArray }}
  ports:
  {{- range . }}
  - {name: {{ .name }}, containerPort: {{ .targetPort }}, protocol: TCP}
  {{- end }}
  {{- end }}
  {{- with include "demo.env" . }}
  env: {{- trim . | nindent 2 }}
  {{- end }}
  {{- range $key := list "command" "args" "resources" "livenessProbe" "readinessProbe" }}
  {{- with index $.c $key }}
  {{ $key }}: {{ toJson . }}
  {{- end }}
  {{- end }}
  {{- with .c.securityContext | default $default.securityContext }}
  securityContext: {{ toJson . }}
  {{- end }}
  {{- $mounts := concat (.c.mountedConfigMaps | default list) (.c.mountedEmptyDirs | default list) }}
  {{- with concat $mounts (.c.additionalVolumeMounts | default list) (.c.volumeMounts | default list) }}
  volumeMounts:
  {{- range . }}
  - {{ omit . "data" "existingConfigMap" "mergeFrom" | toJson }}
  {{- end }}
  {{- end }}
{{- end }}

{{/* The name of the ConfigMap behind a mount "mount". */}}
{{- define "demo.configMapName" -}}
{{- $own := ternary .mount.name (printf "%s-%s" .name .mount.name) (hasPrefix .name .mount.name) }}
{{- .mount.existingConfigMap | default $own }}
{{- end }}

{{/* The data of a ConfigMap; content that is not text is written as JSON or YAML, by the key's ending. */}}
{{- define "demo.data" -}}
data:
  {{- range $file, $content := . }}
  {{ $file }}: |
    {{- if not (kindIs "string" $content) }}
    {{- $content = hasSuffix ".json" $file | ternary (toPrettyJson $content) (toYaml $content) }}
    {{- end }}
    {{- $content | nindent 4 }}
  {{- end }}
{{- end }}

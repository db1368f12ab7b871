{{/*
Name of a component's resources: operator.fullname (list $ "gateway")
*/}}
{{- define "operator.fullname" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" $root.Release.Name (index . 1) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
Labels that select a component: operator.selector (list $ "gateway")
*/}}
{{- define "operator.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/*
All labels of a component: operator.labels (list $ "gateway")
*/}}
{{- define "operator.labels" -}}
{{- $root := index . 0 -}}
{{ include "operator.selector" . }}
app.kubernetes.io/part-of: {{ $root.Chart.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "operator.pullSecrets" -}}
{{- with .Values.global.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "operator.natsURL" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "operator.fullname" (list . "nats") }}:4222
{{- else -}}
{{ required "nats.url is needed when nats.enabled is false" .Values.nats.url }}
{{- end -}}
{{- end -}}

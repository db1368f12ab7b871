{{- define "hub.image" -}}
{{- if contains "/" .image -}}
{{ .image }}
{{- else -}}
{{ .hub }}/{{ .image }}:{{ .tag }}
{{- end -}}
{{- end -}}

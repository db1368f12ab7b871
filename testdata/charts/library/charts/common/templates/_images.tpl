{{- define "common.image" -}}
{{- $registry := .imageRoot.registry | default "docker.io" -}}
{{- if .context.Values.platform -}}
{{- $registry = .context.Values.platform.containerRegistry | default $registry -}}
{{- end -}}
{{ $registry }}/{{ .imageRoot.repository }}:{{ .imageRoot.tag }}
{{- end -}}

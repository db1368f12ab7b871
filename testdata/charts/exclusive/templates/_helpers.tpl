{{- define "exclusive.search" -}}
{{- if .Values.search.catalogImage -}}
ghcr.io/acme/search:1
{{- else -}}
{{ .Values.search.registry | default "ghcr.io" }}/acme/search:1
{{- end -}}
{{- end -}}

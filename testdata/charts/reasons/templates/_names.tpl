{{/* ghcr.io/acme/joined is only named in this comment */}}
{{- define "reasons.joined" -}}
{{ printf "%s.io/%s" "ghcr" "acme" }}/joined:{{ (get .Values.sizes .Values.chosen).tag }}
{{- end -}}

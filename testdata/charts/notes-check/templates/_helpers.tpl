{{- define "identity.registry" -}}
{{ .Values.global.imageRegistry | default .Values.image.registry }}
{{- end -}}

{{- define "identity.checkImages" -}}
{{- if and (ne (include "identity.registry" .) "docker.io") (not .Values.global.security.allowInsecureImages) }}
{{- fail (printf "The image %s/%s is not one this chart was tested with. If you are sure, set 'global.security.allowInsecureImages' to true." (include "identity.registry" .) .Values.image.repository) }}
{{- end }}
{{- end -}}

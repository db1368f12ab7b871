package chart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What only an upgrade, an answer of lookup or another cluster shows is found, each
// with its occasion; what they have in common with an installation is not repeated.
func TestOccasions(t *testing.T) {
	for name, tc := range map[string]struct {
		templates files
		o         RenderOptions
		want      []string // occasion and reference
		notSeen   []NotSeen
	}{
		"upgrade": {
			templates: files{"templates/t.yaml": "image: org/app:1\n---\n{{ if .Release.IsUpgrade }}\nimage: org/migrate:{{ .Release.Revision }}\n{{ end }}"},
			want:      []string{"org/app:1", "upgrade org/migrate:2"},
		},
		"not an installation": {
			templates: files{"templates/t.yaml": "{{ if not .Release.IsInstall }}\nimage: org/migrate:1\n{{ else }}\nimage: org/setup:1\n{{ end }}"},
			want:      []string{"org/setup:1", "upgrade org/migrate:1"},
		},
		"in a helper of a subchart": {
			templates: files{
				"charts/sub/Chart.yaml": chartYAML("sub"), "charts/sub/templates/_h.tpl": `{{ define "h" }}{{ if .Release.IsUpgrade }}image: org/sub:1{{ end }}{{ end }}`,
				"charts/sub/templates/t.yaml": `{{ include "h" . }}`,
			},
			want: []string{"upgrade org/sub:1"},
		},
		"through tpl": {
			templates: files{"values.yaml": "extra: '{{ if .Release.IsUpgrade }}image: org/tpl:1{{ end }}'", "templates/t.yaml": `{{ tpl .Values.extra . }}{{/* IsUpgrade */}}`},
			want:      []string{"upgrade org/tpl:1"},
		},
		"hooks": {
			templates: files{"templates/t.yaml": "metadata: {annotations: {helm.sh/hook: 'pre-upgrade,post-rollback'}}\nimage: org/hook:1"},
			want:      []string{"org/hook:1"},
		},
		"lookup of one": {
			templates: files{"templates/t.yaml": `{{ $s := lookup "v1" "Secret" .Release.Namespace "x" }}{{ if $s }}` + "\nimage: org/{{ $s.data.password | b64dec }}:1\nfrom: {{ index $s.data \"user\" | b64dec }}{{ get $s.metadata.labels \"app\" }}\n{{ end }}"},
			want:      []string{"lookup org/stub:1"},
		},
		"lookup of many": {
			templates: files{"templates/t.yaml": `{{ range (lookup "v1" "Node" "" "").items }}` + "\nimage: org/{{ .metadata.name }}:1\n{{ end }}"},
			want:      []string{"lookup org/stub:1"},
		},
		"lookup on an upgrade": {
			templates: files{"templates/t.yaml": `{{ if and .Release.IsUpgrade (lookup "v1" "Secret" "" "x") }}image: org/both:1{{ end }}`},
			want:      []string{"upgrade org/both:1"},
		},
		"an API": {
			templates: files{"templates/t.yaml": `{{ if .Capabilities.APIVersions.Has "example.com/v1/Thing" }}image: org/api:1{{ end }}{{ if .Capabilities.APIVersions.Has "batch/v1" }}` + "\nkind: Batch{{ end }}"},
			want:      []string{"apis org/api:1"},
		},
		"an API that is given": {
			templates: files{"templates/t.yaml": `{{ if .Capabilities.APIVersions.Has "example.com/v1" }}image: org/api:1{{ end }}`},
			o:         RenderOptions{APIVersions: []string{"example.com/v1"}},
			want:      []string{"org/api:1"},
		},
		"random, and nothing else": {
			templates: files{"templates/t.yaml": "image: org/app:1\npassword: {{ randAlphaNum 9 }}", "templates/u.yaml": `{{ if .Release.IsUpgrade }}image: org/u:1{{ end }}`},
			want:      []string{"org/app:1", "upgrade org/u:1"},
		},
		"values that change": {
			templates: files{
				"values.yaml": "tag: 1\n", "templates/z.yaml": `{{ $_ := set .Values "tag" (add1 .Values.tag) }}`,
				"templates/a.yaml": `image: org/app:v{{ .Values.tag }}{{ if .Release.IsUpgrade }}` + "\n---\nimage: org/u:v{{ .Values.tag }}{{ end }}",
			},
			want: []string{"org/app:v2", "upgrade org/u:v2"},
		},
		"does not render": {
			templates: files{"templates/t.yaml": "image: org/app:1\n{{ if .Release.IsUpgrade }}{{ .Values.a.b.c }}{{ end }}", "templates/u.yaml": `{{ if .Release.IsUpgrade }}image: org/u:1{{ end }}`},
			want:      []string{"org/app:1", "upgrade org/u:1"},
			notSeen:   []NotSeen{{OnUpgrade, "app/templates/t.yaml", "nil pointer evaluating interface {}.b: .Values.a is not set"}},
		},
		"nothing of the kind": {
			templates: files{"templates/t.yaml": "image: org/app:1"}, want: []string{"org/app:1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, tc.templates)
			for _, strict := range []bool{false, true} {
				o := tc.o
				o.Occasions, o.Strict = true, strict
				out := render(t, c, o)
				var got []string
				for _, f := range out.Findings() {
					got = append(got, strings.TrimSpace(string(f.When)+" "+f.Raw))
					if now, ok := out.Lookup(f.Position); !ok || now != f.Raw {
						t.Errorf("Lookup(%s) = %q, %v", f.Position, now, ok)
					}
				}
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Errorf("strict %v: findings (-want +got):\n%s", strict, d)
				}
				if d := cmp.Diff(tc.notSeen, out.NotSeen); d != "" {
					t.Errorf("strict %v: not seen (-want +got):\n%s", strict, d)
				}
			}
			o := tc.o
			for _, f := range render(t, c, o).Findings() {
				if f.When != Always {
					t.Errorf("%s without being asked", f.Position)
				}
			}
		})
	}
}

// A chart that refuses to be upgraded with these values is seen leniently, and that
// is said.
func TestUpgradeThatIsRefused(t *testing.T) {
	c := open(t, files{"templates/t.yaml": `{{ if .Release.IsUpgrade }}{{ required "the old password is needed" .Values.password }}` + "\nimage: org/u:1\n{{ end }}"})
	out := render(t, c, RenderOptions{Strict: true, Occasions: true})
	if f := out.Findings(); len(f) != 1 || f[0].Raw != "org/u:1" || f[0].When != OnUpgrade {
		t.Errorf("findings %+v", f)
	}
	want := []NotSeen{{OnUpgrade, "app/templates/t.yaml", "the old password is needed"}}
	if d := cmp.Diff(want, out.NotSeen); d != "" {
		t.Errorf("not seen (-want +got):\n%s", d)
	}
}

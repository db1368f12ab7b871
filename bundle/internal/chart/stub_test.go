package chart

import (
	"crypto/tls"
	"strings"
	"testing"
)

// Every stubbed function, called in the ways templates call it.
const keyTemplate = `
{{- define "ca" }}{{ $ca := genCA "x" 365 }}{{ $ca.Cert }}{{ end }}
{{- $ca := genCA "ca" 365 }}
{{- $key := genPrivateKey "rsa" }}
{{- $cert := genSignedCert "cn" (list "127.0.0.1") (list "a" "b") 365 $ca }}
{{- $self := genSelfSignedCertWithKey "cn" nil nil 365 $key }}
{{- $custom := buildCustomCert ($ca.Cert | b64enc) ($ca.Key | b64enc) }}
kind: Secret
stringData:
  cert: {{ $cert.Cert | quote }}
  key: {{ $cert.Key | quote }}
  self: {{ $self.Cert | b64enc }}
  custom: {{ $custom.Cert | quote }}
  chain: {{ (genCAWithKey "a" 1 $key).Key | b64enc }}
  template: {{ include "ca" . | quote }}
  hash: {{ "password" | bcrypt | quote }}
  line: {{ htpasswd "user" "password" | quote }}
  derived: {{ derivePassword 1 "long" "p" "user" "example.com" }}
  cond: {{ if genPrivateKey "ed25519" }}yes{{ else }}no{{ end }}
  each: {{ range $i, $k := list (genPrivateKey "ecdsa") }}{{ len $k | gt 10 }}{{ end }}
  with: {{ with genCA "w" 1 }}{{ .Key | len | gt 10 }}{{ end }}
  text: "genPrivateKey is a word here"
  image: {{ "a" }}/b:1
`

func TestStubs(t *testing.T) {
	c := open(t, files{"templates/t.yaml": keyTemplate})
	stubbed := render(t, c, RenderOptions{StubKeys: true})
	read := func(key string) string {
		v, ok := inTemplate(stubbed, "Secret", "stringData", key)
		if !ok {
			t.Errorf("%s is gone", key)
		}
		return v
	}
	if _, err := tls.X509KeyPair([]byte(read("cert")), []byte(read("key"))); err != nil {
		t.Errorf("certificate and key do not fit: %v", err)
	}
	key, cert := stubKeyPair()
	for name, want := range map[string]string{
		"cert": cert, "key": key, "custom": cert, "template": cert, "cond": "yes", "each": "false", "with": "false",
		"derived": "stub-password", "text": "genPrivateKey is a word here", "image": "a/b:1",
	} {
		if got := read(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(read("line"), "stub:$2a$") || !strings.HasPrefix(read("hash"), "$2a$") {
		t.Errorf("hashes are %q and %q", read("line"), read("hash"))
	}
	again := render(t, c, RenderOptions{StubKeys: true})
	for p, v := range stubbed.Leaves() {
		if now, _ := again.Lookup(p); now != v {
			t.Errorf("%s is not constant", p)
		}
	}
}

func TestStubsAreAsked(t *testing.T) {
	c := open(t, files{"templates/t.yaml": `v: {{ genPrivateKey "ecdsa" | b64enc }}`})
	for _, o := range []RenderOptions{{}, {Strict: true, StubKeys: true}} {
		first, _ := inTemplate(render(t, c, o), "", "v")
		if second, _ := inTemplate(render(t, c, o), "", "v"); first == second {
			t.Errorf("stubbed with %+v", o)
		}
	}
}

// Where stubs cannot do what the functions do, the chart is rendered with the
// functions.
func TestStubsFallBack(t *testing.T) {
	c := open(t, files{"templates/t.yaml": `
{{- $ca := genCA "x" 1 }}
{{- $cert := tpl "{{ (genSignedCert \"cn\" nil nil 1 .ca).Cert }}" (dict "ca" $ca "Template" .Template) }}
v: {{ $cert | len | lt 100 }}
image: a/b:1`})
	out := render(t, c, RenderOptions{StubKeys: true})
	if v, _ := inTemplate(out, "", "v"); v != "true" {
		t.Errorf("v is %q", v)
	}
}

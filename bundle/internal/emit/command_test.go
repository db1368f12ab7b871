package emit

import (
	"strings"
	"testing"

	"bundle/bundle/internal/place"
	"bundle/bundle/internal/remote"
)

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain":          "plain",
		"oci://r:5/x":    "oci://r:5/x",
		"":               "''",
		"two words":      "'two words'",
		"it's; rm -rf /": `'it'\''s; rm -rf /'`,
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// The command names whatever import was told about how the registry is reached.
func TestHelmAccess(t *testing.T) {
	r := place.Registry{Host: "r:5000"}
	for want, access := range map[string]remote.Options{
		"": {PlainHTTP: []string{"other"}, InsecureSkipTLS: []string{"other"}},
		"--plain-http --insecure-skip-tls-verify":             {PlainHTTP: []string{"r:5000"}, InsecureSkipTLS: []string{"r:5000"}},
		"--ca-file ca.pem --cert-file c.pem --key-file k.pem": {CAFile: "ca.pem", ClientCert: "c.pem", ClientKey: "k.pem"},
	} {
		if got := strings.Join(Options{Registry: r, Access: access}.helmAccess(), " "); got != want {
			t.Errorf("%+v: %s, want %s", access, got, want)
		}
	}
}

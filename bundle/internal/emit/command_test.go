package emit

import (
	"strings"
	"testing"

	"bundle/bundle/internal/place"
	"bundle/bundle/internal/remote"
)

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

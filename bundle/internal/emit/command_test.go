package emit

import (
	"testing"
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

package words

import "testing"

// Words of commands can be pasted into a shell.
func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain":          "plain",
		"oci://r:5/x":    "oci://r:5/x",
		"":               "''",
		"two words":      "'two words'",
		"it's; rm -rf /": `'it'\''s; rm -rf /'`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	if got, want := Command([]string{"helm", "-f", "my values.yaml", "--set=a=b,c"}), "helm -f 'my values.yaml' --set=a=b,c"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

package place

import (
	"testing"
)

func TestParseRegistry(t *testing.T) {
	for in, want := range map[string]Registry{
		"reg.example":         {"reg.example", ""},
		"reg.example:5000":    {"reg.example:5000", ""},
		"localhost:5000/a/b/": {"localhost:5000", "a/b"},
		"localhost/a":         {"localhost", "a"},
		"Reg.Example:5000/a":  {"reg.example:5000", "a"},
	} {
		if got, err := ParseRegistry(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "reg", "http://reg.example", "reg.example/UPPER", "reg.example//x", "reg.example/a:1"} {
		if got, err := ParseRegistry(in); err == nil {
			t.Errorf("%q was taken for %+v", in, got)
		}
	}
}

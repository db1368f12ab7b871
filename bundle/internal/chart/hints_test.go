package chart

import (
	"errors"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
)

// A chart that does not render is told what it may want.
func TestRenderHints(t *testing.T) {
	cause := errors.New("x")
	for _, tc := range []struct {
		name string
		err  *RenderError
		want []string
	}{
		{"version of the cluster", &RenderError{Chart: "a", Message: "it wants Kubernetes >=2"}, []string{"--kube-version"}},
		{"a value", &RenderError{Template: "a/x.yaml", Value: "licence", Err: cause}, []string{"--set licence=VALUE", "-f FILE"}},
		{"an API", &RenderError{Template: "a/x.yaml", Err: cause}, []string{"--api-versions", "--set", "-f"}},
		{"nothing helps", &RenderError{Err: ErrLibrary}, nil},
	} {
		kind, hint := tc.err.Fault()
		if kind != fault.Failed || (hint == "") != (tc.want == nil) {
			t.Errorf("%s: kind %d, hint %q", tc.name, kind, hint)
		}
		for _, w := range tc.want {
			if !strings.Contains(hint, w) {
				t.Errorf("%s: hint %q does not name %s", tc.name, hint, w)
			}
		}
	}
}

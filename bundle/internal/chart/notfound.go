package chart

import (
	"bytes"
	"path/filepath"
	"strings"

	"bundle/bundle/internal/fault"
)

// NotFoundError is a reference that names no chart on this machine.
type NotFoundError struct {
	Ref string
	Err error
}

func (e *NotFoundError) Error() string { return "no such folder or .tgz" }
func (e *NotFoundError) Unwrap() error { return e.Err }

// Fault says what the reference may have been meant for.
func (e *NotFoundError) Fault() (fault.Kind, string) {
	first, name, nested := strings.Cut(e.Ref, "/")
	switch {
	case filepath.IsAbs(e.Ref), strings.HasPrefix(first, "."), strings.HasSuffix(e.Ref, ".tgz"):
		return fault.Usage, "check the path"
	case nested && strings.ContainsAny(first, ".:"):
		return fault.Usage, "for a chart in a registry: oci://" + e.Ref
	case nested && !strings.Contains(name, "/"):
		return fault.Usage, "for a chart in a repository: --repo URL " + name + ", or helm repo add " + first + " URL"
	}
	return fault.Usage, "for a chart in a repository or a registry: --repo URL " + e.Ref + ", or oci://HOST/PATH"
}

// KindError is a folder or file that holds something else than a chart.
type KindError struct {
	What string
	Hint string
}

func (e *KindError) Error() string { return e.What }

// Fault makes it a wrong command line.
func (e *KindError) Fault() (fault.Kind, string) { return fault.Usage, e.Hint }

// checkKind looks at the first bytes of what should be the archive of a chart.
func checkKind(name string, b []byte) error {
	const magic = 257 // where a tar header says what it is
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		return nil
	case len(b) > magic+5 && string(b[magic:magic+5]) == "ustar" && strings.Contains(name, ".bundle"):
		return &KindError{What: "this is a bundle, not a chart", Hint: "look into it with bundle inspect " + name}
	case len(b) > magic+5 && string(b[magic:magic+5]) == "ustar":
		return &KindError{What: "this is a tar without compression, and no chart archive (.tgz)", Hint: "if it is a bundle: bundle inspect " + name}
	}
	return &KindError{What: "this is no chart archive (.tgz)", Hint: "want a folder with Chart.yaml, or what helm package writes"}
}

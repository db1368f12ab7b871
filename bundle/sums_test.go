package bundle

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/testdata/regtest"
)

// A list that somebody signed for a release is no list of a bundle, though the key and
// the kind of signature are the same: a bundle that has it is refused.
func TestListIsNoBundle(t *testing.T) {
	signer, believe := newKey(t)
	dir := t.TempDir()
	program := []byte("a program\n")
	list := filepath.Join(dir, "SHA256SUMS")
	for path, content := range map[string][]byte{filepath.Join(dir, "program"): program, list: fmt.Appendf(nil, "%x  program\n", sha256.Sum256(program))} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Sign(t.Context(), list, signer, nil); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(t.Context(), list, believe, nil); err != nil || r.Entries != 1 || len(r.Signers) != 1 {
		t.Fatalf("the list itself: %+v, %v", r, err)
	}
	for _, more := range []string{"", "index.json"} {
		path := filepath.Join(dir, "app.bundle.tar")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(f)
		for _, e := range [][2]string{
			{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}, {"SHA256SUMS", regtest.ReadFile(t, list)},
			{"SHA256SUMS.sig", regtest.ReadFile(t, list+".sig")}, {more, `{"schemaVersion":2,"manifests":[]}`}, {"program", string(program)},
		} {
			if e[0] == "" {
				continue
			}
			if err := w.WriteHeader(&tar.Header{Name: e[0], Mode: 0o644, Size: int64(len(e[1])), Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(e[1])); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = Verify(t.Context(), path, believe, nil)
		wantError(t, err, fault.Damaged, "name that a bundle does not have")
	}
}

package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/testdata/regtest"
)

var update = flag.Bool("update", false, "write the golden bundle of the current format version anew")

// The golden bundles are history: one of each format version, and of each writer
// that made other bytes of the same inputs, stays as it is, with the key that signed
// it, and stays readable for ever. When the bytes change on purpose, the next one
// gets a name of its own.
const (
	golden     = "../testdata/golden/"
	current    = "v1c" // v1b says where images were found by the names of containers, not by numbers; v1c of a chart's file its name alone, and its inputs count for the id
	goldenFile = golden + current + ".bundle.tar"
)

var goldenVersions = []string{"v1", "v1b", current}

func goldenTrust(t testing.TB) *trust.Trust {
	t.Helper()
	trust, err := trust.LoadTrust(context.Background(), []string{golden + "key.pub"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestGoldenVerifies(t *testing.T) {
	for _, v := range goldenVersions {
		for _, tc := range []struct {
			name, key, signers, signer string
		}{
			{"public key", golden + "key.pub", "", "golden@example.com"},
			{"allowed signers", "", golden + "allowed_signers", "golden@example.com"},
		} {
			t.Run(v+" "+tc.name, func(t *testing.T) {
				var keys []string
				if tc.key != "" {
					keys = []string{tc.key}
				}
				trust, err := trust.LoadTrust(context.Background(), keys, tc.signers)
				if err != nil {
					t.Fatal(err)
				}
				r, err := Verify(context.Background(), golden+v+".bundle.tar", trust, nil)
				if err != nil {
					t.Fatal(err)
				}
				pub, err := checksum.ParsePublicKey([]byte(regtest.ReadFile(t, golden+"key.pub")))
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Signers) != 1 || r.Signers[0].Fingerprint != pub.Fingerprint() || r.Signers[0].Name() != tc.signer {
					t.Errorf("signed by %+v, want %s (%s)", r.Signers, pub.Fingerprint(), tc.signer)
				}
			})
		}
	}
}

func inspectGolden(t testing.TB, path string, trust *trust.Trust) []byte {
	t.Helper()
	r, err := Inspect(context.Background(), path, trust)
	if err != nil {
		t.Fatal(err)
	}
	r.Path = filepath.Base(r.Path)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestGoldenInspects(t *testing.T) {
	for _, v := range goldenVersions {
		got := inspectGolden(t, golden+v+".bundle.tar", goldenTrust(t))
		if want := regtest.ReadFile(t, golden+v+".inspect.json"); string(got) != want {
			t.Errorf("%s shows\n%s\nwant\n%s", v, got, want)
		}
	}
}

func TestGoldenImports(t *testing.T) {
	for _, v := range goldenVersions {
		t.Run(v, func(t *testing.T) {
			priv := startRegistry(t)
			o := onto(priv, goldenTrust(t))
			o.OutputDir = t.TempDir()
			r := mustImport(t, golden+v+".bundle.tar", o)
			want := strings.Fields(regtest.ReadFile(t, golden+v+".images.txt"))
			if len(r.Images)*2 != len(want) {
				t.Errorf("%d names pushed, want %d: %+v", len(r.Images), len(want)/2, r.Images)
			}
			for i := 0; i < len(want); i += 2 {
				holds(t, priv, "apps/"+want[i], digest.Digest(want[i+1]))
			}
			values := regtest.ReadFile(t, o.OutputDir, "app", "values.yaml")
			for _, line := range []string{"repository: " + priv.Host() + "/apps/acme/app", "sidecar: " + priv.Host() + "/apps/acme/sidecar:2"} {
				if !strings.Contains(values, line) {
					t.Errorf("values.yaml lacks %q:\n%s", line, values)
				}
			}
		})
	}
}

// exportGolden makes the golden bundle of the current version again, from its
// inputs.
func exportGolden(t *testing.T, path string) {
	t.Helper()
	pub := startRegistry(t)
	pushIndex(t, pub, "acme/app:1.0", regtest.Index{Attestation: true, Images: []regtest.Image{
		{Platform: "linux/amd64", Layers: []regtest.Layer{{Size: 2000, Seed: 1}, {Size: 500, Seed: 2}}},
		{Platform: "linux/arm64", Layers: []regtest.Layer{{Size: 2000, Seed: 1}, {Size: 500, Seed: 3}}},
	}})
	pushImage(t, pub, "acme/sidecar:2", regtest.Image{Layers: []regtest.Layer{{Size: 700, Seed: 4}}, Docker: true})
	signer, err := trust.LoadSigner(context.Background(), golden+"key", trust.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{{
			Ref:         golden + "app-1.0.0.tgz",
			Set:         []string{"replicas=3"},
			SetString:   []string{"note=given at export"},
			Namespace:   "plant",
			KubeVersion: "v1.34.0",
		}},
		Output:   path,
		Signer:   signer,
		Created:  time.Unix(1700000000, 0),
		Tool:     "bundle golden",
		Registry: through(pub),
	})
}

// The writer of today makes the bytes of history out of the same inputs.
func TestGoldenReproduced(t *testing.T) {
	path := filepath.Join(t.TempDir(), filepath.Base(goldenFile))
	exportGolden(t, path)
	if *update {
		writeGolden(t, path)
	}
	got, want := []byte(regtest.ReadFile(t, path)), []byte(regtest.ReadFile(t, goldenFile))
	if bytes.Equal(got, want) {
		return
	}
	t.Errorf("%d bytes, the golden bundle has %d; first difference at byte %d", len(got), len(want), firstDifference(got, want))
	t.Logf("made now: %s", inspectGolden(t, path, trust.TrustAnyone()))
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func writeGolden(t *testing.T, path string) {
	t.Helper()
	write := func(name string, b []byte) {
		if err := os.WriteFile(golden+name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(current+".bundle.tar", []byte(regtest.ReadFile(t, path)))
	for _, v := range goldenVersions {
		write(v+".inspect.json", inspectGolden(t, golden+v+".bundle.tar", goldenTrust(t)))
	}
	var images bytes.Buffer
	r := mustImport(t, path, onto(startRegistry(t), goldenTrust(t)))
	for _, im := range r.Images {
		_, name, _ := strings.Cut(im.Target, "/apps/")
		fmt.Fprintln(&images, name, im.Digest)
	}
	write(current+".images.txt", images.Bytes())
}

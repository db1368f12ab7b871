package bundle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// signed is a registry with an index that has an SBOM and a cosign signature, and
// a bundle of it.
func signed(t *testing.T) (pub *regtest.Registry, path string, index, sbom ocispec.Descriptor) {
	t.Helper()
	pub, err := regtest.StartReferrers(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pub.Close() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	index = pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	sbom = attach(t, pub, "acme/app", "sbom", index)
	cosignSign(t, pub, "acme/app", index, key)
	return pub, exportSigned(t, pub), index, sbom
}

func exportSigned(t *testing.T, pub *regtest.Registry) string {
	t.Helper()
	r := mustExport(t, ExportOptions{
		Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Registry: through(pub), Output: filepath.Join(t.TempDir(), "a.tar"),
	})
	if len(r.Referrers) < 2 {
		t.Fatalf("referrers %+v", r.Referrers)
	}
	return r.Output
}

// A registry that takes no signature or SBOM takes the image all the same.
func TestImportReferrersRefused(t *testing.T) {
	_, path, index, sbom := signed(t)
	hasSubject := func(m ocispec.Manifest) bool { return m.Subject != nil }
	noImage := func(m ocispec.Manifest) bool {
		return m.Config.MediaType != "" && m.Config.MediaType != ocispec.MediaTypeImageConfig
	}
	put := func(path string, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PUT", Class: regtest.Manifest, Path: path, Do: do}
	}
	sig := "sha256-" + index.Digest.Encoded() + ".sig"
	for _, tc := range []struct {
		name  string
		fault regtest.Fault
		lost  []string // parts of the names that do not arrive
	}{
		{"a subject", regtest.RefuseManifests(400, hasSubject), []string{sbom.Digest.String()}},
		{"a subject, said with 404", regtest.RefuseManifests(404, hasSubject), []string{sbom.Digest.String()}},
		{"a subject, at which it breaks", regtest.RefuseManifests(500, hasSubject), []string{sbom.Digest.String()}},
		{"configs that are of no image", regtest.RefuseManifests(400, noImage), []string{sbom.Digest.String()}},
		{"the tag of a signature", put(sig, regtest.Says(400, "TAG_INVALID", "reserved")), []string{sig}},
		{"the tag of a signature, forbidden", put(sig, regtest.Says(403, "DENIED", "reserved")), []string{sig}},
		{"the list of referrers", put("manifests/sha256-"+index.Digest.Encoded(), regtest.Says(409, "DENIED", "immutable")), []string{sig, sbom.Digest.String()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			priv := startRegistry(t)
			priv.Inject(tc.fault)
			o := onto(priv, trust.TrustAnyone())
			o.OutputDir = t.TempDir()
			o.RegistryOptions.Retry = remote.Retry{Attempts: 2, MinWait: time.Millisecond}
			r, err := Import(t.Context(), path, o)
			wantError(t, err, fault.Incomplete, tc.lost...)
			if h := fault.Hint(err); !strings.Contains(h, "--no-referrers") {
				t.Errorf("hint %q", h)
			}
			holds(t, priv, "apps/acme/app:1", index.Digest)
			for _, im := range r.Images {
				want := slices.ContainsFunc(tc.lost, func(part string) bool { return strings.Contains(im.Target, part) })
				if (im.Refused != "") != want || im.Pushed == want {
					t.Errorf("%+v", im)
				}
			}

			o.NoReferrers = true
			r = mustImport(t, path, o)
			if slices.ContainsFunc(r.Images, func(im push.Image) bool { return im.Kind == place.Referrer }) {
				t.Errorf("referrers in %+v", r.Images)
			}
		})
	}
}

// Nothing is attached before the image has its tag.
func TestImportReferrersLast(t *testing.T) {
	_, path, index, sbom := signed(t)
	priv := startRegistry(t)
	mustImport(t, path, onto(priv, trust.TrustAnyone()))
	var order []string
	for _, w := range writes(priv) {
		switch {
		case strings.HasSuffix(w, "/app/manifests/1"):
			order = append(order, "tag")
		case strings.Contains(w, sbom.Digest.String()), strings.HasSuffix(w, "-"+index.Digest.Encoded()+".sig"), strings.HasSuffix(w, "/sha256-"+index.Digest.Encoded()):
			order = append(order, "attached")
		}
	}
	if len(order) != 4 || order[0] != "tag" {
		t.Errorf("manifests came in the order %v", order)
	}
}

// Where the list of referrers is a tag that may not be changed, one more referrer
// of an image that is there costs itself alone.
func TestImportAnotherReferrer(t *testing.T) {
	pub, path, index, _ := signed(t)
	priv := startRegistry(t)
	priv.Inject(regtest.ImmutableTags(400))
	mustImport(t, path, onto(priv, trust.TrustAnyone()))
	more := attach(t, pub, "acme/app", "scan", index)
	o := onto(priv, trust.TrustAnyone())
	o.OutputDir = t.TempDir()
	r, err := Import(t.Context(), exportSigned(t, pub), o)
	wantError(t, err, fault.Incomplete, more.Digest.String(), "immutable")
	refused := 0
	for _, im := range r.Images {
		if im.Refused != "" {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("images %+v", r.Images)
	}
	holds(t, priv, "apps/acme/app:1", index.Digest)
}

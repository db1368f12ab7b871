package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// attached is a bundle of a chart, an index, an image, and a signature and an SBOM
// of the index, beside what the target has after an import.
func attached(t *testing.T) (path string, whole map[string]digest.Digest) {
	t.Helper()
	pub, err := regtest.StartReferrers(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	index := pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	side := pushImage(t, pub, "acme/side:1", small(7))
	sbom := attach(t, pub, "acme/app", "sbom", index)
	r := mustExport(t, ExportOptions{
		Charts:   []source.ChartSpec{{Ref: regtest.Folder(t, podChart), Set: []string{"sidecar=acme/side:1"}}},
		Unsigned: true, Registry: through(pub),
	})
	return r.Output, map[string]digest.Digest{
		"apps/acme/app:1": index.Digest, "apps/acme/side:1": side.Digest, "apps/charts/app:1.0.0": r.Charts[0].Digest,
		"apps/acme/app@" + sbom.Digest.String(): sbom.Digest,
	}
}

// part is something that a registry may lose.
type part struct {
	repo     string
	digest   digest.Digest
	manifest bool
}

// partsOf lists all that a registry serves under a name, the name's own manifest
// first.
func partsOf(t testing.TB, reg *regtest.Registry, ref string) []part {
	t.Helper()
	d, raw, err := reg.Manifest(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	repo, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repo, ':'); i >= 0 {
		repo = repo[:i]
	}
	var m struct {
		Config            *ocispec.Descriptor
		Layers, Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	all := []part{{repo, d.Digest, true}}
	for _, c := range m.Manifests {
		all = append(all, partsOf(t, reg, repo+"@"+c.Digest.String())...)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		all = append(all, part{repo, l.Digest, false})
	}
	return all
}

func (p part) lose(t testing.TB, reg *regtest.Registry) {
	t.Helper()
	err := error(nil)
	if p.manifest {
		err = reg.DeleteManifest(context.Background(), p.repo+"@"+p.digest.String())
	} else {
		err = reg.DeleteBlob(context.Background(), p.repo, p.digest)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What a registry has lost of what was imported is found and pushed again, and
// nothing else is.
func TestImportHeals(t *testing.T) {
	t.Parallel()
	path, whole := attached(t)
	priv := startRegistry(t)
	o := onto(priv, trust.TrustAnyone())
	mustImport(t, path, o)
	app, side, chart := partsOf(t, priv, "apps/acme/app:1"), partsOf(t, priv, "apps/acme/side:1"), partsOf(t, priv, "apps/charts/app:1.0.0")
	manifests := slices.DeleteFunc(slices.Clone(app), func(p part) bool { return !p.manifest })
	blobs := slices.DeleteFunc(slices.Clone(app), func(p part) bool { return p.manifest })
	for _, tc := range []struct {
		name string
		lost []part
	}{
		{"a child of an index", manifests[1:2]},
		{"all children of an index", manifests[1:]},
		{"the attestation of a child", manifests[len(manifests)-1:]},
		{"an index, whose tag goes with it", manifests[:1]},
		{"a config", side[len(side)-1:]},
		{"a layer", side[1:2]},
		{"a layer of the child of an index", blobs[:1]},
		{"everything below a manifest", side[1:]},
		{"an image", side},
		{"the archive of a chart", chart[1:2]},
		{"a referrer", []part{{"apps/acme/app", referrer(whole), true}}},
		{"the list of referrers", []part{{"apps/acme/app", list(t, priv, manifests[0].digest), true}}},
		{"everything", slices.Concat(app, side, chart)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lost := make(map[part]bool) // some stand twice: a layer that children share
			for _, p := range tc.lost {
				if !lost[p] {
					p.lose(t, priv)
				}
				lost[p] = true
			}
			dry := o
			dry.DryRun = true
			if r := mustImport(t, path, dry); !slices.ContainsFunc(r.Images, func(im push.Image) bool { return im.Pushed }) {
				t.Error("a dry run sees nothing to push")
			}
			r := mustImport(t, path, o)
			for ref, d := range whole {
				holds(t, priv, ref, d)
			}
			list(t, priv, manifests[0].digest)
			for _, im := range r.Images {
				_, name, _ := strings.Cut(im.Target, "/")
				repo := strings.FieldsFunc(name, func(r rune) bool { return r == ':' || r == '@' })[0]
				touched := slices.ContainsFunc(tc.lost, func(p part) bool { return p.repo == repo })
				if im.Pushed && !touched || !im.Pushed && touched && im.Kind != place.Referrer && len(tc.lost) > 1 {
					t.Errorf("%s: pushed %v", im.Target, im.Pushed)
				}
			}
			priv.Log.Reset()
			mustImport(t, path, o)
			if w := writes(priv); w != nil {
				t.Errorf("one more import writes %v", w)
			}
		})
	}
}

// list is the digest of the list of referrers that stands under a tag.
func list(t *testing.T, reg *regtest.Registry, subject digest.Digest) digest.Digest {
	t.Helper()
	d, _, err := reg.Manifest(t.Context(), "apps/acme/app:sha256-"+subject.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

// referrer is the digest of the one that whole has.
func referrer(whole map[string]digest.Digest) digest.Digest {
	for ref, d := range whole {
		if strings.Contains(ref, "@") {
			return d
		}
	}
	return ""
}

// Whatever is lost, in any mixture.
func TestImportHealsAnything(t *testing.T) {
	t.Parallel()
	path, whole := attached(t)
	priv := startRegistry(t)
	o := onto(priv, trust.TrustAnyone())
	mustImport(t, path, o)
	all := make(map[part]bool)
	for ref := range whole {
		for _, p := range partsOf(t, priv, ref) {
			all[p] = true
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		for p := range all {
			if random.IntN(4) == 0 {
				p.lose(t, priv)
			}
		}
		mustImport(t, path, o)
		for ref, d := range whole {
			holds(t, priv, ref, d)
		}
		if t.Failed() {
			return
		}
	}
}

// The clean-up of docker-registry takes the children of tagged indexes, a known
// fault of it, and referrers, which have no tag.
func TestImportHealsGarbageCollection(t *testing.T) {
	t.Parallel()
	path, whole := attached(t)
	priv, err := regtest.StartProcess(regtest.Options{Dir: t.TempDir()})
	if errors.Is(err, regtest.ErrNoProcess) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer priv.Close()
	o := onto(priv, trust.TrustAnyone())
	mustImport(t, path, o)
	if err := priv.GarbageCollect(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	_, raw, err := priv.Manifest(t.Context(), "apps/acme/app:1")
	if err != nil {
		t.Fatal(err)
	}
	var ix ocispec.Index
	if err := json.Unmarshal(raw, &ix); err != nil {
		t.Fatal(err)
	}
	for _, c := range ix.Manifests {
		lacks(t, priv, "apps/acme/app@"+c.Digest.String())
	}
	r := mustImport(t, path, o)
	for ref, d := range whole {
		holds(t, priv, ref, d)
	}
	if r.Bytes.Sent == 0 {
		t.Errorf("bytes %+v", r.Bytes)
	}
}

// Fifty whole images are asked for, and nothing else happens.
func TestImportFiftyAgain(t *testing.T) {
	pub, priv := startRegistry(t), startRegistry(t)
	o := ExportOptions{Unsigned: true, Registry: through(pub), Output: filepath.Join(t.TempDir(), "x.tar")}
	for i := range int64(50) {
		ref := "acme/app-" + string(rune('a'+i/10)) + string(rune('0'+i%10)) + ":1"
		pushImage(t, pub, ref, small(i))
		o.Images = append(o.Images, ref)
	}
	mustExport(t, o)
	to := onto(priv, trust.TrustAnyone())
	mustImport(t, o.Output, to)
	priv.Log.Reset()
	r := mustImport(t, o.Output, to)
	heads, other := 0, 0
	for _, q := range priv.Log.Requests() {
		switch {
		case strings.Contains(q.Path, "/bundle-records/"): // of imports, see package history
		case q.Method == "HEAD":
			heads++
		default:
			other++
		}
	}
	if heads != 50*(1+1+3) || other != 0 || r.Bytes.Sent != 0 {
		t.Errorf("%d HEAD requests and %d others, %+v", heads, other, r.Bytes)
	}
}

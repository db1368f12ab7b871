package bundle

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/testdata/regtest"
)

// podArchive is podChart, packed.
func podArchive(t *testing.T) []byte {
	t.Helper()
	files := make(map[string]string)
	dir := regtest.Folder(t, podChart)
	for _, name := range regtest.Files(t, dir) {
		files[name] = regtest.ReadFile(t, dir, name)
	}
	archive, err := regtest.ChartArchive("app", files)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// pushPodChart pushes podChart as a chart, under "repository:tag".
func pushPodChart(t *testing.T, reg *regtest.Registry, ref string) ocispec.Descriptor {
	t.Helper()
	d, err := reg.PushChart(context.Background(), ref, podArchive(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The signature of a chart travels like that of an image, also beside a choice of
// platforms, which changes no chart.
func TestChartReferrersTravel(t *testing.T) {
	t.Parallel()
	pub, err := regtest.StartReferrers(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	priv, none := startRegistry(t), startRegistry(t)
	pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	root := pushPodChart(t, pub, "charts/app:1.0.0")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cosignSign(t, pub, "charts/app", root, key)
	sbom := attach(t, pub, "charts/app", "sbom", root)
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{{Ref: "oci://ghcr.io/charts/app", Version: "1.0.0"}}, Platforms: []image.Platform{{OS: "linux", Architecture: "arm64"}},
		Signer: signer, Registry: through(pub),
	})
	if len(r.Referrers) != 2 || r.Referrers[0].Subject != root.Digest {
		t.Fatalf("referrers %+v, want two of %s", r.Referrers, root.Digest)
	}
	mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/charts/app:1.0.0", root.Digest)
	cosignVerify(t, priv, "apps/charts/app", root, &key.PublicKey)
	wantReferrer(t, priv, "apps/charts/app", root, sbom)

	o := onto(none, trust)
	o.SkipCharts = true
	mustImport(t, r.Output, o)
	for _, w := range writes(none) {
		if strings.Contains(w, "charts") {
			t.Errorf("without charts: %s", w)
		}
	}
}

// A choice of platforms keeps what is attached to the children that stay, also
// when that is no tag but a referrer.
func TestPlatformKeepsReferrers(t *testing.T) {
	for name, start := range map[string]func(regtest.Options) (*regtest.Registry, error){"API": regtest.StartReferrers, "tags": regtest.Start} {
		t.Run(name, func(t *testing.T) {
			pub, err := start(regtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer pub.Close()
			priv := startRegistry(t)
			root := pushIndex(t, pub, "acme/app:1", platforms("linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"))
			_, raw, err := pub.Manifest(t.Context(), "acme/app:1")
			if err != nil {
				t.Fatal(err)
			}
			var ix ocispec.Index
			if err := json.Unmarshal(raw, &ix); err != nil {
				t.Fatal(err)
			}
			// Where there is no API, whoever attaches something keeps the list.
			all := map[string][]ocispec.Descriptor{}
			put := func(subject ocispec.Descriptor, kind string) ocispec.Descriptor {
				d := attach(t, pub, "acme/app", kind, subject)
				all[subject.Digest.Encoded()] = append(all[subject.Digest.Encoded()], d)
				if name == "tags" {
					list, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: all[subject.Digest.Encoded()]})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := pub.PushRaw(t.Context(), "acme/app:sha256-"+subject.Digest.Encoded(), ocispec.MediaTypeImageIndex, list); err != nil {
						t.Fatal(err)
					}
				}
				return d
			}
			put(root, "of-the-index")
			var stays ocispec.Descriptor
			var child ocispec.Descriptor
			for _, m := range ix.Manifests {
				d := put(m, "of-a-child-"+m.Digest.Encoded()[:8])
				if m.Platform.Variant == "v7" {
					child, stays = m, d
				}
			}
			signer, trust := newKey(t)
			r := mustExport(t, ExportOptions{
				Images: []string{"ghcr.io/acme/app:1"}, Platforms: []image.Platform{{OS: "linux", Architecture: "arm", Variant: "v7"}}, Signer: signer, Registry: through(pub),
			})
			if len(r.Referrers) != 1 || r.Referrers[0].Subject != child.Digest || r.Referrers[0].Digest != stays.Digest {
				t.Fatalf("referrers %+v, want %s of %s", r.Referrers, stays.Digest, child.Digest)
			}
			mustImport(t, r.Output, onto(priv, trust))
			wantReferrer(t, priv, "apps/acme/app", child, stays)
		})
	}
}

// A registry cannot attach what is not: the manifest has to name its subject.
func TestReferrerOfAnother(t *testing.T) {
	pub := startRegistry(t)
	root := pushImage(t, pub, "acme/app:1", small(1))
	other := pushImage(t, pub, "acme/app:other", small(2))
	stray := attach(t, pub, "acme/app", "sbom", other)
	list, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{stray}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pub.PushRaw(t.Context(), "acme/app:sha256-"+root.Digest.Encoded(), ocispec.MediaTypeImageIndex, list); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	_, err = Export(t.Context(), ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub)})
	wantError(t, err, fault.Failed, stray.Digest.String(), other.Digest.String())
	if !strings.Contains(fault.Hint(err), "--no-referrers") {
		t.Errorf("hint %q", fault.Hint(err))
	}
	regtest.WantFiles(t, out)
}

// An index that names more than fits into memory is refused before its children
// are asked for.
func TestExportManifestBomb(t *testing.T) {
	pub := startRegistry(t)
	ix := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i := range 1000 {
		ix.Manifests = append(ix.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Size: 4 << 20, Digest: digest.FromString(fmt.Sprint(i)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"},
		})
	}
	body, err := json.Marshal(ix)
	if err != nil {
		t.Fatal(err)
	}
	pub.Inject(regtest.Fault{Class: regtest.Manifest, Do: regtest.Answer(200, ocispec.MediaTypeImageIndex, string(body))})
	out := t.TempDir()
	_, err = Export(t.Context(), ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub)})
	wantError(t, err, fault.Failed, "ghcr.io/acme/app:1", "64 MiB")
	if n := pub.Log.Count("GET", ""); n != 1 {
		t.Errorf("%d requests, want that for the index alone", n)
	}
	regtest.WantFiles(t, out)
}

// Keys to leave out are written as helm's --set takes them; one that is nowhere
// is a mistake, even beside one that is.
func TestLeaveOut(t *testing.T) {
	values := func() map[string]any {
		return map[string]any{
			"a": map[string]any{"secret": "x", "n": int64(20240101)}, "dotted": map[string]any{"k8s.io/token": "x", "kept": "y"},
			"list": []any{map[string]any{"pin": "x", "name": "first"}, "x"},
		}
	}
	for _, tc := range []struct {
		key  string
		find bool
		want map[string]any // nil: as it was
	}{
		{"a", true, map[string]any{"dotted": values()["dotted"], "list": values()["list"]}},
		{"a.secret", true, map[string]any{"a": map[string]any{"n": int64(20240101)}, "dotted": values()["dotted"], "list": values()["list"]}},
		{`dotted.k8s\.io/token`, true, map[string]any{"a": values()["a"], "dotted": map[string]any{"kept": "y"}, "list": values()["list"]}},
		{"list[0].pin", true, map[string]any{"a": values()["a"], "dotted": values()["dotted"], "list": []any{map[string]any{"name": "first"}, "x"}}},
		{"list[1]", true, map[string]any{"a": values()["a"], "dotted": values()["dotted"], "list": []any{map[string]any{"pin": "x", "name": "first"}, nil}}},
		{"a.none", false, nil},
		{"a.secret.deeper", false, nil},
		{"dotted.k8s.io/token", false, nil},
		{"list[2]", false, nil},
		{"list[-1]", false, nil},
		{"list.pin", false, nil},
		{"", false, nil},
	} {
		r := record.Chart{Values: values()}
		if tc.want == nil {
			tc.want = values()
		}
		r.LeaveOut(false, []string{tc.key})
		if !reflect.DeepEqual(r.Values, tc.want) || (len(r.LeftOut) == 1) != tc.find {
			t.Errorf("%s: %v, left out %q", tc.key, r.Values, r.LeftOut)
		}
	}
	chart := func(v map[string]any) *source.Chart { return &source.Chart{Record: record.Chart{Values: v}} }
	for _, tc := range []struct {
		keys   []string
		charts []*source.Chart
		fails  string
	}{
		{[]string{"a.secret"}, []*source.Chart{chart(values()), chart(map[string]any{"b": 1})}, ""},
		{[]string{"a.secret", "a.secrt"}, []*source.Chart{chart(values())}, "a.secrt"},
		{[]string{"a.secret"}, []*source.Chart{chart(nil)}, "a.secret"}, // the key is spelt otherwise, or the values were forgotten
	} {
		err := source.LeaveOut(tc.charts, false, tc.keys)
		if tc.fails == "" && err != nil {
			t.Errorf("%q: %v", tc.keys, err)
		}
		if tc.fails != "" {
			wantError(t, err, fault.Usage, tc.fails)
		}
	}
}

// A reference to a chart with a password in it is refused without repeating it.
func TestChartReferenceWithPassword(t *testing.T) {
	_, err := Images(t.Context(), []ChartSpec{{Ref: "oci://u:hunter2@registry.invalid/charts/app", Version: "1.0.0"}}, false, RegistryOptions{})
	wantError(t, err, fault.Usage, "registry.invalid/charts/app")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error is %v", err)
	}
}

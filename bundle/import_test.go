package bundle

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// shipment is a bundle of podChart with an index and an image that share a
// base layer.
func shipment(t testing.TB, o ExportOptions) (report *reports.Export, trust *trust.Trust) {
	t.Helper()
	pub := startRegistry(t)
	pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	pushImage(t, pub, "acme/side:1", small(7))
	pushImage(t, pub, "acme/late:1", small(8))
	if o.Charts == nil {
		o.Charts = []source.ChartSpec{{Ref: regtest.Folder(t, podChart), Set: []string{"sidecar=acme/side:1"}}}
	}
	o.Registry = through(pub)
	o.Signer, trust = newKey(t)
	return mustExport(t, o), trust
}

// What clients can see comes last: every blob before any manifest, every
// manifest before any tag.
func TestImportOrder(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	priv := startRegistry(t)
	o := onto(priv, trust)
	o.NoRecord = true
	mustImport(t, r.Output, o)
	var lastBlob, firstManifest, lastManifest, firstTag int
	counts := make(map[string]int)
	for i, q := range priv.Log.Requests() {
		what := ""
		switch {
		case q.Class == regtest.Upload && q.Method != "DELETE" && q.Status < 300:
			what, lastBlob = "blob", i
		case q.Class == regtest.Manifest && q.Method == "PUT" && strings.Contains(q.Path, "/manifests/sha256:"):
			what, lastManifest = "manifest", i
			if firstManifest == 0 {
				firstManifest = i
			}
		case q.Class == regtest.Manifest && q.Method == "PUT":
			what = "tag"
			if firstTag == 0 {
				firstTag = i
			}
		}
		counts[what]++
	}
	// The index has two children and an attestation; two images and a chart
	// have tags.
	if counts["manifest"] != 3 || counts["tag"] != 3 || counts["blob"] == 0 {
		t.Errorf("requests that push: %v", counts)
	}
	if lastBlob > firstManifest || lastManifest > firstTag {
		t.Errorf("last blob at %d, manifests from %d to %d, first tag at %d", lastBlob, firstManifest, lastManifest, firstTag)
	}
}

// A second import asks and writes nothing, and emits the same files.
func TestImportAgain(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	priv := startRegistry(t)
	o := onto(priv, trust)
	o.OutputDir = t.TempDir()
	first := mustImport(t, r.Output, o)
	before := regtest.ReadFile(t, o.OutputDir, "app", "values.yaml")
	for _, im := range first.Images {
		if !im.Pushed {
			t.Errorf("first import: %s was not pushed", im.Target)
		}
	}
	priv.Log.Reset()
	second := mustImport(t, r.Output, o)
	if w := writes(priv); w != nil {
		t.Errorf("writes: %v", w)
	}
	if second.Bytes.Sent != 0 || second.Bytes.Mounted != 0 || second.Bytes.Present == 0 {
		t.Errorf("bytes %+v", second.Bytes)
	}
	for _, im := range second.Images {
		if im.Pushed {
			t.Errorf("second import: %s was pushed", im.Target)
		}
	}
	if after := regtest.ReadFile(t, o.OutputDir, "app", "values.yaml"); after != before {
		t.Errorf("values changed from\n%s\nto\n%s", before, after)
	}
}

// What is missing is pushed, and nothing else.
func TestImportRepairs(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	priv := startRegistry(t)
	mustImport(t, r.Output, onto(priv, trust))
	other := pushImage(t, priv, "apps/acme/side:1", small(99)) // the tag moved
	priv.Log.Reset()
	report := mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/side:1", r.Images[1].Digest)
	holds(t, priv, "apps/acme/side@"+other.Digest.String(), other.Digest)
	for _, im := range report.Images {
		if want := strings.HasSuffix(im.Target, "/side:1"); im.Pushed != want {
			t.Errorf("%s: pushed %v, want %v", im.Target, im.Pushed, want)
		}
	}
	if report.Bytes.Sent != 0 {
		t.Errorf("sent %d bytes that were there", report.Bytes.Sent)
	}
	for _, w := range writes(priv) {
		if !strings.Contains(w, "/blobs/uploads/") && w != "PUT /v2/apps/acme/side/manifests/1" && !strings.Contains(w, "/apps/bundle-records/") {
			t.Errorf("unexpected %s", w)
		}
	}
}

// A blob that several repositories need crosses the network once; the
// registry links it into the others, also from a repository that had it before.
func TestImportMounts(t *testing.T) {
	pub := startRegistry(t)
	img := small(1)
	for _, ref := range []string{"acme/a:1", "acme/b:1", "acme/c:1"} {
		pushImage(t, pub, ref, img)
	}
	signer, trust := newKey(t)
	export := func(images ...string) string {
		return mustExport(t, ExportOptions{Images: images, Signer: signer, Registry: through(pub)}).Output
	}
	path := export("ghcr.io/acme/a:1", "ghcr.io/acme/b:1", "ghcr.io/acme/c:1")
	b := mustOpen(t, path, trust)
	_, blobs, err := b.BlobsOf(b.Index.Manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, d := range blobs {
		size += d.Size
	}

	priv := startRegistry(t)
	all := mustImport(t, path, onto(priv, trust))
	if want := (push.Bytes{Sent: size, Mounted: 2 * size}); all.Bytes != want {
		t.Errorf("bytes %+v, want %+v", all.Bytes, want)
	}

	priv = startRegistry(t)
	mustImport(t, export("ghcr.io/acme/a:1"), onto(priv, trust))
	rest := mustImport(t, path, onto(priv, trust))
	if want := (push.Bytes{Mounted: 2 * size, Present: size}); rest.Bytes != want {
		t.Errorf("bytes %+v, want %+v", rest.Bytes, want)
	}
	for _, ref := range []string{"apps/acme/a:1", "apps/acme/b:1", "apps/acme/c:1"} {
		holds(t, priv, ref, b.Index.Manifests[0].Digest)
	}
}

// A registry that does not mount gets the bytes.
func TestImportWithoutMount(t *testing.T) {
	pub := startRegistry(t)
	d := pushImage(t, pub, "acme/a:1", small(1))
	pushImage(t, pub, "acme/b:1", small(1))
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/a:1", "ghcr.io/acme/b:1"}, Signer: signer, Registry: through(pub)})
	priv, err := regtest.StartReferrers(regtest.Options{}) // has mounting, but of a kind that starts an upload
	if err != nil {
		t.Fatal(err)
	}
	defer priv.Close()
	report := mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/a:1", d.Digest)
	holds(t, priv, "apps/acme/b:1", d.Digest)
	if b := report.Bytes; b.Sent == 0 || b.Sent+b.Mounted+b.Present < 2*r.Payload {
		t.Errorf("bytes %+v do not add up to twice %d", b, r.Payload)
	}
}

func TestImportCollision(t *testing.T) {
	pub := startRegistry(t)
	one := pushImage(t, pub, "acme/app:1", small(1))
	two := pushImage(t, pub, "hub/acme/app:1", small(2))
	signer, trust := newKey(t)
	reg := through(pub)
	reg.Mirrors["quay.io"] = pub.Host() + "/hub"
	r := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/app:1", "quay.io/acme/app:1"}, Signer: signer, Registry: reg})
	priv := startRegistry(t)
	o := onto(priv, trust)
	_, err := Import(context.Background(), r.Output, o)
	wantError(t, err, fault.Failed, "ghcr.io/acme/app:1", "quay.io/acme/app:1", priv.Host()+"/apps/acme/app:1", one.Digest.String(), two.Digest.String())
	if n := priv.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
	o.Names = NamesHost
	mustImport(t, r.Output, o)
	holds(t, priv, "apps/ghcr.io/acme/app:1", one.Digest)
	holds(t, priv, "apps/quay.io/acme/app:1", two.Digest)
}

// An image that would take the name of a chart collides as well.
func TestImportCollisionWithChart(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	pushImage(t, pub, "charts/app:1.0.0", small(2))
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart)}}, Images: []string{"ghcr.io/charts/app:1.0.0"}, Signer: signer, Registry: through(pub),
	})
	priv := startRegistry(t)
	_, err := Import(context.Background(), r.Output, onto(priv, trust))
	wantError(t, err, fault.Failed, "ghcr.io/charts/app:1.0.0", "bundle.invalid/charts/app:1.0.0")
	if n := priv.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestImportDryRun(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	priv := startRegistry(t)
	o := onto(priv, trust)
	o.OutputDir = filepath.Join(t.TempDir(), "out")
	o.DryRun = true
	dry := mustImport(t, r.Output, o)
	for _, w := range writes(priv) {
		// Whether a push is allowed is found out by beginning an upload that
		// is cancelled.
		if !strings.HasPrefix(w, "POST ") && !strings.HasPrefix(w, "DELETE ") || !strings.Contains(w, "/blobs/uploads/") {
			t.Errorf("a dry run sends %s", w)
		}
	}
	for _, im := range dry.Images {
		_, name, _ := strings.Cut(im.Target, "/")
		lacks(t, priv, name)
	}
	if _, err := os.Stat(o.OutputDir); !os.IsNotExist(err) {
		t.Errorf("output folder: %v", err)
	}
	o.DryRun = false
	wet := mustImport(t, r.Output, o)
	if !dry.DryRun || wet.DryRun {
		t.Errorf("a dry run: %v, and %v", dry.DryRun, wet.DryRun)
	}
	dry.DryRun = false
	if dry.Bytes.Sent != wet.Bytes.Sent {
		t.Errorf("%d bytes announced, %d sent", dry.Bytes.Sent, wet.Bytes.Sent)
	}
	if a, b := report(t, dry), report(t, wet); a != b {
		t.Errorf("dry run %s\nimport %s", a, b)
	}
}

// report is what a dry run and an import have in common.
func report(t testing.TB, r *reports.Import) string {
	t.Helper()
	c := *r
	c.Bytes, c.OutputDir = push.Bytes{}, ""
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The values of the export hold at the import, and those given there lie on
// top.
func TestImportValues(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "v.yaml")
	if err := os.WriteFile(file, []byte("replicas: 2\nlabels: {a: one, b: one}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	chart := regtest.Folder(t, podChart)
	r, trust := shipment(t, ExportOptions{
		Charts: []source.ChartSpec{{Ref: chart, ValueFiles: []string{file}, Set: []string{"sidecar=acme/side:1"}, Release: "rel", Namespace: "ns"}},
		Images: []string{"ghcr.io/acme/late:1"},
	})
	late := filepath.Join(t.TempDir(), "late.yaml")
	if err := os.WriteFile(late, []byte("labels: {b: two}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		o       ImportOptions
		given   string // below its comment
		sidecar string // pushed by this name
		err     string
	}{
		{"of the export", ImportOptions{}, "labels:\n  a: one\n  b: one\nreplicas: 2\nsidecar: acme/side:1\n", "acme/side:1", ""},
		{"file on top", ImportOptions{ValueFiles: []string{late}}, "labels:\n  a: one\n  b: two\nreplicas: 2\nsidecar: acme/side:1\n", "acme/side:1", ""},
		{"set on top", ImportOptions{Set: []string{"replicas=5"}, SetString: []string{"labels.a=7"}}, "labels:\n  a: \"7\"\n  b: one\nreplicas: 5\nsidecar: acme/side:1\n", "acme/side:1", ""},
		{"another image that is inside", ImportOptions{Set: []string{"sidecar=acme/late:1"}}, "labels:\n  a: one\n  b: one\nreplicas: 2\nsidecar: acme/late:1\n", "acme/late:1", ""},
		{"an image that is not inside", ImportOptions{Set: []string{"sidecar=acme/never:1"}}, "labels:\n  a: one\n  b: one\nreplicas: 2\nsidecar: acme/never:1\n", "acme/side:1", "ghcr.io/acme/never:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			priv := startRegistry(t)
			o := onto(priv, trust)
			o.OutputDir = t.TempDir()
			o.ValueFiles, o.Set, o.SetString = tc.o.ValueFiles, tc.o.Set, tc.o.SetString
			report, err := Import(context.Background(), r.Output, o)
			if tc.err != "" {
				wantError(t, err, fault.Incomplete, tc.err, "app/templates/deployment.yaml", "not in the bundle")
			} else if err != nil {
				t.Fatal(err)
			}
			wantValues(t, o.OutputDir, "rel/values.given.yaml", "rel/values.yaml")
			_, given, _ := strings.Cut(regtest.ReadFile(t, o.OutputDir, "rel", "values.given.yaml"), "\n")
			if given != tc.given {
				t.Errorf("given\n%s\nwant\n%s", given, tc.given)
			}
			if i := slices.IndexFunc(report.Images, func(im push.Image) bool { return im.Source == "ghcr.io/"+tc.sidecar }); i < 0 {
				t.Errorf("%s is not among %+v", tc.sidecar, report.Images)
			} else {
				holds(t, priv, "apps/"+tc.sidecar, digest.Digest(report.Images[i].Digest))
			}
			c := report.Charts[0]
			if want := []string{"rel/values.given.yaml", "rel/values.yaml"}; !slices.Equal(c.Files, want) {
				t.Errorf("files %v, want %v", c.Files, want)
			}
			for _, part := range []string{"helm upgrade --install rel oci://" + priv.Host() + "/apps/charts/app --version 1.0.0 --namespace ns", "values.given.yaml -f "} {
				if !strings.Contains(c.Helm, part) {
					t.Errorf("%s lacks %q", c.Helm, part)
				}
			}
		})
	}
}

// Numbers mean on the far side what they meant at export: an int is rendered
// as an int.
func TestImportNumbers(t *testing.T) {
	pub := startRegistry(t)
	d := pushImage(t, pub, "acme/app:20240101", small(1))
	chart := strings.Replace(podChart, "image: acme/app:1\n", "tag: none\n", 1)
	chart = strings.Replace(chart, "{{ .Values.image }}", "acme/app:{{ .Values.tag }}", 1)
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{{Ref: regtest.Folder(t, chart), Set: []string{"tag=20240101", "replicas=9007199254740993"}}}, Signer: signer, Registry: through(pub),
	})
	if len(r.Images) != 1 || r.Images[0].Reference != "ghcr.io/acme/app:20240101" {
		t.Fatalf("images %+v", r.Images)
	}
	priv := startRegistry(t)
	o := onto(priv, trust)
	o.OutputDir = t.TempDir()
	report := mustImport(t, r.Output, o)
	holds(t, priv, "apps/acme/app:20240101", d.Digest)

	// Helm reads the numbers of a file as floats: what was emitted has to do
	// in spite of that.
	c := report.Charts[0]
	again := source.ChartSpec{Ref: "oci://" + priv.Host() + "/apps/charts/app"}
	for _, f := range c.Files {
		again.ValueFiles = append(again.ValueFiles, filepath.Join(o.OutputDir, f))
	}
	words := strings.Fields(c.Helm)
	for i, w := range words {
		if w == "--set" {
			again.Set = append(again.Set, words[i+1])
		}
	}
	dry, err := Export(context.Background(), ExportOptions{Charts: []source.ChartSpec{again}, DryRun: true, Registry: o.RegistryOptions})
	if err != nil {
		t.Fatal(err)
	}
	if want := priv.Host() + "/apps/acme/app:20240101"; len(dry.Images) != 1 || dry.Images[0].Reference != want {
		t.Errorf("the emitted values lead to %+v, want %s", dry.Images, want)
	}
	if n := "9007199254740993"; !strings.Contains(regtest.ReadFile(t, o.OutputDir, c.Files[0])+c.Helm, n) {
		t.Errorf("%s became another number", n)
	}
}

// One bundle serves any number of registries, each with files of its own.
func TestImportTwoRegistries(t *testing.T) {
	t.Parallel()
	r, trust := shipment(t, ExportOptions{})
	for _, prefix := range []string{"apps", "", "plant/line-1"} {
		priv := startRegistry(t)
		o := onto(priv, trust)
		o.Registry.Prefix = prefix
		o.OutputDir = t.TempDir()
		mustImport(t, r.Output, o)
		wantValues(t, o.OutputDir, "app/values.given.yaml", "app/values.yaml")
		below := strings.TrimPrefix(prefix+"/", "/")
		holds(t, priv, below+"acme/app:1", r.Images[0].Digest)
		holds(t, priv, below+"acme/side:1", r.Images[1].Digest)
		holds(t, priv, below+"charts/app:1.0.0", r.Charts[0].Digest)
		values := uncommented(regtest.ReadFile(t, o.OutputDir, "app", "values.yaml"))
		if want := "registry: " + strings.TrimSuffix(priv.Host()+"/"+prefix, "/") + "\n"; !strings.Contains(values, want) {
			t.Errorf("values\n%s\nlack %q", values, want)
		}
		list := regtest.ReadFile(t, o.OutputDir, "images.txt")
		for _, f := range strings.Fields(list) {
			if strings.Contains(f, "/acme/") && strings.HasPrefix(f, "127.0.0.1") && !strings.HasPrefix(f, priv.Host()+"/"+below) {
				t.Errorf("%s in the list of %s", f, o.Registry)
			}
		}
	}
}

// A damaged layer is noticed while it is pushed, and no manifest follows, not
// even one of another image.
func TestImportDamagedLayer(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	b := mustOpen(t, r.Output, trust)
	var damaged layout.Entry
	for _, e := range b.Reader.Entries() {
		damaged = e // the last one is a layer
	}
	whole := []byte(regtest.ReadFile(t, r.Output))
	whole[damaged.Offset+damaged.Size/2] ^= 4
	path := filepath.Join(t.TempDir(), "damaged.tar")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	priv := startRegistry(t)
	o := onto(priv, trust)
	o.OutputDir = filepath.Join(t.TempDir(), "out")
	_, err := Import(context.Background(), path, o)
	wantError(t, err, fault.Damaged, damaged.Name)
	if n := priv.Log.Count("PUT", regtest.Manifest); n != 0 {
		t.Errorf("%d manifests were pushed", n)
	}
	_, hex, _ := strings.Cut(damaged.Name, "sha256/")
	for _, repo := range []string{"apps/acme/app", "apps/acme/side"} {
		if has, err := priv.HasBlob(context.Background(), repo, digest.Digest("sha256:"+hex)); err != nil || has {
			t.Errorf("%s has the damaged layer (%v)", repo, err)
		}
	}
	if _, err := os.Stat(o.OutputDir); !os.IsNotExist(err) {
		t.Errorf("output folder: %v", err)
	}
	// The whole bundle repairs it.
	mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/app:1", r.Images[0].Digest)
}

// A registry that has the layer already does not need it from damaged media.
func TestImportDamagedButPresent(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	priv := startRegistry(t)
	mustImport(t, r.Output, onto(priv, trust))
	b := mustOpen(t, r.Output, trust)
	entries := b.Reader.Entries()
	whole := []byte(regtest.ReadFile(t, r.Output))
	whole[entries[len(entries)-1].Offset] ^= 1
	path := filepath.Join(t.TempDir(), "damaged.tar")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if report := mustImport(t, path, onto(priv, trust)); report.Bytes.Sent != 0 {
		t.Errorf("sent %d bytes", report.Bytes.Sent)
	}
}

func TestImportCancelled(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	for _, tc := range []struct {
		name, method string
		class        regtest.Class
	}{
		{"while comparing", "HEAD", regtest.Manifest},
		{"while pushing blobs", "PUT", regtest.Upload},
		{"while pushing manifests", "PUT", regtest.Manifest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			priv := startRegistry(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			priv.Inject(cancelOn(cancel, tc.method, tc.class))
			o := onto(priv, trust)
			o.OutputDir = filepath.Join(t.TempDir(), "out")
			_, err := Import(ctx, r.Output, o)
			wantError(t, err, fault.Interrupted)
			for _, name := range []string{"apps/acme/app:1", "apps/acme/side:1", "apps/charts/app:1.0.0"} {
				lacks(t, priv, name)
			}
			if _, err := os.Stat(o.OutputDir); !os.IsNotExist(err) {
				t.Errorf("output folder: %v", err)
			}
			// The same command again goes on.
			priv.ClearFaults()
			mustImport(t, r.Output, onto(priv, trust))
			holds(t, priv, "apps/acme/app:1", r.Images[0].Digest)
		})
	}
}

// A registry that refuses is told apart, and is not written to.
func TestImportRefused(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	for _, tc := range []struct {
		name  string
		fault regtest.Fault
	}{
		{"no credentials", regtest.Fault{Do: regtest.Status(401, "WWW-Authenticate", `Basic realm="x"`)}},
		{"no permission", regtest.Fault{Method: "POST", Class: regtest.Upload, Do: regtest.Status(403)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			priv := startRegistry(t)
			priv.Inject(tc.fault)
			o := onto(priv, trust)
			o.OutputDir = filepath.Join(t.TempDir(), "out")
			_, err := Import(context.Background(), r.Output, o)
			wantError(t, err, fault.Refused, priv.Host())
			if n := priv.Log.Count("PUT", "") + priv.Log.Count("PATCH", ""); n != 0 {
				t.Errorf("%d writes", n)
			}
			if _, err := os.Stat(o.OutputDir); !os.IsNotExist(err) {
				t.Errorf("output folder: %v", err)
			}
		})
	}
	t.Run("plain HTTP that nobody allowed", func(t *testing.T) {
		priv := startRegistry(t)
		o := onto(priv, trust)
		o.RegistryOptions.PlainHTTP = nil
		_, err := Import(context.Background(), r.Output, o)
		wantError(t, err, fault.Refused, priv.Host())
		if n := priv.Log.Count("", ""); n != 0 {
			t.Errorf("%d requests in clear", n)
		}
	})
}

func TestImportSkipCharts(t *testing.T) {
	r, trust := shipment(t, ExportOptions{})
	priv := startRegistry(t)
	o := onto(priv, trust)
	o.OutputDir, o.SkipCharts = t.TempDir(), true
	report := mustImport(t, r.Output, o)
	if c := report.Charts[0]; c.Target != "" || c.Archive != "app/app-1.0.0.tgz" || !strings.Contains(c.Helm, " "+filepath.Join(o.OutputDir, c.Archive)+" ") {
		t.Errorf("chart %+v", c)
	}
	wantValues(t, o.OutputDir, "app/values.given.yaml", "app/values.yaml")
	if values := regtest.ReadFile(t, o.OutputDir, "app", "values.yaml"); !strings.Contains(values, report.Charts[0].Helm) {
		t.Errorf("the values do not say how the chart is installed:\n%s", values)
	}
	holds(t, priv, "apps/acme/side:1", r.Images[1].Digest)
	lacks(t, priv, "apps/charts/app:1.0.0")
}

// Every image of the bundle arrives, also one of which the record does not say
// who asked for it.
func TestImportImageWithoutFinding(t *testing.T) {
	signer, trust := newKey(t)
	path := breakage{
		archive: func(f map[string]string) {
			f["values.yaml"] = "image: " + brokenImage + "\n"
			f["templates/pod.yaml"] = "# nothing\n"
		},
		record: func(r *record.Record) { r.Images[0].Found = nil },
	}.build(t, signer)
	priv := startRegistry(t)
	report := mustImport(t, path, onto(priv, trust))
	b := mustOpen(t, path, trust)
	holds(t, priv, "apps/acme/app:1", b.Record.Images[0].Digest)
	if len(report.Images) != 2 {
		t.Errorf("names %+v, want image and chart", report.Images)
	}
}

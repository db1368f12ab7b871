package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

func parsePlatforms(t *testing.T, list ...string) (all []image.Platform) {
	t.Helper()
	for _, s := range list {
		p, err := image.ParsePlatform(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// Images that lack a platform are all named at once; the user may take what there
// is, or an image as it is.
func TestPlatformNotEverywhere(t *testing.T) {
	pub := startRegistry(t)
	pushIndex(t, pub, "acme/both:1", platforms("linux/amd64", "linux/arm64", "linux/s390x"))
	pushIndex(t, pub, "acme/amd:1", platforms("linux/amd64", "linux/s390x"))
	pushImage(t, pub, "acme/single:1", regtest.Image{Layers: small(1).Layers})
	pushImage(t, pub, "acme/wasm:1", regtest.Image{Platform: "wasip1/wasm", Layers: small(2).Layers})
	pushIndex(t, pub, "acme/none:1", platforms("windows/amd64"))
	o := func(optional bool, whole []string, names ...string) ExportOptions {
		o := ExportOptions{
			Unsigned: true, DryRun: true, Registry: through(pub), NoReferrers: []string{AllRegistries},
			Platforms: parsePlatforms(t, "linux/amd64", "linux/arm64"), PlatformOptional: optional, AllPlatforms: whole,
		}
		for _, n := range names {
			o.Images = append(o.Images, "ghcr.io/acme/"+n+":1")
		}
		return o
	}
	t.Run("all are named", func(t *testing.T) {
		_, err := Export(t.Context(), o(false, nil, "both", "amd", "single", "wasm", "none"))
		wantError(t, err, fault.Failed, "4 images cannot travel", "ghcr.io/acme/amd:1: platform linux/arm64 is not offered: it has linux/amd64, linux/s390x",
			"ghcr.io/acme/single:1: platform linux/arm64 is not offered: it has linux/amd64",
			"ghcr.io/acme/wasm:1: platform linux/amd64, linux/arm64 are not offered: it has wasip1/wasm", "ghcr.io/acme/none:1")
		for _, want := range []string{"--platform-optional", "--all-platforms", "--exclude"} {
			if !strings.Contains(fault.Hint(err), want) {
				t.Errorf("hint %q does not name %s", fault.Hint(err), want)
			}
		}
	})
	t.Run("one is excepted", func(t *testing.T) {
		r, err := Export(t.Context(), o(false, []string{"ghcr.io/acme/wasm:1"}, "both", "wasm"))
		if err != nil {
			t.Fatal(err)
		}
		wantPlatforms(t, r, "linux/amd64 linux/arm64", "wasip1/wasm")
		if len(r.Lacking) != 0 {
			t.Errorf("lacking %+v", r.Lacking)
		}
	})
	t.Run("what there is", func(t *testing.T) {
		r, err := Export(t.Context(), o(true, nil, "amd", "both", "none", "single", "wasm"))
		if err != nil {
			t.Fatal(err)
		}
		wantPlatforms(t, r, "linux/amd64", "linux/amd64 linux/arm64", "windows/amd64", "linux/amd64", "wasip1/wasm")
		var lacking []string
		for _, l := range r.Lacking {
			lacking = append(lacking, fmt.Sprint(l.Reference, l.Lacks, l.Takes))
		}
		want := []string{
			"ghcr.io/acme/amd:1[linux/arm64] [linux/amd64]", "ghcr.io/acme/none:1[linux/amd64 linux/arm64] [windows/amd64]",
			"ghcr.io/acme/single:1[linux/arm64] [linux/amd64]", "ghcr.io/acme/wasm:1[linux/amd64 linux/arm64] [wasip1/wasm]",
		}
		if !slices.Equal(lacking, want) {
			t.Errorf("lacking %q, want %q", lacking, want)
		}
	})
	t.Run("nobody asks for what is excepted", func(t *testing.T) {
		_, err := Export(t.Context(), o(false, []string{"ghcr.io/acme/wsam:1"}, "both"))
		wantError(t, err, fault.Usage, "ghcr.io/acme/wsam:1")
	})
}

func wantPlatforms(t *testing.T, r *reports.Export, want ...string) {
	t.Helper()
	var got []string
	for _, im := range r.Images {
		got = append(got, strings.Join(im.Platforms, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("platforms %q, want %q", got, want)
	}
}

func startReferrers(t *testing.T) *regtest.Registry {
	t.Helper()
	reg, err := regtest.StartReferrers(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return reg
}

// Layers travel as they are when the registry has them; what only a URL has is
// named, and nothing is ever fetched from there, on neither side.
func TestUrlsAreData(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	urls := []string{elsewhere.URL + "/layer"}
	for _, tc := range []struct {
		name   string
		layers []regtest.OddLayer
		absent bool
	}{
		{"foreign", []regtest.OddLayer{{MediaType: regtest.ForeignLayer, URLs: urls, Content: "a"}, {Content: "b"}}, false},
		{"foreign without urls", []regtest.OddLayer{{MediaType: regtest.ForeignLayer, Content: "a"}}, false},
		{"non-distributable", []regtest.OddLayer{{MediaType: regtest.NonDistributable, Content: "a"}, {MediaType: regtest.NonDistributable, Content: "b"}}, false},
		{"ordinary with urls", []regtest.OddLayer{{URLs: urls, Content: "a"}}, false},
		{"url that is none", []regtest.OddLayer{{URLs: []string{"ftp:\x1b[2J"}, Content: "a"}}, false},
		{"foreign, elsewhere alone", []regtest.OddLayer{{MediaType: regtest.ForeignLayer, URLs: urls, Content: "a", Absent: true}, {Content: "b"}}, true},
		{"ordinary, elsewhere alone", []regtest.OddLayer{{URLs: urls, Content: "a", Absent: true}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pub, priv := startReferrers(t), startReferrers(t)
			d, err := pub.PushOdd(t.Context(), "acme/odd:1", "windows/amd64", tc.layers...)
			if err != nil {
				t.Fatal(err)
			}
			signer, trust := newKey(t)
			o := ExportOptions{Images: []string{"ghcr.io/acme/odd:1"}, Signer: signer, Output: t.TempDir() + "/a.tar", Registry: through(pub)}
			report, err := Export(t.Context(), o)
			if tc.absent {
				wantError(t, err, fault.Failed, "ghcr.io/acme/odd:1", "does not serve layer")
				if !strings.Contains(fault.Hint(err), "--exclude ghcr.io/acme/odd:1") {
					t.Errorf("hint %q", fault.Hint(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			odd := 0
			for _, l := range tc.layers {
				if l.MediaType != "" || len(l.URLs) > 0 {
					odd++
				}
			}
			if len(report.Elsewhere) != odd {
				t.Errorf("%+v, want %d layers", report.Elsewhere, odd)
			}
			if _, err := Verify(context.Background(), report.Output, trust, nil); err != nil {
				t.Error(err)
			}
			mustImport(t, report.Output, onto(priv, trust))
			holds(t, priv, "apps/acme/odd:1", d.Digest)
		})
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests for what lies elsewhere", n)
	}
}

// A layer that one registry does not have comes from another that has it, where an
// image of the same bundle lies there.
func TestLayerFromAnotherImage(t *testing.T) {
	without, with, priv := startReferrers(t), startReferrers(t), startReferrers(t)
	base := regtest.OddLayer{MediaType: regtest.ForeignLayer, URLs: []string{"https://mcr.example.com/x"}, Content: "base", Absent: true}
	if _, err := without.PushOdd(t.Context(), "acme/a:1", "windows/amd64", base, regtest.OddLayer{Content: "a"}); err != nil {
		t.Fatal(err)
	}
	base.Absent = false
	if _, err := with.PushOdd(t.Context(), "acme/b:1", "windows/amd64", base, regtest.OddLayer{Content: "b"}); err != nil {
		t.Fatal(err)
	}
	signer, trust := newKey(t)
	o := ExportOptions{
		Images: []string{"docker.io/acme/a:1", "ghcr.io/acme/b:1"}, Signer: signer, Output: t.TempDir() + "/a.tar",
		Registry: RegistryOptions{
			PlainHTTP: []string{without.Host(), with.Host()}, Mirrors: map[string]string{"docker.io": without.Host(), "ghcr.io": with.Host()},
		},
	}
	mustExport(t, o)
	mustImport(t, o.Output, onto(priv, trust))
	for _, name := range []string{"acme/a:1", "acme/b:1"} {
		d, _, err := priv.Manifest(t.Context(), "apps/"+name)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, priv, "apps/"+name, d.Digest)
	}
}

// A registry that does not answer for signatures costs its signatures, and nothing
// else; they can be given up for it alone.
func TestReferrersRefused(t *testing.T) {
	tags := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/sha256-") }
	for _, tc := range []struct {
		name string
		f    regtest.Fault
		none bool // it counts as: there are none
	}{
		{"list 401", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(401)}, false},
		{"list 403", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(403)}, false},
		{"list 410", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(410)}, false},
		{"list 500", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(500)}, false},
		{"list 501", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(501)}, false},
		{"list 503", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(503)}, false},
		{"list broken off", regtest.Fault{Class: regtest.Referrers, Do: regtest.Refuse()}, false},
		{"list 404", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(404)}, true},
		{"list 405", regtest.Fault{Class: regtest.Referrers, Do: regtest.Status(405)}, true},
		{"tags 400", regtest.Fault{Match: tags, Do: regtest.Status(400)}, false},
		{"tags 401", regtest.Fault{Match: tags, Do: regtest.Status(401)}, false},
		{"tags 403", regtest.Fault{Match: tags, Do: regtest.Status(403)}, false},
		{"tags 502", regtest.Fault{Match: tags, Do: regtest.Status(502)}, false},
		{"tags 404", regtest.Fault{Match: tags, Do: regtest.Status(404)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			odd, plain := startReferrers(t), startReferrers(t)
			for i := range int64(3) {
				pushImage(t, odd, fmt.Sprintf("acme/odd%d:1", i), small(i))
			}
			d := pushImage(t, plain, "acme/plain:1", small(9))
			attach(t, plain, "acme/plain", "sbom", d)
			odd.Inject(tc.f)
			o := ExportOptions{
				Images:   []string{"quay.io/acme/odd0:1", "quay.io/acme/odd1:1", "quay.io/acme/odd2:1", "ghcr.io/acme/plain:1"},
				Unsigned: true, Output: t.TempDir() + "/a.tar",
				Registry: RegistryOptions{
					PlainHTTP: []string{odd.Host(), plain.Host()}, Mirrors: map[string]string{"quay.io": odd.Host(), "ghcr.io": plain.Host()},
					Retry: impatient,
				},
			}
			report, err := Export(t.Context(), o)
			if tc.none {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				wantError(t, err, fault.Incomplete, "quay.io: no answer to 3 questions")
				if !strings.Contains(fault.Hint(err), "--no-referrers=quay.io") || len(report.Unasked) != 1 || report.Unasked[0].Questions != 3 {
					t.Errorf("hint %q, unasked %+v", fault.Hint(err), report.Unasked)
				}
			}
			if len(report.Images) != 4 || len(report.Referrers) != 1 {
				t.Errorf("%d images, %d referrers", len(report.Images), len(report.Referrers))
			}
			for _, host := range []string{"quay.io", odd.Host()} {
				o.NoReferrers = []string{host}
				report = mustExport(t, o)
				if len(report.Images) != 4 || len(report.Referrers) != 1 {
					t.Errorf("without those of %s: %d images, %d referrers", host, len(report.Images), len(report.Referrers))
				}
			}
		})
	}
}

// What is listed as attached, and cannot be had, costs itself.
func TestReferrerNotServed(t *testing.T) {
	pub := startReferrers(t)
	d := pushImage(t, pub, "acme/app:1", small(1))
	kept, lost := attach(t, pub, "acme/app", "sbom", d), attach(t, pub, "acme/app", "signature", d)
	_, doc, err := pub.Manifest(t.Context(), "acme/app@"+lost.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]regtest.Fault{
		"manifest refused": {Class: regtest.Manifest, Path: lost.Digest.String(), Do: regtest.Status(403)},
		"manifest gone":    {Class: regtest.Manifest, Path: lost.Digest.String(), Do: regtest.Status(404)},
		"layer gone":       {Class: regtest.Blob, Path: m.Layers[0].Digest.String(), Do: regtest.Status(404)},
	} {
		t.Run(name, func(t *testing.T) {
			pub.ClearFaults()
			pub.Inject(f)
			o := ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Output: t.TempDir() + "/a.tar", Registry: through(pub)}
			report, err := Export(t.Context(), o)
			wantError(t, err, fault.Incomplete, lost.Digest.String())
			if len(report.Referrers) != 1 || report.Referrers[0].Digest != kept.Digest {
				t.Errorf("referrers %+v", report.Referrers)
			}
		})
	}
}

package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle"
	"bundle/bundle/reports"
	"bundle/testdata/judge"
	"bundle/testdata/regtest"
)

// An oddIndex is linux/amd64 and linux/arm64 beside something that not everybody
// can take. It returns the index, and what of it may be asked for.
type oddIndex struct {
	name  string
	build func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) (children []ocispec.Descriptor, lost []digest.Digest)
	whole string // what a copy of all platforms says, or empty
}

func pushed(t *testing.T, reg *regtest.Registry, platform string, layers ...regtest.OddLayer) ocispec.Descriptor {
	t.Helper()
	d, err := reg.PushOdd(t.Context(), "acme/odd", platform, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func raw(t *testing.T, reg *regtest.Registry, mediaType, content string, p *ocispec.Platform) ocispec.Descriptor {
	t.Helper()
	d, err := reg.PushRaw(t.Context(), "acme/odd", mediaType, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	d.Platform = p
	return d
}

var oddIndexes = []oddIndex{
	{"nothing odd", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		return plain, nil
	}, ""},
	{"foreign layer of Windows", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		win := pushed(t, reg, "windows/amd64", regtest.OddLayer{MediaType: regtest.ForeignLayer, URLs: []string{"https://mcr.example.com/layer"}, Content: "windows", Absent: true})
		return append(plain, win), nil
	}, "does not serve layer"},
	{"two children lost", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		a, b := pushed(t, reg, "linux/s390x"), pushed(t, reg, "linux/ppc64le")
		return append(plain, a, b), []digest.Digest{a.Digest, b.Digest}
	}, "the source has lost its child for linux/s390x"},
	{"schema 1", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		old := raw(t, reg, regtest.Schema1, `{"schemaVersion":1,"fsLayers":[]}`, &ocispec.Platform{OS: "linux", Architecture: "ppc64le"})
		return append(plain, old), nil
	}, "schema 1 is obsolete"},
	{"something that is no manifest", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		return append(plain, raw(t, reg, "application/vnd.acme.thing.v1+json", `{"hello":1}`, nil)), nil
	}, "is not a manifest or an index"},
	{"digest of another kind", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		return append(plain, ocispec.Descriptor{
			MediaType: "application/vnd.acme.manifest.v1+json", Digest: digest.SHA512.FromString("x"), Size: 1, Platform: &ocispec.Platform{OS: "linux", Architecture: "riscv64"},
		}), nil
	}, "is not sha256"},
	{"child with urls", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		d := pushed(t, reg, "linux/s390x")
		d.URLs = []string{"https://elsewhere.example.com/manifest"}
		return append(plain, d), nil
	}, "foreign urls"},
	{"an index for another platform is lost", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		inner, err := reg.PushList(t.Context(), "acme/odd", pushed(t, reg, "linux/s390x"))
		if err != nil {
			t.Fatal(err)
		}
		inner.Platform = &ocispec.Platform{OS: "linux", Architecture: "s390x"}
		return append(plain, inner), []digest.Digest{inner.Digest}
	}, "the source has lost its child for linux/s390x"},
	{"the attestation of what is wanted is not served", func(t *testing.T, reg *regtest.Registry, plain []ocispec.Descriptor) ([]ocispec.Descriptor, []digest.Digest) {
		att := pushed(t, reg, "unknown/unknown")
		att.Annotations = map[string]string{"vnd.docker.reference.digest": plain[0].Digest.String(), "vnd.docker.reference.type": "attestation-manifest"}
		return append(plain, att), []digest.Digest{att.Digest}
	}, "the source has lost an attestation"},
}

// A choice of platforms is made before anything is judged: what other tools take
// of an odd image, export takes, and it reads nothing else.
func TestChoiceOfOddImages(t *testing.T) {
	crane, oras := judge.Path(t, "crane"), judge.Path(t, "oras")
	for _, tc := range oddIndexes {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reg, err := regtest.StartReferrers(regtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer reg.Close()
			plain := []ocispec.Descriptor{
				pushed(t, reg, "linux/amd64", regtest.OddLayer{Content: "amd"}), pushed(t, reg, "linux/arm64", regtest.OddLayer{Content: "arm"}),
			}
			children, lost := tc.build(t, reg, slices.Clone(plain))
			root, err := reg.PushList(t.Context(), "acme/odd:1", children...)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range lost {
				if err := reg.Lose(t.Context(), "acme/odd", d); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			out, err := exec.Command(crane, "pull", "--insecure", "--platform", "linux/amd64", reg.Host()+"/acme/odd:1", filepath.Join(dir, "crane.tar")).CombinedOutput()
			if err != nil {
				t.Errorf("crane: %v: %s", err, out)
			}
			out, err = exec.Command(oras, "copy", "--from-plain-http", "--platform", "linux/amd64", reg.Host()+"/acme/odd:1", "--to-oci-layout", filepath.Join(dir, "oras")+":1").CombinedOutput()
			if err != nil {
				t.Errorf("oras: %v: %s", err, out)
			}
			o := bundle.ExportOptions{
				Images: []string{reg.Host() + "/acme/odd:1"}, Unsigned: true, Output: filepath.Join(dir, "a.tar"),
				NoReferrers: []string{bundle.AllRegistries}, Registry: bundle.RegistryOptions{PlainHTTP: []string{reg.Host()}},
			}
			wantWhole(t, o, root.Digest, tc.whole)
			reg.Log.Reset()
			o.Platforms, o.Force = []bundle.Platform{{OS: "linux", Architecture: "amd64"}}, true
			report, err := bundle.Export(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			wantReduced(t, reg, report, plain[0].Digest, lost)
		})
	}
}

// wantWhole requires that an export of all platforms keeps the digest, or says
// what is wrong and what helps.
func wantWhole(t *testing.T, o bundle.ExportOptions, d digest.Digest, says string) {
	t.Helper()
	report, err := bundle.Export(context.Background(), o)
	if says == "" {
		if err != nil || report.Images[0].Digest != d {
			t.Errorf("all platforms: %v", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "/acme/odd:1") {
		t.Errorf("all platforms: %v, want the image with %q", err, says)
	} else if hint := bundle.Hint(err); !strings.Contains(hint, "--platform") || !strings.Contains(hint, "--exclude") {
		t.Errorf("hint %q", hint)
	}
}

// wantReduced requires that a bundle holds one child of an image, and that the
// registry was asked for nothing but the index, that child and what belongs to it.
func wantReduced(t *testing.T, reg *regtest.Registry, report *reports.Export, child digest.Digest, lost []digest.Digest) {
	t.Helper()
	for _, r := range reg.Log.Requests() {
		if r.Class != regtest.Manifest || strings.HasSuffix(r.Path, ":1") || strings.HasSuffix(r.Path, "/1") || strings.HasSuffix(r.Path, child.String()) {
			continue
		}
		if len(report.LeftBehind) > 0 && strings.HasSuffix(r.Path, report.LeftBehind[0].Digest.String()) {
			continue
		}
		t.Errorf("%s %s was asked for, and is not wanted", r.Method, r.Path)
	}
	if got := report.Images[0].Platforms; !slices.Equal(got, []string{"linux/amd64"}) {
		t.Errorf("platforms %q", got)
	}
	b, err := bundle.Open(t.Context(), report.Output, bundle.TrustAnyone())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	doc, err := b.Document(ocispec.Descriptor{Digest: report.Images[0].Digest})
	if err != nil {
		t.Fatal(err)
	}
	var ix ocispec.Index
	if err := json.Unmarshal(doc, &ix); err != nil || len(ix.Manifests) != 1 || ix.Manifests[0].Digest != child {
		t.Errorf("%s, want %s alone (%v)", doc, child, err)
	}
}

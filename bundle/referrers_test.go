package bundle

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/image"
	"bundle/testdata/regtest"
)

// cosignAnnotation holds the signature of a layer's bytes (cosign,
// specs/SIGNATURE_SPEC.md).
const cosignAnnotation = "dev.cosignproject.cosign/signature"

// cosignSign puts a signature beside an image as `cosign sign --key` does: a
// simple signing document as the layer of an artifact whose tag names the digest.
func cosignSign(t *testing.T, reg *regtest.Registry, repo string, d ocispec.Descriptor, key *ecdsa.PrivateKey) {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"ghcr.io/%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`,
		repo, d.Digest)
	sum := sha256.Sum256(payload)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	_, err = reg.PushArtifact(context.Background(), repo+":sha256-"+d.Digest.Encoded()+".sig", regtest.Artifact{
		ConfigMediaType: ocispec.MediaTypeImageConfig,
		Config:          []byte(`{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`),
		Blobs: []regtest.ArtifactBlob{{
			MediaType:   "application/vnd.dev.cosign.simplesigning.v1+json",
			Data:        payload,
			Annotations: map[string]string{cosignAnnotation: base64.StdEncoding.EncodeToString(sig)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cosignVerify checks what cosign verify --key checks: a signature under the
// tag that the digest names, by the key, over a document that names the digest.
func cosignVerify(t *testing.T, reg *regtest.Registry, repo string, d ocispec.Descriptor, key *ecdsa.PublicKey) {
	t.Helper()
	ctx := context.Background()
	_, raw, err := reg.Manifest(ctx, repo+":sha256-"+d.Digest.Encoded()+".sig")
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	payload, err := reg.Blob(ctx, repo, m.Layers[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(m.Layers[0].Annotations[cosignAnnotation])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(payload)
	if !ecdsa.VerifyASN1(key, sum[:], sig) {
		t.Error("the signature does not verify")
	}
	if !strings.Contains(string(payload), d.Digest.String()) {
		t.Errorf("the signature is for another digest: %s", payload)
	}
}

// attach pushes an artifact that refers to subject, and one that refers to
// that.
func attach(t *testing.T, reg *regtest.Registry, repo, kind string, subject ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	d, err := reg.PushArtifact(context.Background(), repo, regtest.Artifact{
		ArtifactType: "application/vnd.example." + kind,
		Blobs:        []regtest.ArtifactBlob{{MediaType: "application/json", Data: []byte(`{"kind":"` + kind + `"}`)}},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is attached to an index, to one of its children, and to an SBOM of it,
// arrives under the right subject, whether the registries have the referrers
// API or not.
func TestReferrersTravel(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name     string
		from, to func(regtest.Options) (*regtest.Registry, error)
	}{
		{"API to API", regtest.StartReferrers, regtest.StartReferrers},
		{"API to tags", regtest.StartReferrers, regtest.Start},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pub, err := tc.from(regtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer pub.Close()
			priv, err := tc.to(regtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer priv.Close()
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			root := pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
			var ix ocispec.Index
			_, raw, err := pub.Manifest(ctx, "acme/app:1")
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, &ix); err != nil {
				t.Fatal(err)
			}
			amd, arm := ix.Manifests[0], ix.Manifests[1]
			cosignSign(t, pub, "acme/app", root, key)
			cosignSign(t, pub, "acme/app", arm, key)
			sbom := attach(t, pub, "acme/app", "sbom", root)
			signed := attach(t, pub, "acme/app", "signature", sbom)
			child := attach(t, pub, "acme/app", "provenance", amd)

			signer, trust := newKey(t)
			out := filepath.Join(t.TempDir(), "a.tar")
			o := ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Output: out, Signer: signer, Registry: through(pub, "ghcr.io")}
			report := mustExport(t, o)
			if len(report.Images) != 1 || len(report.Referrers) != 5 {
				t.Fatalf("%d images and %d referrers, want 1 and 5", len(report.Images), len(report.Referrers))
			}
			mustImport(t, out, onto(priv, trust))
			cosignVerify(t, priv, "apps/acme/app", root, &key.PublicKey)
			cosignVerify(t, priv, "apps/acme/app", arm, &key.PublicKey)
			for _, pair := range [][2]ocispec.Descriptor{{root, sbom}, {sbom, signed}, {amd, child}} {
				wantReferrer(t, priv, "apps/acme/app", pair[0], pair[1])
			}

			// And on from there, which for one case is from tags to the API.
			next, err := regtest.StartReferrers(regtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			again := mustExport(t, ExportOptions{Images: []string{"ghcr.io/apps/acme/app:1"}, Signer: signer, Registry: through(priv, "ghcr.io")})
			mustImport(t, again.Output, onto(next, trust))
			cosignVerify(t, next, "apps/apps/acme/app", root, &key.PublicKey)
			for _, pair := range [][2]ocispec.Descriptor{{root, sbom}, {sbom, signed}, {amd, child}} {
				wantReferrer(t, next, "apps/apps/acme/app", pair[0], pair[1])
			}

			// A platform choice keeps what belongs to the child that stays.
			o.Output = filepath.Join(t.TempDir(), "b.tar")
			o.Platforms = []image.Platform{{OS: "linux", Architecture: "arm64"}}
			if report := mustExport(t, o); len(report.Referrers) != 1 || report.Referrers[0].Subject != arm.Digest {
				t.Errorf("referrers %+v, want the signature of %s", report.Referrers, arm.Digest)
			}
			o.Output = filepath.Join(t.TempDir(), "c.tar")
			o.Platforms, o.NoReferrers = nil, []string{AllRegistries}
			if report := mustExport(t, o); len(report.Referrers) != 0 {
				t.Errorf("referrers %+v, want none", report.Referrers)
			}
		})
	}
}

// wantReferrer asks the API or, where there is none, the fallback tag.
func wantReferrer(t *testing.T, reg *regtest.Registry, repo string, subject, referrer ocispec.Descriptor) {
	t.Helper()
	raw, err := reg.Referrers(context.Background(), repo, subject.Digest)
	if err != nil {
		if _, raw, err = reg.Manifest(context.Background(), repo+":sha256-"+subject.Digest.Encoded()); err != nil {
			t.Errorf("%s has no referrers: %v", subject.Digest, err)
			return
		}
	}
	if !strings.Contains(string(raw), referrer.Digest.String()) {
		t.Errorf("the referrers of %s do not hold %s: %s", subject.Digest, referrer.Digest, raw)
	}
}

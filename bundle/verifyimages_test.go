package bundle

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// cosignKey makes a key pair, the public key in a file.
func cosignKey(t *testing.T, file string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return key
}

// An export takes what is signed as a policy wants it, names all that is not, and the
// record says by which key, whatever is chosen of the image and left out.
func TestVerifyImages(t *testing.T) {
	dir := t.TempDir()
	key := cosignKey(t, filepath.Join(dir, "a.pub"))
	other := cosignKey(t, filepath.Join(dir, "b.pub"))
	pub := startRegistry(t)
	two := []regtest.Image{{Layers: []regtest.Layer{{Size: 100, Seed: 1}}}, {Layers: []regtest.Layer{{Size: 100, Seed: 2}}}}
	index, err := pub.PushIndex(context.Background(), "acme/index:1", regtest.Index{Images: []regtest.Image{
		{Platform: "linux/amd64", Layers: two[0].Layers}, {Platform: "linux/arm64", Layers: two[1].Layers}}})
	if err != nil {
		t.Fatal(err)
	}
	cosignSign(t, pub, "acme/index", index, key)
	cosignSign(t, pub, "acme/app", pushImage(t, pub, "acme/app:1", two[0]), key)
	cosignSign(t, pub, "acme/wrong", pushImage(t, pub, "acme/wrong:1", two[0]), other)
	pushImage(t, pub, "acme/bare:1", two[1])
	pushImage(t, pub, "free/bare:1", two[1])

	policy := func(text string) string {
		file := filepath.Join(dir, "policy.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	export := func(policy string, images ...string) (*reports.Export, error) {
		o := ExportOptions{Registry: through(pub), Unsigned: true, VerifyImages: policy, Output: filepath.Join(t.TempDir(), "x.tar")}
		for _, im := range images {
			o.Images = append(o.Images, "docker.io/"+im)
		}
		o.NoReferrers = []string{AllRegistries}
		o.Platforms = []image.Platform{{OS: "linux", Architecture: "amd64"}}
		o.PlatformOptional = true
		r, err := Export(context.Background(), o)
		if err != nil && fault.KindOf(err) != fault.Incomplete {
			if _, serr := os.Stat(o.Output); serr == nil {
				t.Errorf("a bundle was written beside %v", err)
			}
		}
		return r, err
	}
	strict := policy("images:\n- {match: docker.io/free/*, unsigned: allowed}\n- {match: 'docker.io/acme/**', keys: [a.pub]}\n")
	r, err := export(strict, "acme/index:1", "acme/app:1", "free/bare:1")
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range r.Images {
		if free := strings.Contains(im.Reference, "free"); free != (len(im.SignedBy) == 0) {
			t.Errorf("%s: signed by %q", im.Reference, im.SignedBy)
		}
	}
	seen, err := Inspect(context.Background(), r.Output, nil)
	if err != nil || len(seen.Images) != 3 || len(seen.Images[0].SignedBy) != 1 {
		t.Errorf("%+v, %v", seen, err)
	}

	_, err = export(strict, "acme/index:1", "acme/wrong:1", "acme/bare:1")
	if fault.KindOf(err) != fault.Untrusted {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"acme/wrong:1", "by none of the keys", "acme/bare:1", "there is no signature"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "acme/index") {
		t.Errorf("%v names what is signed", err)
	}
	_, err = export(policy("images: [{match: docker.io/other/*, keys: [a.pub]}]\n"), "acme/app:1")
	if fault.KindOf(err) != fault.Untrusted || !strings.Contains(err.Error(), "no rule") {
		t.Errorf("without a rule: %v", err)
	}
	r, err = export(policy("images: [{match: '**', keys: [a.pub], otherwise: report}]\n"), "acme/wrong:1", "acme/app:1")
	if fault.KindOf(err) != fault.Incomplete || r == nil || !strings.Contains(err.Error(), "acme/wrong:1") || strings.Contains(err.Error(), "acme/app:1") {
		t.Errorf("reported: %v", err)
	}
	if _, err := export(policy("images: [{match: '**', keys: [none.pub]}]\n"), "acme/app:1"); fault.KindOf(err) != fault.Usage {
		t.Errorf("without the key: %v", err)
	}
}

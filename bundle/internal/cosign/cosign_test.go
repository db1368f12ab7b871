package cosign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func public(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// A signature counts by whatever kind of key cosign can have, over the text that was
// signed and no other.
func TestKeys(t *testing.T) {
	const text = "a text"
	sign := func(s crypto.Signer, h crypto.Hash) []byte {
		message := []byte(text)
		if h != 0 {
			message = digestOf(h, message)
		}
		sig, err := s.Sign(rand.Reader, message, h)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	var signers []crypto.Signer
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, k)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		t.Fatal(err)
	}
	signers = append(signers, ed, rsaKey)
	for i, s := range signers {
		key, err := parseKey(public(t, s.Public()))
		if err != nil {
			t.Fatal(err)
		}
		hashes := []crypto.Hash{crypto.SHA256, crypto.SHA256, crypto.SHA256, 0, crypto.SHA256}
		sig := sign(s, hashes[i])
		if !key.signed([]byte(text), sig) {
			t.Errorf("%T: not taken", s)
		}
		if key.signed([]byte(text+"."), sig) || key.signed([]byte(text), append(sig, 0)) || key.signed([]byte(text), nil) {
			t.Errorf("%T: something else is taken", s)
		}
		other, err := parseKey(public(t, signers[(i+1)%len(signers)].Public()))
		if err != nil || other.Fingerprint == key.Fingerprint || other.signed([]byte(text), sig) {
			t.Errorf("%T: another key takes it, %v", s, err)
		}
	}
	p384, _ := parseKey(public(t, signers[1].Public()))
	if !p384.signed([]byte(text), sign(signers[1], crypto.SHA384)) {
		t.Error("P-384 with SHA-384 is not taken")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	good := string(public(t, ec.Public()))
	for name, text := range map[string]string{
		"nothing":     "",
		"ssh":         "ssh-ed25519 AAAA x",
		"private":     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"rubbish":     string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
		"two":         good + good,
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: private})),
	} {
		if k, err := parseKey([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, k)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"ghcr.io/acme/app", "ghcr.io/acme/app", true},
		{"ghcr.io/acme/app", "ghcr.io/acme/app2", false},
		{"ghcr.io/acme/*", "ghcr.io/acme/app", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/a/b", false},
		{"ghcr.io/acme/**", "ghcr.io/acme/a/b", true},
		{"ghcr.io/acme/**", "ghcr.io/acme", true},
		{"**", "docker.io/library/nginx", true},
		{"**/nginx", "docker.io/library/nginx", true},
		{"**/a/**/b", "h/a/x/a/y/z/b", true},
		{"*/library/*", "docker.io/library/nginx", true},
		{"docker.io/library/ng*", "docker.io/library/nginx", true},
		{"docker.io/library", "docker.io/library/nginx", false},
		{"docker.io/library/nginx/x", "docker.io/library/nginx", false},
	} {
		if got := matches(strings.Split(tc.pattern, "/"), strings.Split(tc.name, "/")); got != tc.want {
			t.Errorf("%s on %s: %v", tc.pattern, tc.name, got)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) ([]byte, error) {
		if name != "k.pub" {
			return nil, fmt.Errorf("%s: no such file", name)
		}
		return public(t, ec.Public()), nil
	}
	p, err := parse([]byte("images:\n- {match: ghcr.io/acme/*, keys: [k.pub]}\n- {match: ghcr.io/**, keys: [k.pub], otherwise: report}\n- {match: '**', unsigned: allowed}\n"), open)
	if err != nil || len(p.Rules) != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, want := range map[string]string{"ghcr.io/acme/a": "ghcr.io/acme/*", "ghcr.io/acme/a/b": "ghcr.io/**", "x.y/z": "**"} {
		if r, ok := p.rule(name); !ok || r.Match != want {
			t.Errorf("%s: %+v, %v", name, r, ok)
		}
	}
	if !p.Rules[1].Report || p.Rules[0].Report || !p.Rules[2].Unsigned || len(p.Rules[0].Keys) != 1 {
		t.Errorf("%+v", p.Rules)
	}
	for text, want := range map[string]string{
		"":                                 "no rules",
		"images: []":                       "no rules",
		"images: [{keys: [k.pub]}]":        "rule 1: match: is missing",
		"images: [{match: a/b}]":           "neither keys: nor unsigned",
		"images: [{match: a/b, key: x}]":   "not found in type",
		"images: [{match: a/b, keys: []}]": "neither keys",
		"images: [{match: 'a/b:1', keys: [k.pub]}]":                    "and no tag",
		"images: [{match: 'a/[b', keys: [k.pub]}]":                     "and no tag",
		"images: [{match: a/b, keys: [x.pub]}]":                        "rule 1: x.pub: no such file",
		"images: [{match: a/b, keys: [k.pub], unsigned: allowed}]":     "mean nothing with",
		"images: [{match: a/b, keys: [k.pub], otherwise: x}]":          "want report or refuse",
		"images: [{match: a/b, unsigned: yes}]":                        "want allowed",
		"images: [{match: a/b, unsigned: allowed}]\n---\nimages: []\n": "more than one document",
	} {
		if _, err := parse([]byte(text), open); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func simple(about digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, about, simpleType)
}

func statement(about digest.Digest, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, about.Encoded(), predicate)
}

func bundleOf(payloadType string, payload []byte, sig string) []byte {
	b, _ := json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "x"}},
		"dsseEnvelope":         map[string]any{"payload": payload, "payloadType": payloadType, "signatures": []any{map[string]any{"sig": sig}}},
	})
	return b
}

// What is not a signature of this digest is none.
func TestReadRefuses(t *testing.T) {
	about, other := digest.FromString("a"), digest.FromString("b")
	sig := base64.StdEncoding.EncodeToString([]byte("signature"))
	signed := ocispec.Descriptor{MediaType: simpleSigning, Annotations: map[string]string{signatureKey: sig}}
	bundled := ocispec.Descriptor{MediaType: sigstoreBundle + ".v0.3+json"}
	for name, tc := range map[string]struct {
		layer   ocispec.Descriptor
		content []byte
		want    string // empty: taken
	}{
		"simple":            {signed, simple(about), ""},
		"bundle":            {bundled, bundleOf(statementType, statement(about, predicateSigned), sig), ""},
		"simple, other":     {signed, simple(other), "is for sha256:"},
		"no annotation":     {ocispec.Descriptor{MediaType: simpleSigning}, simple(about), "holds no signature"},
		"annotation":        {ocispec.Descriptor{MediaType: simpleSigning, Annotations: map[string]string{signatureKey: "%"}}, simple(about), "holds no signature"},
		"not JSON":          {signed, []byte("x"), "not JSON"},
		"key twice":         {signed, []byte(`{"critical":{},"critical":{}}`), "twice"},
		"other type":        {signed, []byte(`{"critical":{"type":"x"}}`), `of type "x"`},
		"bundle, other":     {bundled, bundleOf(statementType, statement(other, predicateSigned), sig), "another digest"},
		"attestation":       {bundled, bundleOf(statementType, statement(about, "https://slsa.dev/provenance/v1"), sig), "and no signature"},
		"other payload":     {bundled, bundleOf("text/plain", statement(about, predicateSigned), sig), "an envelope around"},
		"statement of what": {bundled, bundleOf(statementType, []byte(`{"_type":"x"}`), sig), `of type "x"`},
		"blob signature":    {bundled, []byte(`{"messageSignature":{}}`), "without a DSSE envelope"},
	} {
		found, err := read(tc.layer, tc.content, about)
		if tc.want == "" {
			if err != nil || len(found) != 1 || string(found[0].signature) != "signature" {
				t.Errorf("%s: %v, %v", name, found, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	about := digest.FromString("a")
	sig := base64.StdEncoding.EncodeToString([]byte("signature"))
	f.Add(simpleSigning, sig, simple(about))
	f.Add(sigstoreBundle, "", bundleOf(statementType, statement(about, predicateSigned), sig))
	f.Add(sigstoreBundle, "", []byte(`{"dsseEnvelope":{"payload":"","signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, mediaType, sig string, content []byte) {
		layer := ocispec.Descriptor{MediaType: mediaType, Annotations: map[string]string{signatureKey: sig}}
		found, err := read(layer, content, about)
		if err != nil && found != nil {
			t.Errorf("%v beside %v", found, err)
		}
		for _, e := range found {
			if !strings.Contains(string(e.text), about.Encoded()) && !strings.Contains(string(e.text), `\u`) {
				t.Errorf("taken, though it does not name the digest: %q", e.text)
			}
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("images: [{match: a/**, keys: [k.pub]}]")
	f.Add("images: [{match: '**', unsigned: allowed}, {match: x, keys: [k], otherwise: report}]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parse([]byte(text), func(string) ([]byte, error) { return nil, fmt.Errorf("none") })
		if err == nil && len(p.Rules) == 0 {
			t.Error("a policy without rules")
		}
	})
}

// What cosign 3.1.3 wrote, in its old format and its new one, is taken by the key that
// signed and by no other, and stands for one digest.
func TestRealSignatures(t *testing.T) {
	const about = digest.Digest("sha256:e6071da58f14c4e060603cdb6a7728c2d0a41ee96936cf7a1ce8d0712d33ce1f")
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	signer, err := parseKey(file("signer.pub"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := parseKey(file("other.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"simple", "bundle"} {
		var m ocispec.Manifest
		if err := json.Unmarshal(file(format+".manifest.json"), &m); err != nil {
			t.Fatal(err)
		}
		content := file(format + ".layer")
		layer := m.Layers[0]
		if !isSignature(layer) || layer.Digest != digest.FromBytes(content) {
			t.Fatalf("%s: %+v is not seen", format, layer)
		}
		found, err := read(layer, content, about)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if by := signersOf(found, []Key{other, signer}); len(by) != 1 || by[0] != signer.Fingerprint {
			t.Errorf("%s: by %q", format, by)
		}
		if _, err := read(layer, content, digest.FromString("other")); err == nil {
			t.Errorf("%s: taken for another digest", format)
		}
	}
}

package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/checksum"
	"bundle/testdata/hostile"
	"bundle/testdata/regtest"
)

// keyPair makes a key in files and returns its signer and the path of the
// private half.
func keyPair(t testing.TB, comment string) (*trust.Signer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := trust.Keygen(path, comment, nil); err != nil {
		t.Fatal(err)
	}
	s, err := trust.LoadSigner(context.Background(), path, trust.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

// goodBundle writes a bundle that nothing is wrong with, signed by
// hostile.Signer.
func goodBundle(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "good*[x].bundle.tar") // no pattern to us
	if ok, err := hostile.Good(1000).WriteFile(path); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return path
}

// trustOf trusts the signer of goodBundle and others, each by its .pub file.
func trustOf(t *testing.T, keys ...string) *trust.Trust {
	t.Helper()
	files := []string{writeKey(t)}
	for _, k := range keys {
		files = append(files, k+".pub")
	}
	believed, err := trust.LoadTrust(context.Background(), files, "")
	if err != nil {
		t.Fatal(err)
	}
	return believed
}

func mustSignBundle(t *testing.T, path string, s *trust.Signer) *reports.Sign {
	t.Helper()
	r, err := Sign(context.Background(), path, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantReason(t *testing.T, err error, reason checksum.Reason, parts ...string) {
	t.Helper()
	var found *checksum.TrustError
	if !errors.As(err, &found) || found.Reason != reason {
		t.Errorf("error %v, want reason %s", err, reason)
		return
	}
	wantError(t, err, fault.Untrusted, parts...)
	if fault.Hint(err) == "" {
		t.Error("no hint")
	}
}

// Two people release: the second signs beside the bundle, and it takes both.
func TestSign(t *testing.T) {
	path := goodBundle(t)
	whole := regtest.ReadFile(t, path)
	second, key := keyPair(t, "second@example.com")
	believed := trustOf(t, key)
	believed.Require = 2

	_, err := Verify(context.Background(), path, believed, nil)
	wantReason(t, err, checksum.TooFew, path, "1 of the 2 needed")

	r := mustSignBundle(t, path, second)
	first := checksum.Fingerprint(hostile.Signer())
	if r.ID != "0123456789abcdef" || r.Fingerprint != second.Fingerprint() || r.Already || len(r.Others) != 1 || r.Others[0].Fingerprint != first {
		t.Errorf("report %+v", r)
	}
	if regtest.ReadFile(t, path) != whole {
		t.Error("the bundle was touched")
	}
	name := filepath.Base(path)
	regtest.WantFiles(t, filepath.Dir(path), name, filepath.Base(r.Signature))
	if !strings.HasPrefix(filepath.Base(r.Signature), name+".") || strings.ContainsAny(strings.TrimPrefix(filepath.Base(r.Signature), name), `/\:*?"<>|+`) {
		t.Errorf("signature in %q, which not every file system takes", r.Signature)
	}

	v, err := Verify(context.Background(), path, believed, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Signers) != 2 || v.Signers[0].Fingerprint != first || v.Signers[1].Fingerprint != second.Fingerprint() ||
		v.Signers[0].Signature != "SHA256SUMS.sig" || v.Signers[1].Signature != r.Signature {
		t.Errorf("signers %+v", v.Signers)
	}
	priv := startRegistry(t)
	if im := mustImport(t, path, onto(priv, believed)); len(im.Signers) != 2 {
		t.Errorf("import: signers %+v", im.Signers)
	}
	believed.Require = 3
	_, err = Import(context.Background(), path, onto(priv, believed))
	wantReason(t, err, checksum.TooFew, "2 of the 3 needed")

	// Once more does no harm, and counts for nothing.
	if again := mustSignBundle(t, path, second); !again.Already || again.Signature != r.Signature {
		t.Errorf("signed again: %+v", again)
	}
	if again := mustSignBundle(t, path, &trust.Signer{Key: hostile.Signer()}); !again.Already || again.Signature != "SHA256SUMS.sig" {
		t.Errorf("signed again by the first: %+v", again)
	}
	regtest.WantFiles(t, filepath.Dir(path), name, filepath.Base(r.Signature))
}

// A signature may also be carried apart.
func TestSignatureNamed(t *testing.T) {
	path := goodBundle(t)
	second, key := keyPair(t, "")
	believed := trustOf(t, key)
	believed.Require = 2
	r := mustSignBundle(t, path, second)
	apart := filepath.Join(t.TempDir(), "second.sig")
	if err := os.Rename(r.Signature, apart); err != nil {
		t.Fatal(err)
	}
	_, err := Verify(context.Background(), path, believed, nil)
	wantReason(t, err, checksum.TooFew)
	believed.Signatures = []string{apart}
	if _, err := Verify(context.Background(), path, believed, nil); err != nil {
		t.Error(err)
	}
	believed.Signatures = []string{apart, filepath.Join(t.TempDir(), "nowhere.sig")}
	_, err = Verify(context.Background(), path, believed, nil)
	wantError(t, err, fault.Usage, "nowhere.sig")
}

// Whoever signs vouches for the content: what is not whole is not signed.
func TestSignRefuses(t *testing.T) {
	second, _ := keyPair(t, "")
	for _, tc := range []struct {
		name   string
		damage func(b []byte) []byte
		kind   fault.Kind
		part   string
	}{
		{"layer", func(b []byte) []byte { return bytes.Replace(b, []byte("a layer."), []byte("A layer."), 1) }, fault.Damaged, "blobs/sha256/"},
		{"signature", func(b []byte) []byte {
			b[bytes.Index(b, []byte("-----BEGIN SSH SIGNATURE-----\n"))+150] ^= 1
			return b
		}, fault.Untrusted, "SHA256SUMS.sig"},
		{"list", func(b []byte) []byte { return bytes.Replace(b, []byte("  index.json"), []byte("  Index.json"), 1) }, fault.Untrusted, "SHA256SUMS.sig"},
		{"end", func(b []byte) []byte { return b[:len(b)-1] }, fault.Damaged, "truncated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := goodBundle(t)
			if err := os.WriteFile(path, tc.damage([]byte(regtest.ReadFile(t, path))), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Sign(context.Background(), path, second, nil)
			wantError(t, err, tc.kind, path, tc.part)
			regtest.WantFiles(t, filepath.Dir(path), filepath.Base(path))
		})
	}
	t.Run("chart", func(t *testing.T) {
		for _, c := range hostile.Cases() {
			if c.Class != "chart archive" || c.Name != "symbolic link" {
				continue
			}
			path := filepath.Join(t.TempDir(), "x.tar")
			if _, err := c.Make().WriteFile(path); err != nil {
				t.Fatal(err)
			}
			_, err := Sign(context.Background(), path, second, nil)
			wantError(t, err, fault.Damaged, path, c.Message)
			regtest.WantFiles(t, filepath.Dir(path), "x.tar")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		path := goodBundle(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := Sign(ctx, path, second, nil)
		wantError(t, err, fault.Interrupted)
		regtest.WantFiles(t, filepath.Dir(path), filepath.Base(path))
	})
}

// An unsigned bundle can be signed where the key is.
func TestSignUnsigned(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	path := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Registry: through(pub)}).Output
	signer, key := keyPair(t, "")
	_, err := Verify(context.Background(), path, trustOf(t, key), nil)
	wantReason(t, err, checksum.Unsigned)
	if r := mustSignBundle(t, path, signer); len(r.Others) != 0 {
		t.Errorf("others %+v", r.Others)
	}
	v, err := Verify(context.Background(), path, trustOf(t, key), nil)
	if err != nil || len(v.Signers) != 1 || v.Signers[0].Fingerprint != signer.Fingerprint() {
		t.Errorf("got %+v, %v", v, err)
	}
	if r, err := Inspect(context.Background(), path, nil); err != nil || r.Signed {
		t.Errorf("got %+v, %v: there is no signature inside", r, err)
	}
}

// What lies beside a bundle under its name has to be a valid signature of it,
// whoever else signed; other files there are none of its business.
func TestBeside(t *testing.T) {
	stranger, _ := keyPair(t, "")
	for _, tc := range []struct {
		name    string
		put     func(path string) error
		require int
		reason  checksum.Reason // 0: accepted
		kind    fault.Kind
		part    string
	}{
		{"garbage", func(p string) error { return os.WriteFile(p+".x.sig", []byte("x"), 0o644) }, 1, checksum.Malformed, fault.Untrusted, ".x.sig"},
		{"empty", func(p string) error { return os.WriteFile(p+".x.sig", nil, 0o644) }, 1, checksum.Unsigned, fault.Untrusted, ".x.sig"},
		{"large", func(p string) error { return os.WriteFile(p+".x.sig", make([]byte, 1<<20), 0o644) }, 1, checksum.Malformed, fault.Untrusted, "at most 65536"},
		{"of an earlier bundle of this name", func(p string) error {
			sig, err := stranger.Sign([]byte("else"))
			return errors.Join(err, os.WriteFile(p+".x.sig", sig, 0o644))
		}, 1, checksum.BadSignature, fault.Untrusted, ".x.sig"},
		{"stranger", func(p string) error {
			_, err := Sign(context.Background(), p, stranger, nil)
			return err
		}, 1, 0, 0, ""},
		{"stranger does not count", func(p string) error {
			_, err := Sign(context.Background(), p, stranger, nil)
			return err
		}, 2, checksum.TooFew, fault.Untrusted, stranger.Fingerprint()},
		{"other files", func(p string) error {
			return errors.Join(os.WriteFile(p+".sig", []byte("x"), 0o644), os.WriteFile(p+"2.x.sig", []byte("x"), 0o644),
				os.WriteFile(p+".x.sig.bak", []byte("x"), 0o644), os.Mkdir(p+".folder.sig", 0o755), os.Symlink("/etc/passwd", p+".link.sig"))
		}, 1, 0, 0, ""},
		{"without end", func(p string) error {
			for i := range trust.MaxBeside + 1 {
				if err := os.WriteFile(fmt.Sprintf("%s.%d.sig", p, i), []byte("x"), 0o644); err != nil {
					return err
				}
			}
			return nil
		}, 1, 0, fault.Usage, "more than 64 signatures"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := goodBundle(t)
			if err := tc.put(path); err != nil {
				t.Fatal(err)
			}
			believed := trustOf(t)
			believed.Require = tc.require
			r, err := Verify(context.Background(), path, believed, nil)
			switch {
			case tc.reason != 0:
				wantReason(t, err, tc.reason, tc.part)
			case tc.kind != 0:
				wantError(t, err, tc.kind, tc.part)
			case err != nil || len(r.Signers) != 1:
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// Signers are named in full in every report; that none was asked for, too.
func TestVouched(t *testing.T) {
	t.Parallel()
	path := goodBundle(t)
	fingerprint := checksum.Fingerprint(hostile.Signer())
	list := filepath.Join(t.TempDir(), "allowed_signers")
	line := `release@example.com,other@example.com namespaces="bundle" ` + string(hostile.PublicKey())
	if err := os.WriteFile(list, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	believed, err := trust.LoadTrust(context.Background(), nil, list)
	if err != nil {
		t.Fatal(err)
	}
	believed.Principals = []string{"nobody@example.com", "release@example.com"}
	want := trust.Voucher{Fingerprint: fingerprint, KeyType: "ssh-ed25519", Principals: "release@example.com", Signature: "SHA256SUMS.sig"}
	v, err := Verify(context.Background(), path, believed, nil)
	if err != nil || len(v.Signers) != 1 || v.Signers[0] != want {
		t.Errorf("verify: %+v, %v", v, err)
	}
	i, err := Inspect(context.Background(), path, believed)
	if err != nil || !i.Checked || len(i.Signers) != 1 || i.Signers[0] != want || i.Key != fingerprint {
		t.Errorf("inspect: %+v, %v", i, err)
	}
	im := mustImport(t, path, onto(startRegistry(t), believed))
	if len(im.Signers) != 1 || im.Signers[0] != want || im.SignatureSkipped {
		t.Errorf("import: %+v", im.Vouched)
	}
	believed.Principals = []string{"nobody@example.com"}
	_, err = Verify(context.Background(), path, believed, nil)
	wantReason(t, err, checksum.OtherPrincipal, fingerprint, `not for "nobody@example.com"`)

	v, err = Verify(context.Background(), path, trust.TrustAnyone(), nil)
	if err != nil || !v.SignatureSkipped || len(v.Signers) != 0 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	im = mustImport(t, path, onto(startRegistry(t), trust.TrustAnyone()))
	if !im.SignatureSkipped || len(im.Signers) != 0 {
		t.Errorf("import: %+v", im.Vouched)
	}
}

func TestLoadTrustRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, key := keyPair(t, "")
	for name, tc := range map[string]struct {
		key, signers string
		kind         fault.Kind
		part         string
	}{
		"no such key":           {filepath.Join(dir, "nowhere"), "", fault.Usage, "nowhere"},
		"no such file":          {"", filepath.Join(dir, "nowhere"), fault.Usage, "nowhere"},
		"private key":           {key, "", fault.Usage, "private key"},
		"text":                  {file("text", "trust me\n"), "", fault.Usage, "text"},
		"allowed_signers, text": {"", file("signers", "trust me\n"), fault.Usage, "line 1"},
		"certificate":           {file("cert.pub", certificate(t)), "", fault.Untrusted, "cert-authority"},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []string
			if tc.key != "" {
				keys = []string{tc.key}
			}
			_, err := trust.LoadTrust(context.Background(), keys, tc.signers)
			wantError(t, err, tc.kind, tc.part)
		})
	}
}

// certificate is one for the key of hostile.Signer, by an authority of its
// own.
func certificate(t *testing.T) string {
	t.Helper()
	authority, _ := keyPair(t, "")
	cert := &ssh.Certificate{
		Key: hostile.Signer().PublicKey(), CertType: ssh.UserCert, KeyId: "x", ValidPrincipals: []string{"x"},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	if err := cert.SignCert(bytes.NewReader(make([]byte, 32)), authority.Key); err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(cert))
}

// A key with a certificate beside it signs with the certificate; without an
// agent, from the file.
func TestLoadSignerCertificate(t *testing.T) {
	authority, authorityKey := keyPair(t, "")
	signer, key := keyPair(t, "")
	cert := &ssh.Certificate{
		Key: signer.Key.PublicKey(), CertType: ssh.UserCert, KeyId: "release 7", ValidPrincipals: []string{"alice"},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	if err := cert.SignCert(bytes.NewReader(make([]byte, 32)), authority.Key); err != nil {
		t.Fatal(err)
	}
	path := key + "-cert.pub"
	if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(cert), 0o644); err != nil {
		t.Fatal(err)
	}
	certified, err := trust.LoadSigner(context.Background(), path, trust.KeyOptions{Agent: func() (io.ReadWriter, error) { return nil, errors.New("no agent") }})
	if err != nil {
		t.Fatal(err)
	}
	bundlePath := goodBundle(t)
	r := mustSignBundle(t, bundlePath, certified)
	if r.Fingerprint != signer.Fingerprint() {
		t.Errorf("signed with %s, want %s", r.Fingerprint, signer.Fingerprint())
	}
	list := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(list, []byte("* cert-authority "+regtest.ReadFile(t, authorityKey+".pub")), 0o644); err != nil {
		t.Fatal(err)
	}
	believed, err := trust.LoadTrust(context.Background(), nil, list)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Verify(context.Background(), bundlePath, believed, nil)
	if err != nil || len(v.Signers) != 1 || v.Signers[0].Principals != "alice" || v.Signers[0].KeyID != "release 7" ||
		v.Signers[0].Authority != authority.Fingerprint() {
		t.Errorf("got %+v, %v", v, err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	_, err = trust.LoadSigner(context.Background(), path, trust.KeyOptions{})
	wantError(t, err, fault.Usage, path, "ssh-agent")
}

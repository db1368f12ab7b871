package checksum

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"bundle/testdata/judge"
)

var (
	message = []byte("4f2c6d1e0f9f2b6b1b0f1a2d3c4b5a69788796a5b4c3d2e1f00112233445566  index.json\n")
	now     = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

const (
	// Made with ssh-keygen -t dsa and ssh-keygen -t rsa -b 1024.
	weakDSA = "ssh-dss AAAAB3NzaC1kc3MAAACBANeOgHIMbE+Az2Zu4EmA4aEiDV1Vj++pyjgKZZ16YJgU0xdrCzIF0Yd9i0vexQ3+H/ziVS88HA/tOoa+jn7qxxk3+n1UUZ9oJxP/ewueMHJ8ZaSQL4mLubtzeSyh9ME1ZYR6Pk0/TL00Z1OpuzIxee2SgkS93zWH5YWG5l7J/qVhAAAAFQDNb0pAAiba3KKtvDwnrvm8UUUv5wAAAIBmiYCI89XZ+FO7MupDERhz9dCpOODhGKc9bprCWGea/L7jVC4nBjZee/ZU2Tc6OtPOr4DroCkJ30KSivL5m46V2mPqz8iGQHkSVrHZyOUtm764fQwhKM+PRE81BY8MJyz0frZvx/9IQUvXZy7VEBMu9dgKBYPQgjHxxgCFybpQHwAAAIBuxN1ci7g9ZKmQiABAPRPD50xcRSsPte7vDIMOayQsDXbNwx54ZvysXhL+ZwR28AXj3gdsgCX+zQUMgcnIyRCFfeehqRe6WmJwijJb01EtFmkMJZ5VjU0OONqlnwLoIeF6N9s6x2C5pcvd1bOVI1O6YmlRNL6NG6lUZHJK2LrsEg== weak@example.org"
	weakRSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCyoGKPcWnxYv7hg9u+byV3IffoiZ1S5l4FUCx9TAM1M6KlwUWgvCuHdxr4uz9T9hyW6kpdJabGt0zUFbSFypC9Kas6SqnE2N+2DhOko6ii0Y+ktW2EvWH0LbXYEpHi+vir8f5iZNYPK84NgeyK/ATnA6dYKMXJVoKIxbGj+LP1iQ== weak@example.org"
)

// writeFile puts b into the folder dir and returns the path.
func writeFile(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run starts a program in dir and returns what it wrote, both streams, and
// whether it ended well.
func run(t testing.TB, dir string, stdin []byte, name string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// mustRun is run for programs that have to succeed.
func mustRun(t testing.TB, dir string, stdin []byte, name string, args ...string) string {
	t.Helper()
	out, ok := run(t, dir, stdin, name, args...)
	if !ok {
		t.Fatalf("%s %q failed:\n%s", name, args, out)
	}
	return out
}

// seedKey returns the Ed25519 key that grows from a seed of equal bytes.
func seedKey(t testing.TB, seed byte) ssh.Signer {
	t.Helper()
	return newSigner(t, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

func newSigner(t testing.TB, key any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ecdsaKey(t testing.TB, curve elliptic.Curve) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, k)
}

// rsaKey returns a key of 2048 bits.
func rsaKey(t testing.TB) ssh.Signer {
	t.Helper()
	return newSigner(t, rsaKeyOf(t, 2048))
}

func dsaKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(weakDSA))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rsaKeys holds those of rsaKeyOf, by size.
var rsaKeys sync.Map

// rsaKeyOf returns a key of a size, always the same: making one takes long.
func rsaKeyOf(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	if k, ok := rsaKeys.Load(bits); ok {
		return k.(*rsa.PrivateKey)
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	rsaKeys.Store(bits, k)
	return k
}

// A keyFiles is what ssh-keygen wrote: a key without a passphrase, and its public half.
type keyFiles struct{ private, public []byte }

// sshKeygenRSA is a key that ssh-keygen made, of the size that it chooses, always the
// same.
var sshKeygenRSA = sync.OnceValues(func() (keyFiles, error) {
	dir, err := os.MkdirTemp("", "rsa")
	if err != nil {
		return keyFiles{}, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-N", "", "-C", "made by ssh-keygen", "-t", "rsa", "-f", path).CombinedOutput(); err != nil {
		return keyFiles{}, fmt.Errorf("%w: %s", err, out)
	}
	private, err := os.ReadFile(path)
	if err != nil {
		return keyFiles{}, err
	}
	public, err := os.ReadFile(path + ".pub")
	return keyFiles{private, public}, err
})

// makeKey lets ssh-keygen make a key of a kind at dir/name. RSA keys are all one.
func makeKey(t *testing.T, dir, name, kind string, args ...string) {
	t.Helper()
	keygen := judge.Path(t, "ssh-keygen")
	if kind != "rsa" {
		mustRun(t, dir, nil, keygen, append([]string{"-q", "-N", "", "-C", "made by ssh-keygen", "-f", name, "-t", kind}, args...)...)
		return
	}
	key, err := sshKeygenRSA()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, name, key.private)
	writeFile(t, dir, name+".pub", key.public)
}

// lockedKey is a key of GenerateKey that "open sesame" opens, always the same: a
// passphrase costs much time, by design.
var lockedKey = sync.OnceValues(func() (keyFiles, error) {
	private, public, err := GenerateKey(" release@example.org ", []byte("open sesame"))
	return keyFiles{private, public}, err
})

// generated is a key of GenerateKey under a passphrase, or none.
func generated(t *testing.T, locked bool) (private, public []byte) {
	t.Helper()
	key, err := lockedKey()
	if !locked {
		key.private, key.public, err = GenerateKey(" release@example.org ", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key.private, key.public
}

// weakRSAKey returns a key of a size that was common once.
func weakRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	return rsaKeyOf(t, 1024)
}

// certify makes a user certificate for the key of s, signed by ca.
func certify(t testing.TB, s, ca ssh.Signer) *ssh.Certificate {
	t.Helper()
	return certifyAs(t, s, ca, nil)
}

// certifyAs is certify with something changed before ca signs.
func certifyAs(t testing.TB, s, ca ssh.Signer, edit func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{
		Key:             s.PublicKey(),
		CertType:        ssh.UserCert,
		KeyId:           "release",
		ValidPrincipals: []string{"alice@example.org"},
		ValidBefore:     ssh.CertTimeInfinity,
	}
	if edit != nil {
		edit(cert)
	}
	// Zeros for the nonce, so that a key makes the same certificate each time.
	if err := cert.SignCert(bytes.NewReader(make([]byte, 32)), ca); err != nil {
		t.Fatal(err)
	}
	return cert
}

// publicKey returns the public half, as read back from its .pub line.
func publicKey(t testing.TB, s ssh.Signer, comment string) PublicKey {
	t.Helper()
	line := PublicKey{s.PublicKey(), comment}.String()
	k, err := ParsePublicKey([]byte(line + "\n"))
	if err != nil {
		t.Fatalf("ParsePublicKey(%q): %v", line, err)
	}
	return k
}

func mustSign(t testing.TB, msg []byte, s ssh.Signer) []byte {
	t.Helper()
	armored, err := Sign(msg, s)
	if err != nil {
		t.Fatal(err)
	}
	return armored
}

// trustIn returns the trust in the public halves of keys.
func trustIn(t testing.TB, keys ...ssh.Signer) *Trust {
	t.Helper()
	var trust Trust
	for _, k := range keys {
		trust.AddKey(publicKey(t, k, ""))
	}
	return &trust
}

// wantReason fails unless err is a TrustError with the reason.
func wantReason(t *testing.T, err error, want Reason) *TrustError {
	t.Helper()
	var got *TrustError
	if !errors.As(err, &got) {
		t.Fatalf("got error %v, want a TrustError for %v", err, want)
	}
	if got.Reason != want {
		t.Fatalf("got reason %v (%v), want %v", got.Reason, got, want)
	}
	return got
}

// A wireSignature is the content of the armor, PROTOCOL.sshsig of OpenSSH.
type wireSignature struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// forge signs as Sign does, but lets edit change what stands in the armor.
func forge(t testing.TB, s ssh.Signer, namespace string, edit func(*wireSignature)) []byte {
	t.Helper()
	sig, err := sshsig.Sign(bytes.NewReader(message), show(s, plain(s.PublicKey())), sshsig.HashSHA512, namespace)
	if err != nil {
		t.Fatal(err)
	}
	w := wireSignature{
		Magic:     [6]byte([]byte("SSHSIG")),
		Version:   1,
		PublicKey: s.PublicKey().Marshal(),
		Namespace: namespace,
		Hash:      "sha512",
		Signature: ssh.Marshal(sig.Signature),
	}
	if edit != nil {
		edit(&w)
	}
	return armor(ssh.Marshal(w))
}

// A securityKey does in software what a FIDO token does: it signs, beside the
// message, what it was used for, whether it was touched, and a counter
// (PROTOCOL.u2f of OpenSSH, "SSH U2F Signatures").
type securityKey struct {
	key     crypto.Signer // Ed25519, or ECDSA on P-256
	touched bool
	counter uint32
}

const application = "ssh:"

func (k *securityKey) PublicKey() ssh.PublicKey {
	var blob []byte
	switch pub := k.key.Public().(type) {
	case ed25519.PublicKey:
		blob = ssh.Marshal(struct {
			Type        string
			Key         []byte
			Application string
		}{ssh.KeyAlgoSKED25519, pub, application})
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			panic(err)
		}
		blob = ssh.Marshal(struct {
			Type, Curve string
			Point       []byte
			Application string
		}{ssh.KeyAlgoSKECDSA256, "nistp256", point, application})
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		panic(err)
	}
	return key
}

func (k *securityKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	k.counter++
	state := struct {
		Flags   byte
		Counter uint32
	}{Counter: k.counter}
	if k.touched {
		state.Flags = 1
	}
	app, msg := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	signed := append(append(app[:], ssh.Marshal(state)...), msg[:]...)
	opts := crypto.SignerOpts(crypto.Hash(0))
	if _, ok := k.key.(*ecdsa.PrivateKey); ok {
		digest := sha256.Sum256(signed)
		signed, opts = digest[:], crypto.SHA256
	}
	blob, err := k.key.Sign(rand, signed, opts)
	if err != nil {
		return nil, err
	}
	if opts == crypto.SHA256 {
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(blob, &rs); err != nil {
			return nil, err
		}
		blob = ssh.Marshal(rs)
	}
	return &ssh.Signature{Format: k.PublicKey().Type(), Blob: blob, Rest: ssh.Marshal(state)}, nil
}

func ed25519SecurityKey(seed byte) *securityKey {
	return &securityKey{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), touched: true}
}

func ecdsaSecurityKey(t testing.TB) *securityKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &securityKey{key: k, touched: true}
}

// parse reads a manifest into a list.
func parse(b []byte) (Sums, error) {
	var sums Sums
	err := Walk(b, func(s Sum) error {
		sums = append(sums, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sums, nil
}

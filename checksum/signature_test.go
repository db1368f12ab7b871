package checksum

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"bundle/testdata/judge"
)

// golden is the signature of message by seedKey(1), as ssh-keygen -Y sign
// makes it too.
const golden = `-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgiojj3XQJ8ZX9UtstPLpdcspnCb
8dlBIb83SIAbQPb1wAAAAGYnVuZGxlAAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1
NTE5AAAAQPQVEZyvXKw9hRHUs4XItXvJLJtYhBGMcW1u0yMkfgs9GgmKurCue0kgG8BWHE
cVnVEPzSE2Be0jQ/x6iJT4XQs=
-----END SSH SIGNATURE-----
`

// signers are keys of every kind that may sign.
func signers(t testing.TB) map[string]ssh.Signer {
	return map[string]ssh.Signer{
		"ed25519":    seedKey(t, 1),
		"ecdsa-256":  ecdsaKey(t, elliptic.P256()),
		"ecdsa-384":  ecdsaKey(t, elliptic.P384()),
		"ecdsa-521":  ecdsaKey(t, elliptic.P521()),
		"rsa-2048":   rsaKey(t),
		"sk-ed25519": ed25519SecurityKey(1),
		"sk-ecdsa":   ecdsaSecurityKey(t),
	}
}

func TestSignIsDeterministic(t *testing.T) {
	for range 3 {
		if got := string(mustSign(t, message, seedKey(t, 1))); got != golden {
			t.Fatalf("got:\n%s\nwant:\n%s", got, golden)
		}
	}
}

func TestSignVerify(t *testing.T) {
	for name, key := range signers(t) {
		t.Run(name, func(t *testing.T) {
			armored := mustSign(t, message, key)
			var trust Trust
			pub := publicKey(t, key, "release key")
			trust.AddKey(publicKey(t, seedKey(t, 9), "another"))
			trust.AddKey(pub)
			got, err := trust.Verify(message, armored, now)
			if err != nil {
				t.Fatal(err)
			}
			want := Signer{Fingerprint: pub.Fingerprint(), Type: pub.Type(), Comment: "release key"}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}

			changed := bytes.Clone(message)
			changed[len(changed)/2] ^= 1
			for _, msg := range [][]byte{changed, nil, append(bytes.Clone(message), '\n'), message[1:]} {
				_, err := trust.Verify(msg, armored, now)
				refused := wantReason(t, err, BadSignature)
				if refused.Fingerprint != pub.Fingerprint() {
					t.Errorf("the error names %s", refused.Fingerprint)
				}
			}
			_, err = trustIn(t, seedKey(t, 9)).Verify(message, armored, now)
			refused := wantReason(t, err, UnknownKey)
			if refused.Fingerprint != pub.Fingerprint() || !strings.Contains(err.Error(), pub.Fingerprint()) {
				t.Errorf("the error does not name the key that was found: %v", err)
			}
		})
	}
}

// A brokenSigner makes another kind of signature than it was asked for, as
// agents have been seen to do.
type brokenSigner struct {
	ssh.AlgorithmSigner
	algorithm string
	err       error
}

func (s brokenSigner) SignWithAlgorithm(rand io.Reader, data []byte, _ string) (*ssh.Signature, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.AlgorithmSigner.SignWithAlgorithm(rand, data, s.algorithm)
}

// A strangeSigner shows one key and signs with another.
type strangeSigner struct {
	ssh.Signer
	shown ssh.PublicKey
}

func (s strangeSigner) PublicKey() ssh.PublicKey { return s.shown }

func TestSignRefuses(t *testing.T) {
	t.Run("weak key", func(t *testing.T) {
		_, err := Sign(message, newSigner(t, weakRSAKey(t)))
		if got := wantReason(t, err, WeakKey); !strings.Contains(got.Error(), "RSA of 1024 bits") {
			t.Errorf("message %q does not say what is weak", got)
		}
	})
	t.Run("certificate of a host", func(t *testing.T) {
		cert := certifyAs(t, seedKey(t, 1), seedKey(t, 2), func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
		_, err := Sign(message, show(seedKey(t, 1), cert))
		wantReason(t, err, Unsupported)
	})
	failure := errors.New("card removed")
	rsa := rsaKey(t).(ssh.AlgorithmSigner)
	untouched := ed25519SecurityKey(1)
	untouched.touched = false
	for name, test := range map[string]struct {
		key   ssh.Signer
		what  string
		cause error
	}{
		"the signer fails":              {brokenSigner{rsa, "", failure}, "card removed", failure},
		"RSA with SHA-1":                {brokenSigner{rsa, ssh.KeyAlgoRSA, nil}, "does not verify", nil},
		"security key was not touched":  {untouched, "user presence", nil},
		"signature by another key":      {strangeSigner{seedKey(t, 1), seedKey(t, 2).PublicKey()}, "does not verify", nil},
		"key that is none, of no known": {strangeSigner{seedKey(t, 1), unknownKey{}}, "signing key", nil},
	} {
		t.Run(name, func(t *testing.T) {
			armored, err := Sign(message, test.key)
			if err == nil {
				t.Fatalf("signed:\n%s", armored)
			}
			if !strings.Contains(err.Error(), test.what) {
				t.Errorf("message %q does not say %q", err, test.what)
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("%v does not wrap %v", err, test.cause)
			}
		})
	}
}

// unknownKey is of a kind that nobody has heard of.
type unknownKey struct{}

func (unknownKey) Type() string                        { return "ssh-new" }
func (unknownKey) Marshal() []byte                     { return ssh.Marshal(struct{ Type string }{"ssh-new"}) }
func (unknownKey) Verify([]byte, *ssh.Signature) error { return errors.New("unknown") }

func TestVerifyMalformed(t *testing.T) {
	body := strings.TrimSuffix(strings.TrimPrefix(golden, armorHead), armorFoot+"\n")
	wire := func(edit func(*wireSignature)) string { return string(forge(t, seedKey(t, 1), Namespace, edit)) }
	if wire(nil) != golden {
		t.Fatal("a signature forged without changes is not the real one")
	}
	tests := map[string]string{
		"text":                     "not signed, trust me\n",
		"blank":                    "\n",
		"two signatures":           golden + golden,
		"text before":              "signed by me:\n" + golden,
		"blank line before":        "\n" + golden,
		"text after":               golden + "x",
		"blank line after":         golden + "\n",
		"CRLF":                     strings.ReplaceAll(golden, "\n", "\r\n"),
		"header":                   armorHead + "Comment: x\n\n" + body + armorFoot + "\n",
		"blank inside":             strings.Replace(golden, "U1NIU0", "U1N IU0", 1),
		"empty line inside":        strings.Replace(golden, "\nNTE5", "\n\nNTE5", 1),
		"no content":               armorHead + armorFoot + "\n",
		"empty content":            armorHead + "\n" + armorFoot + "\n",
		"one long line":            armorHead + strings.ReplaceAll(body, "\n", "") + "\n" + armorFoot + "\n",
		"no footer":                armorHead + body,
		"footer without line":      armorHead + strings.TrimSuffix(body, "\n") + armorFoot + "\n",
		"PGP":                      strings.ReplaceAll(golden, "SSH SIGNATURE", "PGP SIGNATURE"),
		"padding missing":          strings.Replace(golden, "XQs=\n", "XQs\n", 1),
		"loose base64":             strings.Replace(golden, "XQs=\n", "XQt=\n", 1),
		"other base64":             strings.Replace(golden, "/x6iJT4", "_x6iJT4", 1),
		"cut off":                  string(armor([]byte("SSHSIG\x00\x00\x00\x01"))),
		"too large":                armorHead + strings.Repeat(strings.Repeat("A", 70)+"\n", 1000) + armorFoot + "\n",
		"other magic":              wire(func(w *wireSignature) { copy(w.Magic[:], "SSHSIX") }),
		"version 2":                wire(func(w *wireSignature) { w.Version = 2 }),
		"version 0":                wire(func(w *wireSignature) { w.Version = 0 }),
		"reserved field":           wire(func(w *wireSignature) { w.Reserved = "x" }),
		"hash MD5":                 wire(func(w *wireSignature) { w.Hash = "md5" }),
		"hash none":                wire(func(w *wireSignature) { w.Hash = "" }),
		"bytes after signature":    wire(func(w *wireSignature) { w.Signature = append(w.Signature, 0) }),
		"no signature":             wire(func(w *wireSignature) { w.Signature = nil }),
		"bytes after key":          wire(func(w *wireSignature) { w.PublicKey = append(w.PublicKey, 0) }),
		"no key":                   wire(func(w *wireSignature) { w.PublicKey = nil }),
		"unknown kind of key":      wire(func(w *wireSignature) { w.PublicKey = unknownKey{}.Marshal() }),
		"terminal codes as a kind": wire(func(w *wireSignature) { w.PublicKey = ssh.Marshal(struct{ Type string }{"\x1b[2J"}) }),
		"RSA with SHA-1": string(forge(t, rsaKey(t), Namespace, func(w *wireSignature) {
			w.Signature = ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoRSA, Blob: []byte("x")})
		})),
	}
	trust := trustIn(t, seedKey(t, 1))
	for name, armored := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := trust.Verify(message, []byte(armored), now)
			refused := wantReason(t, err, Malformed)
			if strings.ContainsAny(refused.Error(), "\x1b\n") {
				t.Errorf("the message is not fit for a terminal: %q", refused.Error())
			}
		})
	}
	t.Run("without the last newline", func(t *testing.T) {
		if _, err := trust.Verify(message, []byte(strings.TrimSuffix(golden, "\n")), now); err != nil {
			t.Errorf("not accepted: %v", err)
		}
	})
}

func TestVerifyRefusesChangedFields(t *testing.T) {
	one, two := seedKey(t, 1), seedKey(t, 2)
	token, untouched := ed25519SecurityKey(3), ed25519SecurityKey(3)
	untouched.touched = false
	cert, err := ssh.NewCertSigner(certify(t, one, two), one)
	if err != nil {
		t.Fatal(err)
	}
	// What ssh-dss looks like; nobody gets as far as to look at the numbers.
	dsa := func(w *wireSignature) {
		w.PublicKey = dsaKey(t).Marshal()
		w.Signature = ssh.Marshal(ssh.Signature{Format: keyTypeDSA, Blob: make([]byte, 40)})
	}
	tests := map[string]struct {
		armored []byte
		reason  Reason
	}{
		"nothing":             {nil, Unsigned},
		"other namespace":     {forge(t, one, "file", nil), WrongNamespace},
		"namespace relabeled": {forge(t, one, "file", func(w *wireSignature) { w.Namespace = Namespace }), BadSignature},
		"namespace in capitals": {
			forge(t, one, "BUNDLE", nil), WrongNamespace},
		"no namespace": {
			forge(t, one, Namespace, func(w *wireSignature) { w.Namespace = "" }), WrongNamespace},
		"hash relabeled": {
			forge(t, one, Namespace, func(w *wireSignature) { w.Hash = "sha256" }), BadSignature},
		"key relabeled as a trusted one": {
			forge(t, two, Namespace, func(w *wireSignature) { w.PublicKey = one.PublicKey().Marshal() }), BadSignature},
		"signature of another kind": {
			forge(t, one, Namespace, func(w *wireSignature) {
				w.Signature = ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoECDSA256, Blob: make([]byte, ed25519.SignatureSize)})
			}), BadSignature},
		"all zero": {
			forge(t, one, Namespace, func(w *wireSignature) {
				w.Signature = ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, ed25519.SignatureSize)})
			}), BadSignature},
		"unknown key":                  {forge(t, two, Namespace, nil), UnknownKey},
		"RSA of 2047 bits":             {forge(t, newSigner(t, rsaKeyOf(t, minRSABits-1)), Namespace, nil), WeakKey},
		"DSA":                          {forge(t, one, Namespace, dsa), WeakKey},
		"weak key":                     {forge(t, newSigner(t, weakRSAKey(t)), Namespace, nil), WeakKey},
		"certificate for trusted key":  {forge(t, cert, Namespace, nil), UnknownKey},
		"security key was not touched": {forge(t, untouched, Namespace, nil), BadSignature},
		"touch relabeled": {
			forge(t, untouched, Namespace, func(w *wireSignature) { w.Signature[len(w.Signature)-5] |= 1 }), BadSignature},
		"counter relabeled": {
			forge(t, token, Namespace, func(w *wireSignature) { w.Signature[len(w.Signature)-1]++ }), BadSignature},
	}
	trust := trustIn(t, one, token)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := trust.Verify(message, test.armored, now)
			wantReason(t, err, test.reason)
		})
	}
}

func TestVerifyTakesSHA256(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	dir := t.TempDir()
	mustRun(t, dir, nil, keygen, "-q", "-t", "ed25519", "-N", "", "-f", "key")
	armored := mustRun(t, dir, message, keygen, "-q", "-Y", "sign", "-n", Namespace, "-O", "hashalg=sha256", "-f", "key")
	var trust Trust
	pub, err := ParsePublicKey(readFile(t, dir+"/key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	trust.AddKey(pub)
	if _, err := trust.Verify(message, []byte(armored), now); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	trust := trustIn(f, seedKey(f, 1), ed25519SecurityKey(3))
	f.Add([]byte(golden))
	f.Add([]byte(strings.TrimSuffix(golden, "\n")))
	f.Add([]byte(golden + golden))
	f.Add(forge(f, seedKey(f, 1), "file", nil))
	f.Add(forge(f, seedKey(f, 2), Namespace, nil))
	f.Add(forge(f, ed25519SecurityKey(3), Namespace, nil))
	f.Add(forge(f, rsaKey(f), Namespace, nil))
	f.Add(forge(f, ecdsaSecurityKey(f), Namespace, nil))
	certified := forge(f, show(seedKey(f, 1), certify(f, seedKey(f, 1), seedKey(f, 2))), Namespace, nil)
	f.Add(certified)
	if err := trust.AddAllowedSigners([]byte("* cert-authority " + publicKey(f, seedKey(f, 2), "").String())); err != nil {
		f.Fatal(err)
	}
	accepted := [][]byte{[]byte(golden), forge(f, ed25519SecurityKey(3), Namespace, nil), certified}
	f.Fuzz(func(t *testing.T, armored []byte) {
		signer, err := trust.Verify(message, armored, now)
		if err != nil {
			var refused *TrustError
			if !errors.As(err, &refused) || refused.Error() == "" {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		// Ed25519 signatures are unique: whatever is accepted has to be one
		// of those that were made, but for the wrapping of lines.
		blob, err := unarmor(armored)
		if err != nil {
			t.Fatalf("accepted from %v, but not readable: %v", signer, err)
		}
		for _, a := range accepted {
			if bytes.Equal(armor(blob), a) {
				return
			}
		}
		t.Fatalf("accepted from %v, but nobody signed it: %q", signer, armored)
	})
}

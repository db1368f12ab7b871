package checksum

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"bundle/testdata/judge"
)

func answer(passphrase string) Passphrase {
	return func() ([]byte, error) { return []byte(passphrase), nil }
}

// neverAsked is for keys that need no passphrase.
func neverAsked(t *testing.T) Passphrase {
	return func() ([]byte, error) {
		t.Error("asked for a passphrase that is not needed")
		return nil, nil
	}
}

func TestGenerateKey(t *testing.T) {
	for _, passphrase := range []string{"", "open sesame"} {
		private, public := generated(t, passphrase != "")
		ask := neverAsked(t)
		if passphrase != "" {
			ask = answer(passphrase)
		}
		signer, err := ParsePrivateKey(private, ask)
		if err != nil {
			t.Fatal(err)
		}
		pub, err := ParsePublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if pub.Type() != "ssh-ed25519" || pub.Comment() != "release@example.org" {
			t.Errorf("got type %q, comment %q", pub.Type(), pub.Comment())
		}
		if !pub.equal(signer.PublicKey()) {
			t.Error("the two halves do not belong together")
		}
		if string(public) != pub.String()+"\n" {
			t.Errorf("public key file %q, want %q and a newline", public, pub)
		}
		if !IsPrivateKey(private) || IsPrivateKey(public) {
			t.Error("IsPrivateKey cannot tell the files apart")
		}
	}
	if _, _, err := GenerateKey("two\nlines", nil); err == nil {
		t.Error("a comment of two lines is accepted")
	}
}

func TestParsePrivateKeyPassphrase(t *testing.T) {
	private, _ := generated(t, true)
	cancelled := errors.New("cancelled")
	tests := []struct {
		name    string
		ask     Passphrase
		missing bool
		cause   error
	}{
		{name: "nobody to ask", ask: nil, missing: true},
		{name: "empty", ask: answer(""), missing: true},
		{name: "wrong", ask: answer("wrong")},
		{name: "cancelled", ask: func() ([]byte, error) { return nil, cancelled }, cause: cancelled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParsePrivateKey(private, test.ask)
			if test.cause != nil {
				if !errors.Is(err, test.cause) {
					t.Errorf("got %v, want %v", err, test.cause)
				}
				return
			}
			var locked *PassphraseError
			if !errors.As(err, &locked) || locked.Missing != test.missing {
				t.Errorf("got %v, want a PassphraseError with Missing %v", err, test.missing)
			}
			if wrong := strings.Contains(err.Error(), "wrong passphrase"); wrong == test.missing {
				t.Errorf("message %q", err)
			}
		})
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	weak, err := ssh.MarshalPrivateKeyWithPassphrase(weakRSAKey(t), "", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	// A file as ssh-keygen -t ed25519-sk leaves: the public key in clear, and
	// nothing behind it that could sign.
	token := publicKey(t, ed25519SecurityKey(1), "")
	pointer := pem.EncodeToMemory(&pem.Block{Type: pemOpenSSH, Bytes: append([]byte(opensshMagic), ssh.Marshal(struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		PublicKey               []byte
		Rest                    []byte `ssh:"rest"`
	}{"aes256-ctr", "bcrypt", "", 1, token.key.Marshal(), nil})...)})

	t.Run("weak, before the passphrase is asked", func(t *testing.T) {
		_, err := ParsePrivateKey(pem.EncodeToMemory(weak), neverAsked(t))
		wantReason(t, err, WeakKey)
	})
	t.Run("weak public key", func(t *testing.T) {
		_, err := ParsePrivateKey([]byte(weakRSA), neverAsked(t))
		wantReason(t, err, WeakKey)
	})
	t.Run("pointer to a security key", func(t *testing.T) {
		_, err := ParsePrivateKey(pointer, neverAsked(t))
		var hardware *HardwareKeyError
		if !errors.As(err, &hardware) || hardware.Key.Fingerprint() != token.Fingerprint() {
			t.Fatalf("got %v, want a HardwareKeyError", err)
		}
		if !strings.Contains(err.Error(), token.Fingerprint()) || !strings.Contains(err.Error(), "ssh-agent") {
			t.Errorf("message %q does not help", err)
		}
	})
	for name, in := range map[string]string{
		"nothing":            "",
		"text":               "not a key\n",
		"public key":         publicKey(t, seedKey(t, 1), "").String(),
		"other PEM":          "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"cut off":            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----\n",
		"broken PKCS #8":     "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"encrypted nonsense": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParsePrivateKey([]byte(in), answer("x")); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestParsePublicKey(t *testing.T) {
	key := publicKey(t, seedKey(t, 1), "")
	line := key.String()
	fields := strings.Fields(line)
	tests := []struct {
		name, in, comment string
	}{
		{"without comment", line, ""},
		{"newline", line + "\n", ""},
		{"CRLF", line + " me\r\n", "me"},
		{"comment of several words", line + " me at home\n", "me at home"},
		{"tabs and blanks", " \t" + fields[0] + "\t " + fields[1] + " \t me \t\n", "me"},
		{"comment lines and empty lines", "# release key\n\n" + line + " me\n\n# end\n", "me"},
		{"comment that would move the cursor", line + " a\x1b[2Jb", "a\ufffd[2Jb"},
		{"comment that is not UTF-8", line + " a\xffb", "a\ufffdb"},
		{"long comment", line + " " + strings.Repeat("c", 300), strings.Repeat("c", 256) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParsePublicKey([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if got.Fingerprint() != key.Fingerprint() || got.Comment() != test.comment {
				t.Errorf("got %q with comment %q, want %q with %q", got.Fingerprint(), got.Comment(), key.Fingerprint(), test.comment)
			}
		})
	}
	if got, want := key.Fingerprint(), "SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8"; got != want {
		t.Errorf("fingerprint %s, ssh-keygen -l prints %s", got, want)
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	line := publicKey(t, seedKey(t, 1), "").String()
	blob := strings.Fields(line)[1]
	private, _, err := GenerateKey("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ in, what string }{
		"nothing":             {"", "no public key"},
		"comments only":       {"# nothing\n", "no public key"},
		"two keys":            {line + "\n" + line + "\n", "line 2: a second"},
		"private key":         {string(private), "private key"},
		"no base64":           {"ssh-ed25519", "no base64"},
		"broken base64":       {"ssh-ed25519 AAAA!", "no base64"},
		"loose base64":        {strings.Replace(line, blob, blob[:len(blob)-1]+"=", 1), "not a public key"},
		"cut off":             {"ssh-ed25519 " + blob[:40], "not a public key"},
		"type does not match": {"ssh-rsa " + blob, "of type"},
		"options before":      {"restrict " + line, "no base64"},
		"unknown type":        {"ssh-new AAAAB3NzaC1uZXc=", "unknown"},
		"RFC 4716":            {"---- BEGIN SSH2 PUBLIC KEY ----\n" + blob + "\n---- END SSH2 PUBLIC KEY ----\n", "not a public key"},
		"long line":           {strings.Repeat("#", maxLine+1), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParsePublicKey([]byte(test.in))
			if err == nil {
				t.Fatalf("accepted as %v", key)
			}
			if !strings.Contains(err.Error(), test.what) {
				t.Errorf("message %q does not say %q", err, test.what)
			}
		})
	}
	almost := string(ssh.MarshalAuthorizedKey(newSigner(t, rsaKeyOf(t, minRSABits-1)).PublicKey()))
	for name, test := range map[string]struct {
		in     string
		reason Reason
	}{
		"RSA of 2047 bits": {almost, WeakKey},
		"RSA of 1024 bits": {weakRSA, WeakKey},
		"DSA":              {weakDSA, WeakKey},
		"certificate":      {string(ssh.MarshalAuthorizedKey(certify(t, seedKey(t, 1), seedKey(t, 2)))), Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePublicKey([]byte(test.in))
			refused := wantReason(t, err, test.reason)
			if !strings.HasPrefix(refused.Fingerprint, "SHA256:") || !strings.Contains(err.Error(), refused.Fingerprint) {
				t.Errorf("message %q does not name the key", err)
			}
		})
	}
}

func TestZeroPublicKey(t *testing.T) {
	var zero PublicKey
	if zero.Fingerprint() != "" || zero.Type() != "" || zero.String() != "" || zero.Comment() != "" {
		t.Errorf("the zero key shows as %q", zero.String())
	}
	var trust Trust
	trust.AddKey(zero)
	_, err := trust.Verify(message, mustSign(t, message, seedKey(t, 1)), now)
	wantReason(t, err, NoTrust)
}

// Keys as ssh-keygen writes them, in every format and kind it has. One is locked with
// as many rounds as ssh-keygen chooses, the others with one (-a).
func TestParsePrivateKeyOfSSHKeygen(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	const passphrase = "open sesame"
	for name, args := range map[string][]string{
		"ed25519":                 {"-N", "", "-t", "ed25519"},
		"ecdsa-256":               {"-N", "", "-t", "ecdsa", "-b", "256"},
		"ecdsa-384":               {"-N", "", "-t", "ecdsa", "-b", "384"},
		"ecdsa-521":               {"-N", "", "-t", "ecdsa", "-b", "521"},
		"rsa":                     {"-N", ""},
		"rsa, PEM":                {"-N", "", "-m", "PEM"},
		"ecdsa, PEM":              {"-N", "", "-t", "ecdsa", "-m", "PEM"},
		"ecdsa, PKCS8":            {"-N", "", "-t", "ecdsa", "-m", "PKCS8"},
		"unusual comment":         {"-N", "", "-t", "ed25519", "-C", `"ä" #1`},
		"ed25519, encrypted":      {"-N", passphrase, "-t", "ed25519"},
		"aes256-cbc, encrypted":   {"-N", passphrase, "-t", "ed25519", "-a", "1", "-Z", "aes256-cbc"},
		"ecdsa, PEM, encrypted":   {"-N", passphrase, "-t", "ecdsa", "-m", "PEM"},
		"rsa, PEM, encrypted":     {"-N", passphrase, "-m", "PEM"},
		"ecdsa, PKCS8, encrypted": {"-N", passphrase, "-t", "ecdsa", "-m", "PKCS8"},
		"rsa, PKCS8, encrypted":   {"-N", passphrase, "-m", "PKCS8"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "key")
			if strings.HasPrefix(name, "rsa") {
				makeKey(t, dir, "key", "rsa")
				args = append([]string{"-p", "-P", ""}, args...) // the same key in another format
			}
			mustRun(t, "", nil, keygen, append([]string{"-q", "-f", path}, args...)...)
			ask, encrypted := neverAsked(t), strings.Contains(name, "encrypted")
			if encrypted {
				ask = answer(passphrase)
			}
			signer, err := ParsePrivateKey(readFile(t, path), ask)
			if err != nil {
				t.Fatal(err)
			}
			pub, err := ParsePublicKey(readFile(t, path+".pub"))
			if err != nil {
				t.Fatal(err)
			}
			if !pub.equal(signer.PublicKey()) {
				t.Error("the private key is another than the public one")
			}
			if listed := mustRun(t, "", nil, keygen, "-l", "-f", path+".pub"); strings.Fields(listed)[1] != pub.Fingerprint() {
				t.Errorf("fingerprint %s, ssh-keygen says %s", pub.Fingerprint(), listed)
			}
			if !encrypted {
				return
			}
			_, err = ParsePrivateKey(readFile(t, path), answer("wrong"))
			var locked *PassphraseError
			if !errors.As(err, &locked) || locked.Missing {
				t.Errorf("wrong passphrase: got %v, want a PassphraseError", err)
			}
		})
	}
}

func TestParsePrivateKeyUnusualCipher(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	path := filepath.Join(t.TempDir(), "key")
	mustRun(t, "", nil, keygen, "-q", "-t", "ed25519", "-Z", "aes128-ctr", "-a", "1", "-N", "open sesame", "-f", path)
	_, err := ParsePrivateKey(readFile(t, path), neverAsked(t))
	if err == nil || !strings.Contains(err.Error(), `"aes128-ctr"`) || !strings.Contains(err.Error(), "ssh-keygen -p -Z") {
		t.Errorf("got %v, want the cipher and the way out", err)
	}
}

// And ours as ssh-keygen reads them.
func TestSSHKeygenReadsGeneratedKey(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	for _, passphrase := range []string{"", "open sesame"} {
		private, public := generated(t, passphrase != "")
		dir := t.TempDir()
		path := writeFile(t, dir, "key", private)
		derived := mustRun(t, dir, nil, keygen, "-y", "-P", passphrase, "-f", path)
		if derived != string(public) {
			t.Errorf("ssh-keygen derives %q, we wrote %q", derived, public)
		}
		pub, err := ParsePublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, "key.pub", public)
		if want := "256 " + pub.Fingerprint() + " release@example.org (ED25519)\n"; mustRun(t, dir, nil, keygen, "-l", "-f", "key.pub") != want {
			t.Errorf("ssh-keygen -l does not print %q", want)
		}
		if _, ok := run(t, dir, nil, keygen, "-y", "-P", "wrong", "-f", path); ok && passphrase != "" {
			t.Error("the passphrase does not protect the key")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add([]byte(publicKey(f, seedKey(f, 1), "me@example.org").String() + "\n"))
	f.Add([]byte(publicKey(f, ed25519SecurityKey(1), "token").String()))
	f.Add([]byte("# key\r\n\r\n" + publicKey(f, ecdsaSecurityKey(f), "").String() + "\r\n"))
	f.Add([]byte(weakRSA))
	f.Add([]byte(weakDSA))
	f.Add([]byte("restrict " + weakRSA))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParsePublicKey(b)
		if err != nil {
			return
		}
		again, err := ParsePublicKey([]byte(key.String()))
		if err != nil {
			t.Fatalf("%q does not read back: %v", key, err)
		}
		if again.String() != key.String() || again.Fingerprint() != key.Fingerprint() {
			t.Fatalf("%q reads back as %q", key, again)
		}
		if err := checkKey(key.key); err != nil {
			t.Fatalf("accepted: %v", err)
		}
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	private, public, err := GenerateKey("me@example.org", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(private)
	f.Add(public)
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Nobody to ask: key derivation has no place in a fuzzer.
		signer, err := ParsePrivateKey(b, nil)
		if err != nil {
			return
		}
		if !IsPrivateKey(b) {
			t.Fatalf("read as a private key, but does not look like one: %q", b)
		}
		if err := checkKey(signer.PublicKey()); err != nil {
			t.Fatalf("accepted: %v", err)
		}
	})
}

func TestDecryptPKCS8CutOff(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	path := filepath.Join(t.TempDir(), "key")
	mustRun(t, "", nil, keygen, "-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "right", "-f", path)
	block, _ := pem.Decode(readFile(t, path))
	if block == nil || block.Type != pemEncryptedPKCS8 {
		t.Fatal("ssh-keygen did not write encrypted PKCS #8")
	}
	if _, err := decryptPKCS8(block.Bytes, []byte("right")); err != nil {
		t.Fatal(err)
	}
	for n := range block.Bytes {
		if _, err := decryptPKCS8(block.Bytes[:n], []byte("right")); err == nil {
			t.Errorf("accepted when cut off after %d bytes", n)
		}
	}
}

// Schemes of encryption that ssh-keygen never writes are named, not tried.
func TestDecryptPKCS8Unsupported(t *testing.T) {
	type kdfParams struct {
		Salt   []byte
		Rounds int
		PRF    pkix.AlgorithmIdentifier
	}
	type file struct {
		scheme, kdf, prf, cipher asn1.ObjectIdentifier
		rounds                   int
		iv, data                 []byte
	}
	der := func(v any) asn1.RawValue {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: b}
	}
	other := asn1.ObjectIdentifier{1, 2, 3, 4}
	aes128 := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	block := make([]byte, 16)
	for name, test := range map[string]struct {
		file
		what string
	}{
		"as written, other passphrase": {file{oidPBES2, oidPBKDF2, oidHMACSHA256, aes128, 1, block, block}, "wrong passphrase"},
		"scheme":                       {file{other, oidPBKDF2, oidHMACSHA256, aes128, 1, block, block}, "encryption 1.2.3.4"},
		"key derivation":               {file{oidPBES2, other, oidHMACSHA256, aes128, 1, block, block}, "key derivation 1.2.3.4"},
		"hash":                         {file{oidPBES2, oidPBKDF2, other, aes128, 1, block, block}, "key derivation with 1.2.3.4"},
		"cipher":                       {file{oidPBES2, oidPBKDF2, oidHMACSHA256, other, 1, block, block}, "cipher 1.2.3.4"},
		"no rounds":                    {file{oidPBES2, oidPBKDF2, oidHMACSHA256, aes128, 0, block, block}, "0 rounds"},
		"endless rounds":               {file{oidPBES2, oidPBKDF2, oidHMACSHA256, aes128, math.MaxInt32, block, block}, "rounds"},
		"short IV":                     {file{oidPBES2, oidPBKDF2, oidHMACSHA256, aes128, 1, block[1:], block}, "wrong size"},
		"half a block":                 {file{oidPBES2, oidPBKDF2, oidHMACSHA256, aes128, 1, block, block[1:]}, "wrong size"},
		"no data":                      {file{oidPBES2, oidPBKDF2, oidHMACSHA256, aes128, 1, block, nil}, "wrong size"},
	} {
		t.Run(name, func(t *testing.T) {
			kdf := kdfParams{[]byte("salt"), test.rounds, pkix.AlgorithmIdentifier{Algorithm: test.prf}}
			params := struct{ KDF, Cipher pkix.AlgorithmIdentifier }{
				pkix.AlgorithmIdentifier{Algorithm: test.kdf, Parameters: der(kdf)},
				pkix.AlgorithmIdentifier{Algorithm: test.cipher, Parameters: der(test.iv)},
			}
			info := struct {
				Algorithm pkix.AlgorithmIdentifier
				Data      []byte
			}{pkix.AlgorithmIdentifier{Algorithm: test.scheme, Parameters: der(params)}, test.data}
			in := pem.EncodeToMemory(&pem.Block{Type: pemEncryptedPKCS8, Bytes: der(info).FullBytes})
			_, err := ParsePrivateKey(in, answer("x"))
			if err == nil || !strings.Contains(err.Error(), test.what) {
				t.Errorf("got %v, want an error that says %q", err, test.what)
			}
		})
	}
}

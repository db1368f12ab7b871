package checksum

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// minRSABits is the least modulus that still counts as strong
	// (NIST SP 800-131A).
	minRSABits = 2048

	// maxRSABits is what OpenSSH makes at most (SSHBUF_MAX_BIGNUM). The time to
	// verify grows with the square of it.
	maxRSABits = 16384

	// keyTypeDSA is gone from OpenSSH 10, but files with such keys are about.
	keyTypeDSA = "ssh-dss"

	// maxLine bounds a line of a key or allowed_signers file, in bytes. The
	// largest key that OpenSSH makes, RSA with 16384 bits, takes 2800.
	maxLine = 64 << 10
)

// A PublicKey is the public half of a signing key. The zero value is no key:
// it matches nothing.
type PublicKey struct {
	key     ssh.PublicKey
	comment string
}

// Fingerprint returns the SHA-256 fingerprint as ssh-keygen -l prints it:
// SHA256: and unpadded base64.
func (k PublicKey) Fingerprint() string {
	if k.key == nil {
		return ""
	}
	return ssh.FingerprintSHA256(k.key)
}

// ParseFingerprint reads a fingerprint as ssh-keygen -l shows it, SHA256: and 43
// characters of base64, and returns it in that form. It may have been copied
// from paper: blanks between the characters, and a missing SHA256:, do not count.
func ParseFingerprint(s string) (string, error) {
	text := strings.Join(strings.Fields(s), "")
	if strings.HasPrefix(strings.ToUpper(text), "MD5:") {
		return "", errors.New("an MD5 fingerprint is not safe: want that of SHA-256, as ssh-keygen -l shows it")
	}
	const label = "SHA256:"
	if len(text) > len(label) && strings.EqualFold(text[:len(label)], label) {
		text = text[len(label):]
	}
	text = strings.TrimRight(text, "=")
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("%q is no fingerprint: want SHA256: and 43 letters, digits, + or /, as ssh-keygen -l shows it", clean(s))
	}
	return label + text, nil
}

// Type returns the name of the key format, such as ssh-ed25519.
func (k PublicKey) Type() string {
	if k.key == nil {
		return ""
	}
	return k.key.Type()
}

// Comment returns the free text after the key, usually user@host.
func (k PublicKey) Comment() string { return k.comment }

// String returns the key as the line of a .pub file, without the newline.
func (k PublicKey) String() string {
	if k.key == nil {
		return ""
	}
	s := k.Type() + " " + base64.StdEncoding.EncodeToString(k.key.Marshal())
	if k.comment != "" {
		s += " " + k.comment
	}
	return s
}

func (k PublicKey) equal(other ssh.PublicKey) bool {
	return k.key != nil && bytes.Equal(k.key.Marshal(), other.Marshal())
}

// ParsePublicKey reads a .pub file: one line of key type, base64 and comment.
// Empty lines and lines that begin with # are skipped; a second key, options
// before the key, or anything else is an error. A key that would never be
// trusted (weak, certificate) is refused with a [*TrustError].
func ParsePublicKey(b []byte) (PublicKey, error) {
	if IsPrivateKey(b) {
		return PublicKey{}, errors.New("this is a private key: the public one is needed, usually in the file with .pub at the end")
	}
	line, err := onlyLine(b)
	if err != nil {
		return PublicKey{}, err
	}
	key, err := parseKeyFields(line)
	if err != nil {
		return PublicKey{}, err
	}
	if err := checkKey(key.key); err != nil {
		return PublicKey{}, err
	}
	return key, nil
}

// onlyLine returns the one line of a key file that is neither empty nor a
// comment.
func onlyLine(b []byte) (found string, err error) {
	for n, line := range lines(b) {
		if len(line) > maxLine {
			return "", fmt.Errorf("line %d: too long for a public key", n)
		}
		line = strings.Trim(line, " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if found != "" {
			if _, err := parseKeyFields(found); err != nil {
				return "", err // it is another kind of file
			}
			return "", fmt.Errorf("line %d: a second public key, only one is allowed", n)
		}
		found = line
	}
	if found == "" {
		return "", errors.New("no public key")
	}
	return found, nil
}

// parseKeyFields reads key type, base64 and comment.
func parseKeyFields(s string) (PublicKey, error) {
	name, rest := cutSpace(s)
	text, comment := cutSpace(rest)
	blob, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || text == "" {
		return PublicKey{}, fmt.Errorf("not a public key: %q has no base64 after it", clean(name))
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return PublicKey{}, fmt.Errorf("not a public key: %s", clean(err.Error()))
	}
	if key.Type() != name {
		return PublicKey{}, fmt.Errorf("the line says %q, but the key in it is of type %q", clean(name), key.Type())
	}
	return PublicKey{key, clean(comment)}, nil
}

// checkKey refuses keys that no signature of ours may rest on.
func checkKey(key ssh.PublicKey) error {
	reason, detail := Unsupported, ""
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		bits := rsaBits(key)
		switch {
		case bits > maxRSABits:
			detail = fmt.Sprintf("RSA of %d bits, at most %d allowed", bits, maxRSABits)
		case bits < minRSABits:
			reason, detail = WeakKey, fmt.Sprintf("RSA of %d bits, at least %d needed", bits, minRSABits)
		default:
			return nil
		}
	case keyTypeDSA:
		reason, detail = WeakKey, "DSA"
	default:
		detail = "this kind of key is not supported"
		if _, ok := key.(*ssh.Certificate); ok {
			detail = "a certificate vouches for nobody by itself: trust its authority, with a cert-authority line in allowed_signers"
		}
	}
	return keyError(reason, key, detail)
}

func rsaBits(key ssh.PublicKey) int {
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen()
		}
	}
	return 0
}

func keyError(reason Reason, key ssh.PublicKey, detail string) *TrustError {
	return &TrustError{
		Reason:      reason,
		Fingerprint: fingerprint(key),
		KeyType:     key.Type(),
		Detail:      detail,
	}
}

// lines yields the lines of a text file and their numbers from 1, without
// their ends, be they LF or CRLF.
func lines(b []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(b) {
			n++
			line = bytes.TrimSuffix(line, []byte{'\n'})
			if !yield(n, string(bytes.TrimSuffix(line, []byte{'\r'}))) {
				return
			}
		}
	}
}

// cutSpace returns the first field of s, and what follows the blanks after it.
func cutSpace(s string) (field, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

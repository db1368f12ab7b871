package checksum

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

const (
	// Namespace is what our signatures are for, in the sense of
	// ssh-keygen -n.
	Namespace = "bundle"

	// ReceiptNamespace is what signatures of receipts of an import are for.
	ReceiptNamespace = "bundle-receipt"

	// InventoryNamespace is what signatures of inventories are for: lists of what
	// a registry has.
	InventoryNamespace = "bundle-inventory"

	// MaxSignatureSize is the largest armored signature that is read, in
	// bytes. Those of RSA keys with 16384 bits take 6000.
	MaxSignatureSize = 64 << 10

	armorHead  = "-----BEGIN SSH SIGNATURE-----\n"
	armorFoot  = "-----END SSH SIGNATURE-----"
	armorWidth = 70 // as ssh-keygen wraps
	maxWidth   = 76 // RFC 4648, section 3.1: the widest in use
)

// Sign signs message for [Namespace] and returns the armored signature, equal
// byte for byte to what ssh-keygen -Y sign writes when the algorithm is
// deterministic: always so for Ed25519 and RSA, never for ECDSA and security
// keys. Weak keys are refused with a [*TrustError].
func Sign(message []byte, s ssh.Signer) ([]byte, error) { return SignFor(Namespace, message, s) }

// Fingerprint returns the fingerprint of a signer's key, as ssh-keygen -l shows
// it.
func Fingerprint(s ssh.Signer) string {
	key, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
	if err != nil {
		return ssh.FingerprintSHA256(s.PublicKey())
	}
	return fingerprint(key)
}

// SignFor is Sign for another namespace: such a signature is none of message
// as content of a bundle.
func SignFor(namespace string, message []byte, s ssh.Signer) ([]byte, error) {
	// Parsed anew, because an agent shows its keys without their parameters.
	pub, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if err := checkKeyOrCertificate(pub); err != nil {
		return nil, err
	}
	// sshsig chooses the algorithm by the type of the key, and knows none of
	// certificates.
	sig, err := sshsig.Sign(bytes.NewReader(message), show(s, plain(pub)), sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", fingerprint(pub), err)
	}
	sig.PublicKey = pub
	armored := armor(sig.Marshal())
	// Agents and tokens are other people's code: some ignore the wanted RSA
	// algorithm, some sign without a touch. Better found here than when the
	// bundle has arrived.
	if _, err := checkSignature(namespace, message, armored); err != nil {
		return nil, fmt.Errorf("sign with %s: the result does not verify: %w", fingerprint(pub), err)
	}
	return armored, nil
}

// parseSignature reads exactly one armored signature in canonical form.
func parseSignature(armored []byte) (*sshsig.Signature, error) {
	if len(armored) == 0 {
		return nil, &TrustError{Reason: Unsigned}
	}
	blob, err := unarmor(armored)
	if err != nil {
		return nil, &TrustError{Reason: Malformed, Err: err}
	}
	sig, err := sshsig.ParseSignature(blob)
	if err != nil {
		return nil, &TrustError{Reason: Malformed, Err: err}
	}
	// What the signature does not cover must not vary either: reserved
	// fields, encodings of numbers, bytes after the signature proper, which
	// only those of security keys have.
	extra := len(sig.Signature.Rest) > 0 && !strings.HasPrefix(sig.PublicKey.Type(), "sk-")
	// sshsig looks at plain keys only.
	if sig.Signature.Format == ssh.KeyAlgoRSA {
		return nil, &TrustError{Reason: Malformed, Detail: "RSA with SHA-1"}
	}
	if extra || !bytes.Equal(sig.Marshal(), blob) {
		return nil, &TrustError{Reason: Malformed, Detail: "not in canonical form"}
	}
	return sig, nil
}

func armor(blob []byte) []byte {
	text := base64.StdEncoding.EncodeToString(blob)
	var b bytes.Buffer
	b.WriteString(armorHead)
	for len(text) > 0 {
		n := min(armorWidth, len(text))
		b.WriteString(text[:n])
		b.WriteByte('\n')
		text = text[n:]
	}
	b.WriteString(armorFoot)
	b.WriteByte('\n')
	return b.Bytes()
}

// unarmor is stricter than a PEM reader, which would skip what stands before
// and after, headers, and blanks: none of it is signed.
func unarmor(armored []byte) ([]byte, error) {
	if len(armored) > MaxSignatureSize {
		return nil, fmt.Errorf("%d bytes, at most %d allowed", len(armored), MaxSignatureSize)
	}
	body, ok := bytes.CutPrefix(armored, []byte(armorHead))
	if !ok {
		return nil, fmt.Errorf("does not begin with %q", strings.TrimSpace(armorHead))
	}
	body, ok = bytes.CutSuffix(bytes.TrimSuffix(body, []byte{'\n'}), []byte("\n"+armorFoot))
	if !ok {
		return nil, fmt.Errorf("does not end with %q", armorFoot)
	}
	if bytes.Contains(body, []byte("-----")) {
		return nil, errors.New("more than one signature")
	}
	var text []byte
	for n, line := range bytes.Split(body, []byte{'\n'}) {
		if len(line) == 0 || len(line) > maxWidth || bytes.IndexByte(line, '\r') >= 0 {
			return nil, fmt.Errorf("line %d: not a line of base64", n+2)
		}
		text = append(text, line...)
	}
	blob := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(blob, text)
	if err != nil {
		return nil, err
	}
	return blob[:n], nil
}

package checksum

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// PEM types and magic of private key files.
const (
	pemOpenSSH        = "OPENSSH PRIVATE KEY"
	pemEncryptedPKCS8 = "ENCRYPTED PRIVATE KEY"
	opensshMagic      = "openssh-key-v1\x00"
)

// Passphrase returns the passphrase of a private key, usually by asking a
// person. An error ends the attempt and is passed on.
type Passphrase func() ([]byte, error)

// A PassphraseError is a private key that stays locked.
type PassphraseError struct {
	Missing bool  // none was given; else the one given is wrong
	Err     error // cause, may be nil
}

func (e *PassphraseError) Error() string {
	if e.Missing {
		return "the private key is protected by a passphrase, and none was given"
	}
	return "wrong passphrase for the private key"
}

// Unwrap returns the cause.
func (e *PassphraseError) Unwrap() error { return e.Err }

// A HardwareKeyError is a key file that only points to a FIDO security key.
// Such keys sign through ssh-agent: see [AgentSigner].
type HardwareKeyError struct {
	Key PublicKey
}

func (e *HardwareKeyError) Error() string {
	return fmt.Sprintf("private key %s (%s) is on a security key: add it to ssh-agent, and give the public key file instead",
		e.Key.Fingerprint(), e.Key.Type())
}

// GenerateKey makes an Ed25519 key pair as ssh-keygen does: the content of
// the private key file (OpenSSH format, encrypted unless passphrase is empty)
// and of the .pub file. The comment, usually user@host, stands in both; it
// must be printable and on one line.
func GenerateKey(comment string, passphrase []byte) (private, public []byte, err error) {
	if strings.ContainsFunc(comment, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, nil, fmt.Errorf("key comment %q: not printable", comment)
	}
	comment = strings.TrimSpace(comment)
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	var block *pem.Block
	if len(passphrase) == 0 {
		block, err = ssh.MarshalPrivateKey(priv, comment)
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(priv, comment, passphrase)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode private key: %w", err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("encode public key: %w", err)
	}
	line := PublicKey{key, comment}.String() + "\n"
	return pem.EncodeToMemory(block), []byte(line), nil
}

// IsPrivateKey reports whether b looks like a private key file, of any kind,
// readable or not.
func IsPrivateKey(b []byte) bool {
	_, rest, ok := bytes.Cut(b, []byte("-----BEGIN "))
	label, _, ended := bytes.Cut(rest, []byte("-----"))
	return ok && ended && bytes.HasSuffix(label, []byte("PRIVATE KEY"))
}

// ParsePrivateKey reads a private key file of any kind that ssh-keygen
// writes: OpenSSH format, PEM or PKCS #8, encrypted or not. It calls ask, at
// most once, only when the key is encrypted; a nil ask refuses such keys with
// a [*PassphraseError]. Weak keys are refused with a [*TrustError], pointers
// to a security key with a [*HardwareKeyError].
func ParsePrivateKey(pemBytes []byte, ask Passphrase) (ssh.Signer, error) {
	block, _ := pem.Decode(pemBytes)
	if block == nil {
		return nil, notPrivate(pemBytes)
	}
	if err := checkEnvelope(block); err != nil {
		return nil, err
	}
	raw, err := decodePrivateKey(pemBytes, block, ask)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if err := checkKey(signer.PublicKey()); err != nil {
		return nil, err
	}
	return signer, nil
}

// notPrivate explains input that holds no private key.
func notPrivate(b []byte) error {
	var weak *TrustError
	pub, err := ParsePublicKey(b)
	switch {
	case err == nil:
		return fmt.Errorf("this is the public key %s: the private one is needed", pub.Fingerprint())
	case errors.As(err, &weak):
		return err
	}
	return errors.New("not a private key")
}

// checkEnvelope looks at what the OpenSSH format keeps in clear, so that
// nobody is asked for the passphrase of a key that is of no use.
func checkEnvelope(block *pem.Block) error {
	content, ok := bytes.CutPrefix(block.Bytes, []byte(opensshMagic))
	if block.Type != pemOpenSSH || !ok {
		return nil
	}
	// PROTOCOL.key of OpenSSH, section 1.
	var envelope struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		PublicKey               []byte
		Rest                    []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(content, &envelope); err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	key, err := ssh.ParsePublicKey(envelope.PublicKey)
	if err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	switch key.Type() {
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return &HardwareKeyError{PublicKey{key: key}}
	}
	switch envelope.Cipher {
	case "none", "aes256-ctr", "aes256-cbc":
		return checkKey(key)
	}
	return fmt.Errorf("private key: encrypted with %q, which is not supported: ssh-keygen -p -Z aes256-ctr -f FILE changes it",
		clean(envelope.Cipher))
}

func decodePrivateKey(pemBytes []byte, block *pem.Block, ask Passphrase) (any, error) {
	var missing *ssh.PassphraseMissingError
	raw, err := ssh.ParseRawPrivateKey(pemBytes)
	switch {
	case err == nil:
		return raw, nil
	case block.Type != pemEncryptedPKCS8 && !errors.As(err, &missing):
		return nil, fmt.Errorf("private key: %w", err)
	case ask == nil:
		return nil, &PassphraseError{Missing: true}
	}
	passphrase, err := ask()
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	if len(passphrase) == 0 {
		return nil, &PassphraseError{Missing: true}
	}
	if block.Type == pemEncryptedPKCS8 {
		return decryptPKCS8(block.Bytes, passphrase)
	}
	raw, err = ssh.ParseRawPrivateKeyWithPassphrase(pemBytes, passphrase)
	// The PEM encryption of old has no integrity check: a wrong passphrase
	// that slips through its padding shows as a key that makes no sense.
	if err != nil && (errors.Is(err, x509.IncorrectPasswordError) || block.Type != pemOpenSSH) {
		return nil, &PassphraseError{Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return raw, nil
}

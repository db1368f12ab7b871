package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"bundle/checksum"
)

// A Signer signs bundles with one private key.
type Signer struct{ key ssh.Signer }

// KeyOptions say how to get at a private key.
type KeyOptions struct {
	Passphrase func() ([]byte, error)        // asked when the key is encrypted; nil: refuse such keys
	Agent      func() (io.ReadWriter, error) // connects to ssh-agent, asked when the file is a public key; nil: refuse those
}

// LoadSigner reads an OpenSSH private key or, given a public one, finds its
// other half in the ssh-agent, so that keys on hardware tokens work too.
func LoadSigner(path string, o KeyOptions) (*Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if pub, perr := checksum.ParsePublicKey(b); perr == nil {
		return agentSigner(path, pub, o)
	}
	key, err := checksum.ParsePrivateKey(b, o.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return &Signer{key}, nil
}

func agentSigner(path string, pub checksum.PublicKey, o KeyOptions) (*Signer, error) {
	if o.Agent == nil {
		return nil, &UsageError{What: fmt.Sprintf("signing key %s is a public key, and there is no ssh-agent to sign with", path)}
	}
	conn, err := o.Agent()
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	key, err := checksum.AgentSigner(conn, pub)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return &Signer{key}, nil
}

// Fingerprint returns SHA256:… as ssh-keygen -l shows it.
func (s *Signer) Fingerprint() string { return ssh.FingerprintSHA256(s.key.PublicKey()) }

func (s *Signer) sign(message []byte) ([]byte, error) {
	sig, err := checksum.Sign(message, s.key)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.Fingerprint(), err)
	}
	return sig, nil
}

// Keygen writes a new OpenSSH Ed25519 key pair to path (mode 0600) and
// path.pub, and returns its fingerprint. Existing files are never replaced.
func Keygen(path, comment string, passphrase []byte) (fingerprint string, err error) {
	private, public, err := checksum.GenerateKey(comment, passphrase)
	if err != nil {
		return "", err
	}
	pub, err := checksum.ParsePublicKey(public)
	if err != nil {
		return "", err
	}
	if err := writeNew(path, private, 0o600); err != nil {
		return "", err
	}
	if err := writeNew(path+".pub", public, 0o644); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return pub.Fingerprint(), nil
}

func writeNew(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return &UsageError{What: path + " exists already", Advice: "choose another name: a key that signed bundles must not be lost"}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// Trust is whom a reader believes.
type Trust struct {
	keys checksum.Trust
	skip bool
}

// LoadTrust reads public key files and, where named, an OpenSSH
// allowed_signers file.
func LoadTrust(keyFiles []string, allowedSigners string) (*Trust, error) {
	t := new(Trust)
	for _, name := range keyFiles {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("trusted key: %w", err)
		}
		pub, err := checksum.ParsePublicKey(b)
		if err != nil {
			return nil, fmt.Errorf("trusted key %s: %w", name, err)
		}
		t.keys.AddKey(pub)
	}
	if allowedSigners != "" {
		b, err := os.ReadFile(allowedSigners)
		if err != nil {
			return nil, fmt.Errorf("allowed signers: %w", err)
		}
		if err := t.keys.AddAllowedSigners(b); err != nil {
			return nil, fmt.Errorf("allowed signers %s: %w", allowedSigners, err)
		}
	}
	return t, nil
}

// TrustAnyone skips the signature. Checksums still hold, but say only that the
// bundle is whole, not whose it is.
func TrustAnyone() *Trust { return &Trust{skip: true} }

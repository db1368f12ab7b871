package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/checksum"
)

// A Signer signs bundles with one private key.
type Signer struct{ Key ssh.Signer }

// KeyOptions say how to get at a private key.
type KeyOptions struct {
	Passphrase func() ([]byte, error)        // asked when the key is encrypted; nil: refuse such keys
	Agent      func() (io.ReadWriter, error) // connects to ssh-agent, asked when the file is a public key; nil: refuse those
}

// LoadSigner reads an OpenSSH private key or, given a public one, finds its
// other half in the ssh-agent, so that keys on hardware tokens work too. Given
// a certificate, KEY-cert.pub, it takes the key from the agent or from KEY, and
// signatures show the certificate.
func LoadSigner(ctx context.Context, path string, o KeyOptions) (*Signer, error) {
	b, err := input.File(ctx, path, maxKey)
	if err != nil {
		return nil, keyFile("", fmt.Errorf("signing key: %w", err))
	}
	if cert, cerr := checksum.ParseCertificate(b); cerr == nil {
		return certSigner(ctx, path, cert, o)
	}
	if pub, perr := checksum.ParsePublicKey(b); perr == nil {
		return agentSigner(path, pub, o)
	}
	key, err := checksum.ParsePrivateKey(b, o.Passphrase)
	if fault.Hint(err) != "" {
		return nil, fault.Input("signing key "+path, err, "") // who was asked for the passphrase knows best
	}
	if err != nil {
		return nil, keyFile("signing key "+path, err)
	}
	return &Signer{key}, nil
}

// keyFile makes a file that is no key to sign with a usage error; a passphrase
// that is wrong is none.
func keyFile(subject string, err error) error {
	var (
		locked *checksum.PassphraseError
		weak   *checksum.TrustError
	)
	if errors.As(err, &locked) && !locked.Missing || errors.As(err, &weak) {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return fault.Input(subject, err, "give an OpenSSH private key with --key FILE; `bundle keygen` makes one")
}

const agentAdvice = "give the private key, usually the same name without .pub, or add it to the ssh-agent with ssh-add"

func agentSigner(path string, pub checksum.PublicKey, o KeyOptions) (*Signer, error) {
	if o.Agent == nil {
		return nil, fault.Input("signing key "+path, errors.New("it is a public key, and there is no ssh-agent to sign with"), agentAdvice)
	}
	conn, err := o.Agent()
	if err != nil {
		return nil, fault.Input("signing key "+path, err, agentAdvice)
	}
	key, err := checksum.AgentSigner(conn, pub)
	if err != nil {
		return nil, fault.Input("signing key "+path, err, agentAdvice)
	}
	return &Signer{key}, nil
}

// certSigner finds the key that a certificate is for, as ssh-keygen does: in
// the agent, else in the file whose name lacks -cert.pub.
func certSigner(ctx context.Context, path string, cert checksum.Certificate, o KeyOptions) (*Signer, error) {
	private, named := strings.CutSuffix(path, "-cert.pub")
	s, err := agentSigner(path, cert.Key(), o)
	if err != nil && named {
		b, rerr := input.File(ctx, private, maxKey)
		if errors.Is(rerr, fs.ErrNotExist) {
			return nil, err
		}
		if rerr != nil {
			return nil, fmt.Errorf("signing key: %w", rerr)
		}
		key, perr := checksum.ParsePrivateKey(b, o.Passphrase)
		if perr != nil {
			return nil, keyFile("signing key "+private, perr)
		}
		s, err = &Signer{key}, nil
	}
	if err != nil {
		return nil, err
	}
	certified, err := cert.Certify(s.Key, time.Now())
	if err != nil {
		return nil, keyFile("certificate "+path, err)
	}
	return &Signer{certified}, nil
}

// Fingerprint returns SHA256:… as ssh-keygen -l shows it.
func (s *Signer) Fingerprint() string { return checksum.Fingerprint(s.Key) }

func (s *Signer) Sign(message []byte) ([]byte, error) {
	sig, err := checksum.Sign(message, s.Key)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.Fingerprint(), err)
	}
	return sig, nil
}

// Keygen writes a new OpenSSH Ed25519 key pair to path (mode 0600) and
// path.pub, and returns its fingerprint. Existing files are never replaced: that is
// found out before the passphrase is asked for. Nil, or an empty one: none.
func Keygen(path, comment string, passphrase func() ([]byte, error)) (fingerprint string, err error) {
	for _, name := range []string{path, path + ".pub"} {
		if err := disk.CheckNew(name); err != nil {
			return "", err
		}
	}
	var secret []byte
	if passphrase != nil {
		if secret, err = passphrase(); err != nil {
			return "", err
		}
	}
	private, public, err := checksum.GenerateKey(comment, secret)
	if err != nil {
		return "", err
	}
	pub, err := checksum.ParsePublicKey(public)
	if err != nil {
		return "", err
	}
	if err := disk.Create(path, private, 0o600); err != nil {
		return "", err
	}
	if err := disk.Create(path+".pub", public, 0o644); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return pub.Fingerprint(), nil
}

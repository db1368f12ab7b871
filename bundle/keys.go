package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

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
// other half in the ssh-agent, so that keys on hardware tokens work too. Given
// a certificate, KEY-cert.pub, it takes the key from the agent or from KEY, and
// signatures show the certificate.
func LoadSigner(path string, o KeyOptions) (*Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if cert, cerr := checksum.ParseCertificate(b); cerr == nil {
		return certSigner(path, cert, o)
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

// certSigner finds the key that a certificate is for, as ssh-keygen does: in
// the agent, else in the file whose name lacks -cert.pub.
func certSigner(path string, cert checksum.Certificate, o KeyOptions) (*Signer, error) {
	keyFile, named := strings.CutSuffix(path, "-cert.pub")
	s, err := agentSigner(path, cert.Key(), o)
	if err != nil && named {
		b, rerr := os.ReadFile(keyFile)
		if errors.Is(rerr, fs.ErrNotExist) {
			return nil, err
		}
		if rerr != nil {
			return nil, fmt.Errorf("signing key: %w", rerr)
		}
		key, perr := checksum.ParsePrivateKey(b, o.Passphrase)
		if perr != nil {
			return nil, fmt.Errorf("signing key %s: %w", keyFile, perr)
		}
		s, err = &Signer{key}, nil
	}
	if err != nil {
		return nil, err
	}
	certified, err := cert.Certify(s.key, time.Now())
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", path, err)
	}
	return &Signer{certified}, nil
}

// Fingerprint returns SHA256:… as ssh-keygen -l shows it.
func (s *Signer) Fingerprint() string { return checksum.Fingerprint(s.key) }

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

// Trust is whom a reader believes, and how many of them it wants.
type Trust struct {
	// Principals, where given, are the identities that may sign, as ssh-keygen
	// -I: one of them has to stand in the line of allowed_signers.
	Principals []string
	// Require is how many distinct trusted signers there have to be; 0: one.
	Require int
	// Signatures are files with signatures, beside those that lie next to the
	// bundle under its name.
	Signatures []string
	// NewerThan refuses bundles that were made before it, so that nobody slips
	// in an old one that is signed as well as any; zero: none.
	NewerThan time.Time

	keys    checksum.Trust
	skip    bool // signatures are not looked at
	anybody bool // every signature has to be valid, whoever made it
}

// LoadTrust reads public key files and, where named, an OpenSSH
// allowed_signers file.
func LoadTrust(keyFiles []string, allowedSigners string) (*Trust, error) {
	t := new(Trust)
	for _, name := range keyFiles {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, trustFile("trusted key", err)
		}
		pub, err := checksum.ParsePublicKey(b)
		if err != nil {
			return nil, trustFile("trusted key "+name, err)
		}
		t.keys.AddKey(pub)
	}
	if allowedSigners != "" {
		b, err := os.ReadFile(allowedSigners)
		if err != nil {
			return nil, trustFile("allowed signers", err)
		}
		if err := t.keys.AddAllowedSigners(b); err != nil {
			return nil, trustFile("allowed signers "+allowedSigners, err)
		}
	}
	return t, nil
}

// trustFile makes a file that cannot be used a usage error, but for a key that
// nobody may trust.
func trustFile(what string, err error) error {
	var weak *checksum.TrustError
	if errors.As(err, &weak) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return &UsageError{What: fmt.Sprintf("%s: %v", what, err)}
}

// TrustAnyone skips the signature. Checksums still hold, but say only that the
// bundle is whole, not whose it is.
func TrustAnyone() *Trust { return &Trust{skip: true} }

// A Voucher is somebody who vouches for a bundle: whose signature verified,
// and who is trusted.
type Voucher struct {
	Fingerprint string `json:"fingerprint"`          // SHA256:… of the key
	KeyType     string `json:"keyType"`              // ssh-ed25519
	Principals  string `json:"principals,omitempty"` // who that is, as far as allowed_signers says it
	Comment     string `json:"comment,omitempty"`    // of the trusted key
	Authority   string `json:"authority,omitempty"`  // fingerprint of the authority that certified the key
	KeyID       string `json:"keyID,omitempty"`      // what the authority calls the certificate
	Signature   string `json:"signature"`            // where it was: SHA256SUMS.sig in the bundle, or a file
}

// Name returns what is known of the signer's name, or nothing.
func (v Voucher) Name() string { return orDefault(v.Comment, v.Principals) }

// Vouched says on whose word a bundle was taken.
type Vouched struct {
	Signers          []Voucher `json:"signers,omitempty"`          // all that were accepted
	SignatureSkipped bool      `json:"signatureSkipped,omitempty"` // nobody's: signatures were not checked, as the user wanted
}

// check verifies signatures over a list of checksums.
func (t *Trust) check(list []byte, found []checksum.Candidate, now time.Time) (v Vouched, err error) {
	if t == nil {
		t = new(Trust)
	}
	if t.skip {
		return Vouched{SignatureSkipped: true}, nil
	}
	if t.anybody {
		return identify(list, found)
	}
	keys := t.keys
	keys.Principals = t.Principals
	accepted, err := keys.Require(t.Require, list, found, now)
	if err != nil {
		return Vouched{}, err
	}
	for _, a := range accepted {
		v.Signers = append(v.Signers, voucher(a.Name, a.Signer))
	}
	return v, nil
}

// checkAge refuses a bundle that is older than wanted, by the time that its
// signers vouch for.
func (t *Trust) checkAge(rec *Record) error {
	if t == nil || !rec.Created.Before(t.NewerThan) {
		return nil
	}
	return &StaleError{Created: rec.Created, Wanted: t.NewerThan}
}

// identify says who signed, and not whether to believe them.
func identify(list []byte, found []checksum.Candidate) (v Vouched, err error) {
	for _, c := range found {
		s, err := checksum.Identify(list, c.Armored)
		if err != nil {
			return Vouched{}, fmt.Errorf("%s: %w", c.Name, err)
		}
		v.Signers = append(v.Signers, voucher(c.Name, s))
	}
	return v, nil
}

func voucher(where string, s checksum.Signer) Voucher {
	return Voucher{
		Fingerprint: s.Fingerprint,
		KeyType:     s.Type,
		Principals:  s.Principals,
		Comment:     s.Comment,
		Authority:   s.Authority,
		KeyID:       s.KeyID,
		Signature:   where,
	}
}

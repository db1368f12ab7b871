package checksum

import (
	"bytes"
	"fmt"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// A Signer is who made a signature that verified. Signers are comparable; two
// signatures are by distinct keys when their fingerprints differ.
type Signer struct {
	Fingerprint string // SHA256:…
	Type        string // such as ssh-ed25519
	Comment     string // of the trusted key, not of the signature
	Principals  string // pattern list of the allowed_signers line; empty for a key added by AddKey
}

// Trust is whom to believe. The zero value believes nobody. It is safe for
// concurrent use once filled.
type Trust struct {
	// Principal, when set, is the identity that lines of allowed_signers must
	// list, as ssh-keygen -I. When empty, any line with the right key will
	// do. Keys added by AddKey have no identity and are not affected.
	Principal string

	entries []AllowedSigner
}

// AddKey trusts signatures by k without limits of time or identity.
func (t *Trust) AddKey(k PublicKey) {
	if k.key != nil {
		t.entries = append(t.entries, AllowedSigner{Key: k})
	}
}

// AddAllowedSigners trusts what an OpenSSH allowed_signers file lists, within
// the limits it states. See [ParseAllowedSigners] for how it is read.
func (t *Trust) AddAllowedSigners(b []byte) error {
	signers, err := ParseAllowedSigners(b)
	if err != nil {
		return err
	}
	t.entries = append(t.entries, signers...)
	return nil
}

// Verify checks that armored is one signature of message, for [Namespace], by
// somebody who is trusted at the given time, and says by whom. Any other
// outcome is a [*TrustError]. Where several people sign, each signature is an
// armored text of its own: verify one after the other and count fingerprints.
func (t *Trust) Verify(message, armored []byte, at time.Time) (Signer, error) {
	lines, err := t.verify(message, armored)
	if err != nil {
		return Signer{}, err
	}
	var refused error
	for _, line := range lines {
		err := line.permits(t.Principal, at)
		if err == nil {
			return Signer{
				Fingerprint: line.Key.Fingerprint(),
				Type:        line.Key.Type(),
				Comment:     line.Key.Comment(),
				Principals:  line.Principals,
			}, nil
		}
		if refused == nil {
			refused = err
		}
	}
	return Signer{}, refused
}

// verify does all that does not depend on time and identity. It returns the
// entries with the key that signed, at least one.
func (t *Trust) verify(message, armored []byte) ([]AllowedSigner, error) {
	sig, err := parseSignature(armored)
	if len(t.entries) == 0 {
		if err != nil {
			return nil, &TrustError{Reason: NoTrust}
		}
		return nil, keyError(NoTrust, sig.PublicKey, "")
	}
	if err != nil {
		return nil, err
	}
	key := sig.PublicKey
	if sig.Namespace != Namespace {
		return nil, keyError(WrongNamespace, key,
			fmt.Sprintf("made for namespace %q, not %q", clean(sig.Namespace), Namespace))
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	lines := t.find(key)
	if len(lines) == 0 {
		return nil, keyError(UnknownKey, key, "")
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, key, sig.HashAlgorithm, Namespace); err != nil {
		bad := keyError(BadSignature, key, "")
		bad.Err = err
		return nil, bad
	}
	return lines, nil
}

func (t *Trust) find(key ssh.PublicKey) []AllowedSigner {
	var found []AllowedSigner
	for _, e := range t.entries {
		if e.Key.equal(key) {
			found = append(found, e)
		}
	}
	return found
}

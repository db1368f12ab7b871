package checksum

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
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

	// Principals is who that is, as far as it is known: of the identities that
	// were asked for, those the key has; where none was, the pattern list of
	// the allowed_signers line; for a certificate, those of its principals that
	// the line covers. Empty for a key added by AddKey.
	Principals string
	Authority  string // fingerprint of the authority that certified the key; empty: the key is trusted by itself
	KeyID      string // what the authority calls the certificate
}

// Trust is whom to believe. The zero value believes nobody. It is safe for
// concurrent use once filled.
type Trust struct {
	// Principals, when set, are the identities that may sign, each as
	// ssh-keygen -I: lines of allowed_signers must list one of them. When
	// empty, any line with the right key will do. Keys added by AddKey have no
	// identity and are not affected.
	Principals []string

	// Namespace is what signatures have to be made for; empty: [Namespace].
	Namespace string

	entries      []AllowedSigner
	fingerprints []string // trusted
	revoked      []string // fingerprints
}

// namespace is what signatures have to be made for.
func (t *Trust) namespace() string { return cmp.Or(t.Namespace, Namespace) }

// empty says that nobody is believed.
func (t *Trust) empty() bool { return len(t.entries)+len(t.fingerprints) == 0 }

// AddKey trusts signatures by k without limits of time or identity.
func (t *Trust) AddKey(k PublicKey) {
	if k.key != nil {
		t.entries = append(t.entries, AllowedSigner{Key: k})
	}
}

// AddFingerprint trusts signatures by the key with this fingerprint, as
// [ParseFingerprint] reads it, without limits of time or identity. A signature
// holds its whole key, so no file is needed. A certificate for the key is none.
func (t *Trust) AddFingerprint(s string) error {
	f, err := ParseFingerprint(s)
	if err != nil {
		return err
	}
	t.fingerprints = append(t.fingerprints, f)
	return nil
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

// Verify checks that armored is one signature of message, for the namespace, by
// somebody who is trusted at the given time, and says by whom. Any other
// outcome is a [*TrustError]. Where several people sign, see [Trust.Require].
func (t *Trust) Verify(message, armored []byte, at time.Time) (Signer, error) {
	if t.empty() {
		sig, err := parseSignature(armored)
		if err != nil {
			return Signer{}, &TrustError{Reason: NoTrust}
		}
		return Signer{}, keyError(NoTrust, sig.PublicKey, "")
	}
	sig, err := checkSignature(t.namespace(), message, armored)
	if err != nil {
		return Signer{}, err
	}
	if err := t.checkRevoked(sig.PublicKey); err != nil {
		return Signer{}, err
	}
	var signer Signer
	var trusted bool
	var refused error
	for _, line := range t.find(sig.PublicKey) {
		who, err := t.permits(line, sig.PublicKey, at)
		if err != nil && refused == nil {
			refused = err
		}
		// A line that says who it is says more than a bare key.
		if err == nil && (!trusted || signer.Principals == "") {
			signer, trusted = signerOf(sig.PublicKey, line, who), true
		}
	}
	switch {
	case trusted:
		return signer, nil
	case refused != nil:
		return Signer{}, refused
	}
	return Signer{}, t.unknown(sig.PublicKey)
}

// Identify returns the key that made a signature, or the certificate's, and
// says nothing about whether to believe it: of the result, only Fingerprint,
// Type, Authority and KeyID are set. A signature that is not valid for message
// is a [*TrustError].
func Identify(message, armored []byte) (Signer, error) {
	return IdentifyFor(Namespace, message, armored)
}

// IdentifyFor is Identify for another namespace.
func IdentifyFor(namespace string, message, armored []byte) (Signer, error) {
	sig, err := checkSignature(namespace, message, armored)
	if err != nil {
		return Signer{}, err
	}
	return signerOf(sig.PublicKey, AllowedSigner{}, ""), nil
}

func signerOf(key ssh.PublicKey, line AllowedSigner, who string) Signer {
	s := Signer{Fingerprint: fingerprint(key), Type: key.Type(), Comment: line.Key.Comment(), Principals: who}
	if cert, ok := key.(*ssh.Certificate); ok {
		s.Authority, s.KeyID, s.Comment = fingerprint(cert.SignatureKey), clean(cert.KeyId), ""
	}
	return s
}

// checkSignature does all that does not depend on trust, time and identity.
func checkSignature(namespace string, message, armored []byte) (*sshsig.Signature, error) {
	sig, err := parseSignature(armored)
	if err != nil {
		return nil, err
	}
	key := sig.PublicKey
	if sig.Namespace != namespace {
		return nil, keyError(WrongNamespace, key,
			fmt.Sprintf("made for namespace %q, not %q", clean(sig.Namespace), namespace))
	}
	if err := checkKeyOrCertificate(key); err != nil {
		return nil, err
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, key, sig.HashAlgorithm, namespace); err != nil {
		bad := keyError(BadSignature, key, "")
		bad.Err = err
		return nil, bad
	}
	return sig, nil
}

func checkKeyOrCertificate(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		return checkCertificate(cert)
	}
	return checkKey(key)
}

// find returns the entries that may speak for a key: for a certificate those
// of its authority, and of no other. As in ssh-keygen, trust in a key is no
// trust in what an authority says about it.
func (t *Trust) find(key ssh.PublicKey) []AllowedSigner {
	wanted := key
	cert, certified := key.(*ssh.Certificate)
	if certified {
		wanted = cert.SignatureKey
	}
	var found []AllowedSigner
	for _, e := range t.entries {
		if e.Key.equal(wanted) && (!certified || e.CertAuthority) {
			found = append(found, e)
		}
	}
	if !certified && slices.Contains(t.fingerprints, fingerprint(key)) {
		found = append(found, AllowedSigner{Key: PublicKey{key: key}})
	}
	return found
}

// unknown is the error for a key that nobody listed.
func (t *Trust) unknown(key ssh.PublicKey) error {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return keyError(UnknownKey, key, "")
	}
	what := fmt.Sprintf("its certificate %q is by the authority %s, which no cert-authority line lists",
		clean(cert.KeyId), fingerprint(cert.SignatureKey))
	if len(t.find(cert.Key)) > 0 {
		what += "; the key itself is trusted, but it signed by its certificate"
	}
	return keyError(UnknownKey, key, what)
}

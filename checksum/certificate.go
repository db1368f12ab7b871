package checksum

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Certificate is an OpenSSH user certificate (PROTOCOL.certkeys): a key,
// who it belongs to, from when to when, and an authority that says so.
type Certificate struct {
	cert *ssh.Certificate
}

// ParseCertificate reads a file that ssh-keygen -s wrote, usually named
// KEY-cert.pub. Certificates for hosts, those with critical options, and those
// that rest on a weak key are refused with a [*TrustError].
func ParseCertificate(b []byte) (Certificate, error) {
	line, err := onlyLine(b)
	if err != nil {
		return Certificate{}, err
	}
	key, err := parseKeyFields(line)
	if err != nil {
		return Certificate{}, err
	}
	cert, ok := key.key.(*ssh.Certificate)
	if !ok {
		return Certificate{}, errors.New("a key, not a certificate")
	}
	return Certificate{cert}, checkCertificate(cert)
}

// Key returns the key that is certified.
func (c Certificate) Key() PublicKey { return PublicKey{key: c.cert.Key} }

// Certify returns s, the signer with the certified key, with the certificate
// shown in place of the key: what it signs, everybody accepts who trusts the
// authority. A certificate that is not valid at the given time gives a
// [*TrustError].
func (c Certificate) Certify(s ssh.Signer, at time.Time) (ssh.Signer, error) {
	if !c.Key().equal(s.PublicKey()) {
		return nil, fmt.Errorf("certificate is for key %s, not for %s", c.Key().Fingerprint(), fingerprint(s.PublicKey()))
	}
	if err := checkValidity(c.cert, at); err != nil {
		return nil, err
	}
	return show(s, c.cert), nil
}

// show returns a signer that names itself by another form of its public key: a
// certificate in place of the key, or the key in place of a certificate.
func show(s ssh.Signer, key ssh.PublicKey) ssh.Signer {
	if as, ok := s.(ssh.AlgorithmSigner); ok {
		return shownAlgorithm{as, key}
	}
	return shown{s, key}
}

type shown struct {
	ssh.Signer
	key ssh.PublicKey
}

func (s shown) PublicKey() ssh.PublicKey { return s.key }

type shownAlgorithm struct {
	ssh.AlgorithmSigner
	key ssh.PublicKey
}

func (s shownAlgorithm) PublicKey() ssh.PublicKey { return s.key }

// plain returns the key that makes signatures: for a certificate, the one it
// certifies.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// fingerprint returns the SHA-256 fingerprint that ssh-keygen -l shows: that
// of the key, also for a certificate.
func fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(plain(key)) }

// checkCertificate refuses what no reader of ours takes, whoever it is by.
func checkCertificate(cert *ssh.Certificate) error {
	if err := checkKey(cert.Key); err != nil {
		return err
	}
	if err := checkKey(cert.SignatureKey); err != nil {
		return fmt.Errorf("authority of the certificate: %w", err)
	}
	what := ""
	switch {
	case cert.CertType != ssh.UserCert:
		what = "its certificate is not that of a user"
	case len(cert.CriticalOptions) > 0:
		options := slices.Sorted(maps.Keys(cert.CriticalOptions))
		what = fmt.Sprintf("its certificate has the critical option %q, which makes no sense for signatures", clean(options[0]))
	case cert.Signature.Format == ssh.KeyAlgoRSA:
		what = "its certificate is signed with SHA-1"
	default:
		return nil
	}
	return keyError(Unsupported, cert, what)
}

// checkValidity compares the times in a certificate. As in OpenSSH, the first
// second of validity is in, the last one named is out.
func checkValidity(cert *ssh.Certificate, at time.Time) error {
	now := uint64(max(at.Unix(), 0))
	stamp := func(t uint64) string {
		return time.Unix(int64(min(t, maxStamp)), 0).UTC().Format(time.RFC3339)
	}
	switch {
	case now < cert.ValidAfter:
		return keyError(NotYetValid, cert, "its certificate is valid from "+stamp(cert.ValidAfter))
	case now >= cert.ValidBefore:
		return keyError(Expired, cert, "its certificate was valid until "+stamp(cert.ValidBefore))
	}
	return nil
}

// maxStamp is the last second of the year 9999, the latest that is printed.
const maxStamp = 253402300799

// certifies returns who the line's authority says has signed, or why it does
// not.
func (s AllowedSigner) certifies(cert *ssh.Certificate, wanted []string, at time.Time) (who string, err error) {
	if err := checkValidity(cert, at); err != nil {
		return "", err
	}
	var names []string
	for _, p := range cert.ValidPrincipals {
		if matchList(p, s.Principals) && (len(wanted) == 0 || slices.Contains(wanted, p)) {
			names = append(names, clean(p))
		}
	}
	if len(names) == 0 {
		what := fmt.Sprintf("its certificate is for %s; %s certifies %q",
			quoteList(cert.ValidPrincipals, "nobody"), s.where(), clean(s.Principals))
		if len(wanted) > 0 {
			what += ", and " + quoteList(wanted, "") + " was asked for"
		}
		return "", keyError(UnknownKey, cert, what)
	}
	// What is left to check is the authority's signature.
	checker := ssh.CertChecker{Clock: func() time.Time { return at }}
	if err := checker.CheckCert(cert.ValidPrincipals[0], cert); err != nil {
		bad := keyError(BadSignature, cert, "its certificate is not signed by the authority it names")
		bad.Err = err
		return "", bad
	}
	return strings.Join(names, ","), nil
}

func quoteList(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	var b bytes.Buffer
	for i, s := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", clean(s))
	}
	return clean(b.String())
}

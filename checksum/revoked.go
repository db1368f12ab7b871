package checksum

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxRevoked bounds a list of revoked keys, in bytes.
const maxRevoked = 16 << 20

// Revoke adds a list of keys that nobody may sign with any more, whatever else is
// trusted: each line is an OpenSSH public key, also one that is too weak to be
// trusted, or a fingerprint as ssh-keygen -l prints it (SHA256:…). Lines that
// begin with # and empty ones are skipped. A revoked authority takes all its
// certificates with it, a revoked key each certificate for it, as in ssh-keygen's
// own lists (ssh-keygen(1), KEY REVOCATION LISTS; their binary form is not read).
func (t *Trust) Revoke(list []byte) error {
	if len(list) > maxRevoked {
		return fmt.Errorf("%d bytes are more than the %d allowed", len(list), maxRevoked)
	}
	if strings.HasPrefix(string(list), "SSHKRL\n") {
		return fmt.Errorf("this is OpenSSH's binary list: a text file is wanted, with public keys or fingerprints, one a line")
	}
	var revoked []string
	for n, line := range lines(list) {
		line = strings.Trim(line, " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		print, err := revokedKey(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		revoked = append(revoked, print)
	}
	t.revoked = append(t.revoked, revoked...)
	return nil
}

// revokedKey returns the fingerprint that a line means.
func revokedKey(line string) (string, error) {
	if len(line) > maxLine {
		return "", fmt.Errorf("too long for a public key")
	}
	word, _ := cutSpace(line)
	if sum, ok := strings.CutPrefix(word, "SHA256:"); ok {
		if b, err := base64.RawStdEncoding.Strict().DecodeString(sum); err != nil || len(b) != 32 {
			return "", fmt.Errorf("%q is no fingerprint: want SHA256: and 43 characters", clean(word))
		}
		return word, nil
	}
	key, err := parseKeyFields(line)
	if err != nil {
		return "", fmt.Errorf("neither a public key nor a fingerprint (SHA256:…): %w", err)
	}
	return fingerprint(key.key), nil
}

// checkRevoked refuses a key that is on the list, by itself or by its certificate's
// authority.
func (t *Trust) checkRevoked(key ssh.PublicKey) error {
	if len(t.revoked) == 0 {
		return nil
	}
	keys := []ssh.PublicKey{key}
	detail := ""
	if cert, ok := key.(*ssh.Certificate); ok {
		keys = []ssh.PublicKey{cert.Key, cert.SignatureKey}
	}
	for i, k := range keys {
		if slices.Contains(t.revoked, fingerprint(k)) {
			if i == 1 {
				detail = "its certificate is by the authority " + fingerprint(k)
			}
			return keyError(Revoked, key, detail)
		}
	}
	return nil
}

package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/checksum"
)

// DefaultSigners is the allowed_signers file of the user, whether or not there
// is one; or, where there is no home, its name in words.
func DefaultSigners() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "bundle/allowed_signers in your configuration folder"
	}
	return filepath.Join(dir, "bundle", "allowed_signers")
}

// readKey reads the file of a trusted key.
func readKey(ctx context.Context, name string) ([]byte, error) {
	b, err := input.File(ctx, name, maxKey)
	if err != nil && strings.HasPrefix(name, "SHA256:") {
		return nil, fault.Input("trusted key "+name, errors.New("this is a fingerprint, not a file"), "--fingerprint takes it")
	}
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("trusted key: %w", err), wantPublic)
	}
	return b, nil
}

const wantPublic = "want a .pub file: one line, ssh-ed25519 AAAA…"

// notPublic says what stands in the place of a public key.
func notPublic(name string, b []byte, err error) error {
	subject := "trusted key " + name
	var weak *checksum.TrustError
	switch signers, serr := checksum.ParseAllowedSigners(b); {
	case errors.As(err, &weak):
		return explain(fmt.Errorf("%s: %w", subject, err))
	case checksum.IsPrivateKey(b):
		return fault.Input(subject, err, "give "+name+".pub, and keep the private key where it is")
	case bytes.IndexByte(b, 0) >= 0:
		return fault.Input(subject, errors.New("this is no public key"), wantPublic)
	case serr == nil && len(signers) > 0:
		return fault.Input(subject, errors.New("this is a list of allowed signers, not a public key"), "--allowed-signers "+name+" takes it")
	}
	return fault.Input(subject, err, wantPublic)
}

// notSigners says what stands in the place of a list of allowed signers.
func notSigners(name string, b []byte, err error) error {
	subject := "allowed signers " + name
	const want = "a line of allowed_signers begins with who: release@example.com ssh-ed25519 AAAA…"
	if _, perr := checksum.ParsePublicKey(b); perr == nil {
		return fault.Input(subject, errors.New("this is a public key, without a name before it"), "--key "+name+" takes it; "+want)
	}
	if bytes.IndexByte(b, 0) >= 0 {
		err = errors.New("this is no text file")
	}
	return fault.Input(subject, err, want)
}

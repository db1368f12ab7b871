package bundle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"bundle/bundle/internal/remote"
	"bundle/checksum"
	"bundle/layout"
)

// A Kind sorts errors by what the caller can do about them.
type Kind int

const (
	Failed      Kind = iota // anything not below
	Usage                   // the request itself is wrong
	Untrusted               // no signature, a bad one, or no trusted key
	Damaged                 // the bundle is not what its manifest says
	Refused                 // the registry refused: credentials, permission, TLS
	Incomplete              // done, but something is left for the user
	Interrupted             // the context was cancelled
)

// KindOf sorts err. A nil error is Failed: do not ask.
func KindOf(err error) Kind {
	var (
		usage      *UsageError
		trust      *checksum.TrustError
		stale      *StaleError
		format     *layout.FormatError
		damaged    *DamagedError
		version    *VersionError
		incomplete *IncompleteError
		reg        *remote.Error
		config     *ConfigError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.As(err, &usage), errors.As(err, &config):
		return Usage
	case errors.As(err, &trust), errors.As(err, &stale):
		return Untrusted
	case errors.As(err, &format), errors.As(err, &damaged), errors.As(err, &version):
		return Damaged
	case errors.As(err, &incomplete):
		return Incomplete
	case errors.As(err, &reg):
		switch reg.Kind {
		case remote.Auth, remote.Denied, remote.TLS:
			return Refused
		}
	}
	return Failed
}

// Hint returns what the user can do next about err, or nothing.
func Hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	var trust *checksum.TrustError
	if errors.As(err, &trust) {
		return trustHints[trust.Reason]
	}
	var format *layout.FormatError
	if errors.As(err, &format) {
		return (*DamagedError)(nil).Hint()
	}
	var space *layout.SpaceError
	if errors.As(err, &space) {
		return "make room there, or write the bundle elsewhere with -o"
	}
	if errors.Is(err, syscall.EFBIG) {
		return "the file system takes no file of that size; FAT32 ends at 4 GiB: format the medium as exFAT, ext4 or NTFS"
	}
	var unread *layout.ReadError
	if errors.As(err, &unread) {
		return "the medium cannot be read there: try another port or drive, or have the bundle carried again"
	}
	var reg *remote.Error
	if errors.As(err, &reg) {
		return reg.Hint
	}
	return ""
}

var trustHints = map[checksum.Reason]string{
	checksum.Unsigned:       "ask the sender for a signed bundle; --insecure-skip-signature takes this one unchecked",
	checksum.NoTrust:        "give the sender's public key with --key FILE.pub, --allowed-signers FILE,\nor as bundle/allowed_signers in your configuration folder",
	checksum.UnknownKey:     "compare the fingerprint with the sender; if it is theirs, give the public key with --key FILE.pub",
	checksum.BadSignature:   "the bundle was changed after it was signed: do not use it, have it carried again;\nwhere a .sig file beside it is named, that may belong to an earlier bundle of this name",
	checksum.Malformed:      "the bundle was changed after it was signed: do not use it, have it carried again",
	checksum.Expired:        "ask the sender to sign with a valid key, or renew it in allowed_signers",
	checksum.NotYetValid:    "check the clock of this machine, or valid-after in allowed_signers",
	checksum.WrongNamespace: "ask the sender to sign with `bundle export --key`, and allow the namespace bundle in allowed_signers",
	checksum.Unsupported:    "ask the sender to sign with an Ed25519, ECDSA, RSA or FIDO key, or a user certificate for one",
	checksum.TooFew:         "have somebody else who is trusted run `bundle sign`, and carry the .sig file beside the bundle",
	checksum.WeakKey:        "use an Ed25519, ECDSA or RSA key of at least 2048 bits",
}

// A hinted error carries advice beside its message.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }
func (h *hinted) Hint() string  { return h.hint }

func withHint(err error, hint string) error { return &hinted{err, hint} }

// about says what err is about, unless err says it itself.
func about(subject string, err error) error {
	var reg *remote.Error
	if errors.As(err, &reg) {
		return err
	}
	return fmt.Errorf("%s: %w", subject, err)
}

// A UsageError is a request that cannot be carried out as it was made.
type UsageError struct {
	What   string
	Advice string
}

func (e *UsageError) Error() string { return e.What }

// Hint returns how to ask instead.
func (e *UsageError) Hint() string { return e.Advice }

// A DamagedError is a bundle whose content contradicts itself.
type DamagedError struct {
	Subject string // the entry, descriptor or reference
	Err     error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("damaged bundle: %s: %v", e.Subject, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint returns the way out of a damaged bundle.
func (e *DamagedError) Hint() string {
	return "carry the bundle again; `bundle verify` on the sending side tells whether the original is whole"
}

// A VersionError is a bundle of a format this program does not know.
type VersionError struct{ Found int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("bundle format version %d is not known: this program reads version %d", e.Found, FormatVersion)
}

// Hint returns the way out of an unknown format.
func (e *VersionError) Hint() string {
	return "use the release of bundle that wrote it, or a newer one"
}

// A StaleError is a bundle that was made too long ago.
type StaleError struct {
	Created time.Time
	Wanted  time.Time // at the earliest
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("made at %s, before %s: an old bundle was put in place of a new one",
		e.Created.UTC().Format(time.RFC3339), e.Wanted.UTC().Format(time.RFC3339))
}

// Hint returns the way out of an old bundle.
func (e *StaleError) Hint() string {
	return "have the newest bundle carried again; --newer-than sets the time"
}

// An IncompleteError comes after the work was done as far as it could be: the
// output is whole and valid, but some references need the user.
type IncompleteError struct {
	Summary string
	Items   []string // one line each: what, where, why
	Advice  string
}

func (e *IncompleteError) Error() string {
	return e.Summary + "\n  " + strings.Join(e.Items, "\n  ")
}

// Hint returns how to complete the work.
func (e *IncompleteError) Hint() string { return e.Advice }

// A CollisionError is two sources that would land on one name in the target
// registry.
type CollisionError struct {
	Target string
	First  string // reference@digest
	Second string
}

func (e *CollisionError) Error() string {
	return fmt.Sprintf("%s and %s would both become %s", e.First, e.Second, e.Target)
}

// Hint returns how to keep the two apart.
func (e *CollisionError) Hint() string {
	return "keep the source host in the target names with --keep-registry-host"
}

package trust

import (
	"errors"
	"fmt"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/checksum"
)

// A StaleError is a bundle that was made too long ago, or says that it was not
// made yet.
type StaleError struct {
	Created time.Time
	Wanted  time.Time // at the earliest; in the future: at the latest
	Future  bool      // it claims to be made later than now, so that it would pass for new for ever
}

func (e *StaleError) Error() string {
	created, wanted := e.Created.UTC().Format(time.RFC3339), e.Wanted.UTC().Format(time.RFC3339)
	if e.Future {
		return fmt.Sprintf("made at %s, which is in the future: it is %s by the clock of this machine", created, wanted)
	}
	return fmt.Sprintf("made at %s, before %s", created, wanted)
}

// Fault is that of a bundle that is not trusted.
func (e *StaleError) Fault() (fault.Kind, string) {
	if e.Future {
		return fault.Untrusted, "check the clock of this machine; if it is right, ask the sender to export again, with theirs set right"
	}
	return fault.Untrusted, "have a newer bundle carried; --newer-than sets the time"
}

// An ExpiredError is a bundle whose signers said until when it may be used.
type ExpiredError struct{ Expired time.Time }

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("the bundle was to be used until %s", e.Expired.UTC().Format(time.RFC3339))
}

// Fault is that of a bundle that is not trusted any more.
func (e *ExpiredError) Fault() (fault.Kind, string) {
	return fault.Untrusted, "have a new one carried; --allow-expired takes this one all the same.\nIf the time is not over, check the clock of this machine"
}

// explain says beside an error of trust what to do about it.
func explain(err error) error {
	var trust *checksum.TrustError
	if errors.As(err, &trust) {
		return fault.WithHint(err, trustHint(trust.Reason))
	}
	return err
}

func trustHint(r checksum.Reason) string {
	if r == checksum.NoTrust { // it names a folder of the one who asks
		return "give the sender's public key with --key FILE.pub, or its fingerprint with --fingerprint SHA256:…,\nor list who may sign in " + DefaultSigners()
	}
	return trustHints[r]
}

var trustHints = map[checksum.Reason]string{
	checksum.Unsigned:       "ask the sender for a signed bundle; --insecure-skip-signature takes this one unchecked",
	checksum.UnknownKey:     "compare the fingerprint with the one the sender told you; if it is theirs: --fingerprint SHA256:…, or --key FILE.pub",
	checksum.BadSignature:   "the bundle was changed after it was signed: do not use it, have it carried again;\nwhere a .sig file beside it is named, that may belong to an earlier bundle of this name",
	checksum.Malformed:      "the bundle was changed after it was signed: do not use it, have it carried again",
	checksum.Expired:        "ask the sender to sign with a valid key, or renew it in allowed_signers",
	checksum.NotYetValid:    "check the clock of this machine, or valid-after in allowed_signers",
	checksum.WrongNamespace: "ask the sender to sign with `bundle export --key`, and allow the namespace bundle in allowed_signers",
	checksum.Unsupported:    "ask the sender to sign with an Ed25519, ECDSA, RSA or FIDO key, or a user certificate for one",
	checksum.OtherPrincipal: "if that is who should have signed, say so with --principal",
	checksum.TooFew:         "have somebody else who is trusted run `bundle sign`, and carry the .sig file beside the bundle",
	checksum.Revoked:        "whoever has that key may be somebody else: have the bundle signed with another, and ask why it was revoked",
	checksum.WeakKey:        "use an Ed25519, ECDSA or RSA key of at least 2048 bits",
}

package checksum

import (
	"fmt"
	"strings"
	"unicode"
)

// A Reason says why a signature or a key is not trusted.
type Reason int

// The reasons. Their order carries no meaning.
const (
	Unsigned       Reason = iota + 1 // there is no signature
	Malformed                        // the signature cannot be read
	NoTrust                          // nobody was named to be trusted
	UnknownKey                       // made with a key that is not trusted
	BadSignature                     // not valid: over other content, or not by the key it names
	WrongNamespace                   // made for another purpose, or the key is trusted for others only
	Expired                          // the key is not trusted any more
	NotYetValid                      // the key is not trusted yet
	WeakKey                          // RSA under 2048 bits, or DSA
	Unsupported                      // a kind of key or certificate that cannot be used
	OtherPrincipal                   // the key is listed, for others than those who were asked for
	TooFew                           // fewer distinct signers than are needed
	Revoked                          // on a list of keys that nobody may sign with any more
)

var reasonNames = map[Reason]string{
	Unsigned:       "unsigned",
	Malformed:      "malformed",
	NoTrust:        "no-trust",
	UnknownKey:     "unknown-key",
	BadSignature:   "bad-signature",
	WrongNamespace: "wrong-namespace",
	Expired:        "expired",
	NotYetValid:    "not-yet-valid",
	WeakKey:        "weak-key",
	Unsupported:    "unsupported",
	OtherPrincipal: "other-principal",
	TooFew:         "too-few",
	Revoked:        "revoked",
}

// String returns a short name, fit for a report read by programs.
func (r Reason) String() string {
	if s, ok := reasonNames[r]; ok {
		return s
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// A TrustError is a signature, or a key, that cannot be relied on.
type TrustError struct {
	Reason      Reason
	Fingerprint string // of the key that was found, as SHA256:…; empty when none was
	KeyType     string // of that key, such as ssh-ed25519
	Detail      string // what was found, where the reason alone does not say it
	Err         error  // cause, may be nil
}

// Untrusted says that the content is not to be used, as it stands.
func (e *TrustError) Untrusted() bool { return true }

func (e *TrustError) Error() string {
	msg := e.message()
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	if e.Err != nil {
		msg += ": " + clean(e.Err.Error())
	}
	return msg
}

func (e *TrustError) message() string {
	key := e.KeyType + " key " + e.Fingerprint
	switch e.Reason {
	case Unsigned:
		return "not signed"
	case Malformed:
		return "the signature cannot be read"
	case NoTrust:
		if e.Fingerprint == "" {
			return "no trusted key was given"
		}
		return "no trusted key was given; the signature names " + key
	case UnknownKey:
		return "signed with " + key + ", which is not trusted"
	case BadSignature:
		return "the signature by " + key + " is not valid for this content"
	case WrongNamespace:
		return "the signature by " + key + " is not for this purpose"
	case Expired:
		return key + " is not trusted any more"
	case Revoked:
		return key + " was revoked"
	case NotYetValid:
		return key + " is not trusted yet"
	case WeakKey:
		return key + " is too weak"
	case Unsupported:
		return key + " cannot be used"
	case OtherPrincipal:
		return "signed with " + key + ", which is listed for somebody else"
	case TooFew:
		return "not signed by enough people who are trusted"
	}
	return e.Reason.String()
}

// Unwrap returns the cause.
func (e *TrustError) Unwrap() error { return e.Err }

// clean makes text from outside fit for a terminal and a log line: it may
// come from a hostile file, by way of an error of a library.
func clean(s string) string {
	const limit = 256
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

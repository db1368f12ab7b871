package checksum

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Candidate is a signature, and where it was found.
type Candidate struct {
	Name    string // of the file, for messages
	Armored []byte
}

// An Accepted signature is one that verified, by somebody who is trusted.
type Accepted struct {
	Name string // of the candidate
	Signer
}

// Require checks that at least n distinct signers, who are trusted at the
// given time, signed message, and returns all of them. It is Verify where
// there may be several signatures, each armored text by itself; n under 1 is
// 1.
//
// Signers are distinct when their keys differ and nothing says that they are
// one: two keys that allowed_signers, or certificates, give to one principal
// count once. Signatures by others are not counted, but one that cannot be
// read, or that is not valid for the message, is an error whoever it names: it
// shows that something was changed.
func (t *Trust) Require(n int, message []byte, candidates []Candidate, at time.Time) ([]Accepted, error) {
	n = max(n, 1)
	if len(candidates) == 0 {
		_, err := t.Verify(message, nil, at)
		return nil, err
	}
	var accepted []Accepted
	var refused []error
	for _, c := range candidates {
		signer, err := t.Verify(message, c.Armored, at)
		if err == nil {
			accepted = append(accepted, Accepted{c.Name, signer})
			continue
		}
		if broken(err) || t.empty() {
			return nil, named(c, candidates, err)
		}
		refused = append(refused, named(c, candidates, err))
	}
	distinct := distinctSigners(accepted)
	if len(distinct) >= n {
		return accepted, nil
	}
	if n == 1 && len(accepted) == 0 { // nobody to add to: why each is not trusted says it all
		err := refused[0]
		for _, other := range refused[1:] {
			err = fmt.Errorf("%w; %w", err, other)
		}
		return nil, err
	}
	return nil, tooFew(n, distinct, accepted, refused)
}

// broken tells a signature that is none from one by somebody else.
func broken(err error) bool {
	var why *TrustError
	if !errors.As(err, &why) {
		return true
	}
	switch why.Reason {
	case Unsigned, Malformed, BadSignature:
		return true
	}
	return false
}

// named says which candidate err is about, where there are several.
func named(c Candidate, all []Candidate, err error) error {
	if len(all) == 1 {
		return err
	}
	return fmt.Errorf("%s: %w", c.Name, err)
}

// distinctSigners picks signers of whom no two may be one person. Those with
// the fewest names come first, so that somebody who may be either of two does
// not stand for both.
func distinctSigners(accepted []Accepted) []Accepted {
	var picked []Accepted
	for names := 0; len(picked) < len(accepted); names++ {
		left := false
		for _, a := range accepted {
			has := strings.Count(a.Principals, ",")
			left = left || has > names
			if has == names && !mayBeOneOf(a, picked) {
				picked = append(picked, a)
			}
		}
		if !left {
			break
		}
	}
	return picked
}

func mayBeOneOf(a Accepted, others []Accepted) bool {
	for _, b := range others {
		if a.Fingerprint == b.Fingerprint || sharesName(a.Principals, b.Principals) || sharesName(b.Principals, a.Principals) {
			return true
		}
	}
	return false
}

// sharesName reports whether a name in the pattern list a is one that matches
// b. Patterns name nobody by themselves.
func sharesName(a, b string) bool {
	for name := range strings.SplitSeq(a, ",") {
		if name != "" && !strings.ContainsAny(name, "*?!") && matchList(name, b) {
			return true
		}
	}
	return false
}

func tooFew(n int, distinct, accepted []Accepted, refused []error) error {
	var found []string
	for _, a := range accepted {
		who := a.Fingerprint
		if name := cmp.Or(a.Principals, a.Comment); name != "" {
			who += " (" + clean(name) + ")"
		}
		found = append(found, who)
	}
	what := fmt.Sprintf("%d of the %d needed", len(distinct), n)
	if len(found) > 0 {
		what += ": " + strings.Join(found, ", ")
	}
	if len(distinct) < len(accepted) {
		what += "; signatures by one key or one person count once"
	}
	for _, err := range refused {
		what += "; not counted: " + err.Error()
	}
	return &TrustError{Reason: TooFew, Detail: what}
}

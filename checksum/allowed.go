package checksum

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxAllowedSigners bounds an allowed_signers file, in bytes.
const maxAllowedSigners = 16 << 20

// An AllowedSigner is one line of an allowed_signers file.
type AllowedSigner struct {
	Line          int       // counted from 1; 0 for a key that stands in no file
	Principals    string    // pattern list of identities
	CertAuthority bool      // the key signs certificates of those who sign content
	Namespaces    string    // pattern list of namespaces; empty: all
	ValidAfter    time.Time // the first moment of validity; zero: always was
	ValidBefore   time.Time // the last moment of validity; zero: for ever
	Key           PublicKey // the zero value when its kind is not known here
}

// ParseAllowedSigners reads an OpenSSH allowed_signers file, see ALLOWED
// SIGNERS in ssh-keygen(1). Times without a Z are in the local time zone, as
// there.
//
// A line that is not understood is an error, where ssh-keygen skips it: who
// is trusted must not hang on a typing mistake. Lines whose key cannot be
// used here (weak, or of an unknown kind) are kept, because such files are
// shared with other programs; signatures by these keys are refused.
func ParseAllowedSigners(b []byte) ([]AllowedSigner, error) {
	return parseAllowedSigners(b, time.Local)
}

func parseAllowedSigners(b []byte, zone *time.Location) ([]AllowedSigner, error) {
	if len(b) > maxAllowedSigners {
		return nil, fmt.Errorf("%d bytes, at most %d allowed", len(b), maxAllowedSigners)
	}
	var signers []AllowedSigner
	for n, line := range lines(b) {
		line = strings.Trim(line, " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseAllowedSigner(line, zone)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		s.Line = n
		signers = append(signers, s)
	}
	return signers, nil
}

func parseAllowedSigner(line string, zone *time.Location) (s AllowedSigner, err error) {
	if len(line) > maxLine {
		return s, fmt.Errorf("%d bytes, at most %d allowed", len(line), maxLine)
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' }) {
		return s, errors.New("control character")
	}
	s.Principals, line, err = cutPrincipals(line)
	if err != nil {
		return s, err
	}
	if !startsWithKey(line) {
		line, err = s.parseOptions(line, zone)
		if err != nil {
			return s, err
		}
	}
	if wireType(line) != "" && !knownKeyType(wireType(line)) {
		return s, nil
	}
	s.Key, err = parseKeyFields(line)
	return s, err
}

// cutPrincipals takes the first field, which may stand in double quotes.
func cutPrincipals(line string) (principals, rest string, err error) {
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		principals, rest, ok = strings.Cut(quoted, `"`)
		if !ok || strings.IndexAny(rest, " \t") != 0 {
			return "", "", errors.New("principals: quote not closed")
		}
		rest = strings.TrimLeft(rest, " \t")
	} else {
		principals, rest = cutSpace(line)
	}
	if principals == "" || strings.Contains(principals, `"`) {
		return "", "", errors.New("principals: empty, or a quote inside")
	}
	if rest == "" {
		return "", "", errors.New("no key")
	}
	return principals, rest, nil
}

// parseOptions reads the comma-separated options that s begins with, and
// returns what follows them.
func (s *AllowedSigner) parseOptions(in string, zone *time.Location) (rest string, err error) {
	seen := make(map[string]bool)
	for {
		end := strings.IndexAny(in, "=, \t")
		if end < 0 {
			return "", fmt.Errorf("no key, only %q", clean(in))
		}
		name, value := strings.ToLower(in[:end]), ""
		hasValue := in[end] == '='
		in = in[end:]
		if hasValue {
			if value, in, err = cutQuoted(in[1:]); err != nil {
				return "", fmt.Errorf("option %q: %w", clean(name), err)
			}
		}
		if seen[name] {
			return "", fmt.Errorf("option %q occurs twice", clean(name))
		}
		seen[name] = true
		if err := s.setOption(name, value, hasValue, zone); err != nil {
			return "", err
		}
		after, more := strings.CutPrefix(in, ",")
		if more {
			in = after
			continue
		}
		rest = strings.TrimLeft(in, " \t")
		if rest == in || rest == "" {
			return "", fmt.Errorf("option %q: no blank and key after it", clean(name))
		}
		return rest, s.checkTimes()
	}
}

func (s *AllowedSigner) setOption(name, value string, hasValue bool, zone *time.Location) (err error) {
	switch {
	case name == "cert-authority" && !hasValue:
		s.CertAuthority = true
	case name == "namespaces" && value != "":
		s.Namespaces = value
	case name == "valid-after" && hasValue:
		s.ValidAfter, err = parseTime(value, zone)
	case name == "valid-before" && hasValue:
		s.ValidBefore, err = parseTime(value, zone)
	case name == "cert-authority", name == "namespaces", name == "valid-after", name == "valid-before":
		err = errors.New("value missing, or not wanted")
	default:
		return fmt.Errorf("%q is neither an option nor a kind of key", clean(name))
	}
	if err != nil {
		return fmt.Errorf("option %q: %w", name, err)
	}
	return nil
}

func (s *AllowedSigner) checkTimes() error {
	if !s.ValidAfter.IsZero() && !s.ValidBefore.IsZero() && !s.ValidAfter.Before(s.ValidBefore) {
		return errors.New("valid-before is not after valid-after")
	}
	return nil
}

// cutQuoted takes a value in double quotes, in which \" stands for a quote.
func cutQuoted(in string) (value, rest string, err error) {
	if !strings.HasPrefix(in, `"`) {
		return "", "", errors.New("value not in double quotes")
	}
	var b strings.Builder
	for i := 1; i < len(in); i++ {
		switch {
		case in[i] == '"':
			return b.String(), in[i+1:], nil
		case in[i] == '\\' && i+1 < len(in) && in[i+1] == '"':
			i++
		}
		b.WriteByte(in[i])
	}
	return "", "", errors.New("quote not closed")
}

// parseTime reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC when Z or
// UTC follows.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	digits := s
	for _, suffix := range []string{"Z", "UTC"} {
		if before, ok := strings.CutSuffix(strings.ToUpper(s), suffix); ok {
			digits, zone = before, time.UTC
		}
	}
	format := "20060102150405"
	if n := len(digits); n == 8 || n == 12 {
		format = format[:n]
	}
	t, err := time.ParseInLocation(format, digits, zone)
	if err != nil || len(digits) != len(format) || t.Unix() <= 0 {
		return time.Time{}, fmt.Errorf("%q is not a time: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC", clean(s))
	}
	return t, nil
}

// startsWithKey reports whether a key, rather than options, begins here.
func startsWithKey(s string) bool {
	name, _ := cutSpace(s)
	return knownKeyType(name) || wireType(s) != ""
}

// wireType returns the key type at the beginning of s when the base64 after
// it says the same, so that kinds of keys yet to come are told from options.
func wireType(s string) string {
	name, rest := cutSpace(s)
	text, _ := cutSpace(rest)
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	var wire struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(blob, &wire) != nil || wire.Type != name {
		return ""
	}
	return name
}

func knownKeyType(name string) bool {
	switch name {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSA,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return true
	}
	return false
}

// permits returns who signed, as far as a line says it, or why it does not let
// the key sign for one of the wanted identities at the given time. The key is that
// of the line, or a certificate by it.
func (t *Trust) permits(s AllowedSigner, key ssh.PublicKey, at time.Time) (who string, err error) {
	if s.Line == 0 {
		return "", nil
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		who, err = s.certifies(cert, t.Principals, at)
	} else {
		who, err = s.names(key, t.Principals)
	}
	if err != nil {
		return "", err
	}
	return who, s.limits(key, t.namespace(), at)
}

func (s AllowedSigner) where() string { return fmt.Sprintf("allowed signers line %d", s.Line) }

// names returns which of the wanted identities the line gives to its key: its
// whole pattern list, where none is wanted and it could match somebody.
func (s AllowedSigner) names(key ssh.PublicKey, wanted []string) (string, error) {
	if s.CertAuthority {
		return "", keyError(Unsupported, key, s.where()+" lists it as cert-authority, which signs certificates only")
	}
	if len(wanted) == 0 {
		if !couldMatch(s.Principals) {
			return "", keyError(UnknownKey, key, fmt.Sprintf("%s is for nobody: %q", s.where(), clean(s.Principals)))
		}
		return s.Principals, nil
	}
	var has []string
	for _, p := range wanted {
		if matchList(p, s.Principals) {
			has = append(has, p)
		}
	}
	if len(has) == 0 {
		return "", keyError(OtherPrincipal, key, fmt.Sprintf("%s is for %q, not for %s", s.where(), clean(s.Principals), quoteList(wanted, "")))
	}
	return strings.Join(has, ","), nil
}

// limits returns which option of the line keeps the key from signing at the
// given time, for the given purpose, or nil.
func (s AllowedSigner) limits(key ssh.PublicKey, namespace string, at time.Time) error {
	where := s.where()
	switch {
	case s.Namespaces != "" && !matchList(namespace, s.Namespaces):
		return keyError(WrongNamespace, key, fmt.Sprintf("%s permits namespaces %q, not %q", where, clean(s.Namespaces), namespace))
	case !s.ValidAfter.IsZero() && at.Unix() < s.ValidAfter.Unix():
		return keyError(NotYetValid, key, where+" permits it from "+s.ValidAfter.UTC().Format(time.RFC3339))
	case !s.ValidBefore.IsZero() && at.Unix() > s.ValidBefore.Unix():
		return keyError(Expired, key, where+" permitted it until "+s.ValidBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// couldMatch reports whether a pattern list can match anything.
func couldMatch(list string) bool {
	for p := range strings.SplitSeq(list, ",") {
		if p != "" && p[0] != '!' {
			return true
		}
	}
	return false
}

// matchList reports whether s matches a pattern list (PATTERNS in
// ssh_config(5)): some pattern, and no pattern that follows an exclamation
// mark.
func matchList(s, list string) bool {
	matched := false
	for p := range strings.SplitSeq(list, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if !matchPattern(s, p) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// matchPattern reports whether s matches p, in which * stands for any bytes
// and ? for one. It goes back to the last * only, so it takes no more than
// len(s)·len(p) steps.
func matchPattern(s, p string) bool {
	i, j := 0, 0          // in s and p
	star, resume := -1, 0 // the last * in p, and where in s its match ends
	for i < len(s) {
		switch {
		case j < len(p) && p[j] == '*':
			star, resume = j, i
			j++
		case j < len(p) && (p[j] == '?' || p[j] == s[i]):
			i++
			j++
		case star >= 0:
			resume++
			i, j = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(p[j:], "*") == ""
}

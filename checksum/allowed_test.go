package checksum

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"bundle/testdata/judge"
)

// An allowedTest is an allowed_signers file and what it means for golden, a
// signature by KEY. In the file, KEY, OTHER, WEAK, DSA and CERT stand for the
// fields of a key.
type allowedTest struct {
	name      string
	file      string
	principal string    // alice@example.org if empty
	at        time.Time // now if zero
	want      Reason    // 0: trusted
	parse     string    // instead: part of the message when the file is refused
	laxer     bool      // ssh-keygen accepts what we refuse
}

const alice = "alice@example.org"

var allowedTests = []allowedTest{
	{name: "plain", file: "alice@example.org KEY"},
	{name: "comment after the key", file: "alice@example.org KEY alice at home"},
	{name: "no newline and blanks", file: "  \talice@example.org \t KEY  "},
	{name: "comments and empty lines", file: "# who may release\n\n  # indented\nalice@example.org KEY\n"},
	{name: "CRLF", file: "# Windows\r\nalice@example.org KEY\r\n"},
	{name: "second line", file: "bob@example.org OTHER\nalice@example.org KEY\n"},

	{name: "nothing", file: "", want: NoTrust},
	{name: "comments only", file: "# nobody\n", want: NoTrust},
	{name: "another key", file: "alice@example.org OTHER", want: UnknownKey},
	{name: "weak keys only", file: "alice@example.org WEAK\nalice@example.org DSA", want: UnknownKey},
	{name: "weak keys beside", file: "alice@example.org WEAK\nalice@example.org DSA\nalice@example.org KEY"},
	{name: "unknown kind of key beside", file: "alice@example.org ssh-new AAAAB3NzaC1uZXc=\nalice@example.org KEY"},
	{name: "certificate beside", file: "alice@example.org CERT\nalice@example.org KEY"},
	{name: "certificate alone", file: "alice@example.org CERT", want: UnknownKey},

	{name: "another principal", file: "bob@example.org KEY", want: OtherPrincipal},
	{name: "principal in capitals", file: "ALICE@example.org KEY", want: OtherPrincipal},
	{name: "list", file: "bob@example.org,alice@example.org KEY"},
	{name: "star", file: "* KEY"},
	{name: "star inside", file: "*@example.org KEY"},
	{name: "stars", file: "a*e@*.o*g KEY"},
	{name: "star, other domain", file: "*@example.com KEY", want: OtherPrincipal},
	{name: "question marks", file: "?????@example.org KEY"},
	{name: "one question mark too many", file: "??????@example.org KEY", want: OtherPrincipal},
	{name: "bracket is no pattern", file: "[a]lice@example.org KEY", want: OtherPrincipal},
	{name: "excepted", file: "*,!alice@example.org KEY", want: OtherPrincipal},
	{name: "excepted first", file: "!alice@example.org,* KEY", want: OtherPrincipal},
	{name: "another excepted", file: "*,!bob@example.org KEY"},
	{name: "exception alone", file: "!bob@example.org KEY", want: OtherPrincipal},
	{name: "excepted in one line, listed in another", file: "*,!alice@example.org KEY\nalice@* KEY"},
	{name: "quoted", file: `"alice@example.org" KEY`},
	{name: "quoted with a blank", file: `"alice smith,alice@example.org" KEY`},
	{name: "quoted principal with a blank", file: `"alice smith" KEY`, principal: "alice smith"},
	{name: "quote not closed", file: `"alice@example.org KEY`, want: UnknownKey, parse: "line 1: principals"},
	{name: "no principals", file: "KEY", parse: "line 1"},

	{name: "namespace", file: `alice@example.org namespaces="bundle" KEY`},
	{name: "namespaces", file: `alice@example.org namespaces="git,bundle,file" KEY`},
	{name: "namespace pattern", file: `alice@example.org namespaces="bun*" KEY`},
	{name: "option in capitals", file: `alice@example.org NameSpaces="bundle" KEY`},
	{name: "another namespace", file: `alice@example.org namespaces="git,file" KEY`, want: WrongNamespace},
	{name: "namespace in capitals", file: `alice@example.org namespaces="Bundle" KEY`, want: WrongNamespace},
	{name: "namespace excepted", file: `alice@example.org namespaces="*,!bundle" KEY`, want: WrongNamespace},
	{name: "no namespace", file: `alice@example.org namespaces="" KEY`, parse: `option "namespaces"`},
	{name: "quote in a namespace", file: `alice@example.org namespaces="a\"b" KEY`, want: WrongNamespace},
	{name: "blank in a namespace", file: `alice@example.org namespaces="a b,bundle" KEY`},
	{name: "namespace not quoted", file: `alice@example.org namespaces=bundle KEY`, parse: "double quotes"},
	{name: "namespace not closed", file: `alice@example.org namespaces="bundle KEY`, parse: "not closed"},
	{name: "namespaces without value", file: `alice@example.org namespaces KEY`, parse: "value"},
	{name: "namespaces twice", file: `alice@example.org namespaces="bundle",namespaces="bundle" KEY`, parse: "twice"},
	{name: "wrong namespace in one line, right in another", file: "alice@example.org namespaces=\"git\" KEY\nalice@example.org namespaces=\"bundle\" KEY"},

	{name: "valid after", file: `alice@example.org valid-after="20260701Z" KEY`},
	{name: "valid after, to the second", file: `alice@example.org valid-after="20260701120000Z" KEY`},
	{name: "valid one second later", file: `alice@example.org valid-after="20260701120001Z" KEY`, want: NotYetValid},
	{name: "valid one minute later", file: `alice@example.org valid-after="202607011201Z" KEY`, want: NotYetValid},
	{name: "valid from tomorrow", file: `alice@example.org valid-after="20260702Z" KEY`, want: NotYetValid},
	{name: "valid before", file: `alice@example.org valid-before="20260702Z" KEY`},
	{name: "valid before, to the second", file: `alice@example.org valid-before="20260701120000Z" KEY`},
	{name: "expired a second ago", file: `alice@example.org valid-before="20260701115959Z" KEY`, want: Expired},
	{name: "expired this morning", file: `alice@example.org valid-before="20260701Z" KEY`, want: Expired},
	{name: "within", file: `alice@example.org valid-after="20260101Z",valid-before="20261231Z" KEY`},
	{name: "within, all options", file: `alice@example.org namespaces="bundle",valid-after="20260101Z",valid-before="20261231Z" KEY`},
	{name: "small z", file: `alice@example.org valid-after="20260701z" KEY`},
	{name: "UTC", file: `alice@example.org valid-after="20260701UTC" KEY`},
	// The zone is three hours east of UTC: midnight there is 21:00Z.
	{name: "local time", file: `alice@example.org valid-after="202607011500" KEY`},
	{name: "local time, a minute later", file: `alice@example.org valid-after="202607011501" KEY`, want: NotYetValid},
	{name: "local date", file: `alice@example.org valid-before="20260702" KEY`, at: now.Add(9 * time.Hour)},
	{name: "local date, past", file: `alice@example.org valid-before="20260702" KEY`, at: now.Add(9*time.Hour + time.Second), want: Expired},
	{name: "expired in one line, valid in another", file: "alice@example.org valid-before=\"20260101Z\" KEY\nalice@example.org KEY"},
	{name: "time of nine digits", file: `alice@example.org valid-after="202601010Z" KEY`, parse: "not a time"},
	{name: "time in words", file: `alice@example.org valid-after="tomorrow" KEY`, parse: "not a time"},
	{name: "time with dashes", file: `alice@example.org valid-after="2026-01-01" KEY`, parse: "not a time"},
	{name: "month 13", file: `alice@example.org valid-after="20251301Z" KEY`, parse: "not a time"},
	{name: "30 February", file: `alice@example.org valid-after="20260230Z" KEY`, parse: "not a time", laxer: true},
	{name: "hour 24", file: `alice@example.org valid-after="202601012400Z" KEY`, parse: "not a time"},
	{name: "before 1970", file: `alice@example.org valid-after="19691231Z" KEY`, parse: "not a time"},
	{name: "no time", file: `alice@example.org valid-after="" KEY`, parse: "not a time"},
	{name: "time not quoted", file: `alice@example.org valid-after=20260101Z KEY`, parse: "double quotes"},
	{name: "time twice", file: `alice@example.org valid-after="20260101Z",valid-after="20260101Z" KEY`, parse: "twice"},
	{name: "ends before it begins", file: `alice@example.org valid-after="20260701Z",valid-before="20260601Z" KEY`, parse: "valid-before is not after"},
	{name: "ends when it begins", file: `alice@example.org valid-after="20260701120000Z",valid-before="20260701120000Z" KEY`, parse: "valid-before is not after"},

	{name: "authority does not sign itself", file: "alice@example.org cert-authority KEY", want: Unsupported},
	{name: "authority in capitals", file: "alice@example.org Cert-Authority KEY", want: Unsupported},
	{name: "authority with a value", file: `alice@example.org cert-authority="x" KEY`, parse: "cert-authority"},
	{name: "authority beside a plain line", file: "alice@example.org cert-authority KEY\nalice@example.org KEY"},

	{name: "unknown option", file: "alice@example.org no-pty KEY", parse: "neither an option"},
	{name: "option run on", file: "alice@example.org cert-authority2 KEY", parse: "neither an option"},
	{name: "options apart", file: `alice@example.org cert-authority, namespaces="bundle" KEY`, parse: "neither an option"},
	{name: "options run together", file: `alice@example.org namespaces="bundle"cert-authority KEY`, parse: "no blank"},
	{name: "comma at the end", file: `alice@example.org namespaces="bundle", KEY`, parse: "neither an option"},
	{name: "no key", file: "alice@example.org", parse: "no key"},
	{name: "no key after options", file: `alice@example.org namespaces="bundle"`, parse: "no blank and key"},
	{name: "kind of key misspelt", file: "alice@example.org ssh-ed25519x AAAA", parse: "neither an option"},
	{name: "base64 broken", file: "alice@example.org ssh-ed25519 AAAA!", parse: "no base64"},
	{name: "key cut off", file: "alice@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", parse: "not a public key"},
	{name: "kind of key does not match", file: "alice@example.org ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", parse: "of type"},
	{name: "a bad line is not skipped", file: "alice@example.org no-pty OTHER\nalice@example.org KEY", parse: "line 1", laxer: true},
	{name: "a bad line after the good one", file: "alice@example.org KEY\nbob@example.org\n", parse: "line 2", laxer: true},
	{name: "control character", file: "alice@example.org KEY a\x1bb", parse: "control character", laxer: true},
}

// expand fills the keys into the file.
func (a allowedTest) expand(t testing.TB) []byte {
	other := seedKey(t, 2)
	cert := string(ssh.MarshalAuthorizedKey(certify(t, seedKey(t, 1), other)))
	return []byte(strings.NewReplacer(
		"KEY", publicKey(t, seedKey(t, 1), "").String(),
		"OTHER", publicKey(t, other, "").String(),
		"WEAK", weakRSA,
		"DSA", weakDSA,
		"CERT", strings.TrimSpace(cert),
	).Replace(a.file))
}

// moscow is a zone without changes of its clock. POSIX writes it with the
// sign turned round.
var moscow = time.FixedZone("MSK", 3*60*60)

const moscowTZ = "MSK-3"

// judge returns our verdict on golden.
func (a allowedTest) judge(t testing.TB) (Signer, error) {
	t.Helper()
	entries, err := parseAllowedSigners(a.expand(t), moscow)
	if err != nil {
		return Signer{}, err
	}
	trust := Trust{Principals: []string{a.identity()}, entries: entries}
	return trust.Verify(message, []byte(golden), a.time())
}

func (a allowedTest) identity() string {
	if a.principal == "" {
		return alice
	}
	return a.principal
}

func (a allowedTest) time() time.Time {
	if a.at.IsZero() {
		return now
	}
	return a.at
}

func TestAllowedSigners(t *testing.T) {
	for _, test := range allowedTests {
		t.Run(test.name, func(t *testing.T) {
			signer, err := test.judge(t)
			switch {
			case test.parse != "":
				var refused *TrustError
				if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), test.parse) {
					t.Errorf("got %v, want an error of the parser that says %q", err, test.parse)
				}
			case test.want != 0:
				wantReason(t, err, test.want)
			case err != nil:
				t.Errorf("not trusted: %v", err)
			case signer.Principals == "" || signer.Fingerprint != publicKey(t, seedKey(t, 1), "").Fingerprint():
				t.Errorf("got %+v", signer)
			}
		})
	}
}

// The same table, judged by ssh-keygen.
func TestAllowedSignersAgree(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	t.Setenv("TZ", moscowTZ)
	dir := t.TempDir()
	writeFile(t, dir, "sig", []byte(golden))
	for _, test := range allowedTests {
		t.Run(test.name, func(t *testing.T) {
			writeFile(t, dir, "allowed", test.expand(t))
			out, accepted := run(t, dir, message, keygen, "-Y", "verify", "-f", "allowed", "-I", test.identity(),
				"-n", Namespace, "-s", "sig", "-O", "verify-time="+test.time().UTC().Format("20060102150405Z"))
			_, err := test.judge(t)
			if want := err == nil || test.laxer; accepted != want {
				t.Errorf("ssh-keygen accepts: %v, expected %v; ours: %v\n%s\n%s", accepted, want, err, test.expand(t), out)
			}
		})
	}
}

func TestParseAllowedSigners(t *testing.T) {
	file := allowedTest{file: `# releases
*@example.org,!eve@example.org namespaces="bundle,git",valid-after="20260101Z",valid-before="20261231235959Z" KEY alice's
"team one" cert-authority OTHER
x ssh-new AAAAB3NzaC1uZXc= from the future
`}.expand(t)
	got, err := ParseAllowedSigners(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []AllowedSigner{
		{
			Line:        2,
			Principals:  "*@example.org,!eve@example.org",
			Namespaces:  "bundle,git",
			ValidAfter:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
			ValidBefore: time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC),
			Key:         publicKey(t, seedKey(t, 1), "alice's"),
		},
		{Line: 3, Principals: "team one", CertAuthority: true, Key: publicKey(t, seedKey(t, 2), "")},
		{Line: 4, Principals: "x"},
	}
	asLines := cmp.Transformer("line", func(k PublicKey) string { return k.String() })
	if diff := cmp.Diff(want, got, asLines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := ParseAllowedSigners(make([]byte, maxAllowedSigners+1)); err == nil {
		t.Error("a file of any size is read")
	}
	if _, err := ParseAllowedSigners([]byte(strings.Repeat("a", maxLine+1))); err == nil {
		t.Error("a line of any length is read")
	}
}

// ParseAllowedSigners takes times without a Z as local.
func TestParseAllowedSignersLocalTime(t *testing.T) {
	signers, err := ParseAllowedSigners(allowedTest{file: `a valid-after="20260701" KEY`}.expand(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 7, 1, 0, 0, 0, 0, time.Local); !signers[0].ValidAfter.Equal(want) {
		t.Errorf("got %v, want %v", signers[0].ValidAfter, want)
	}
}

func TestTrustWithoutPrincipal(t *testing.T) {
	for file, want := range map[string]Reason{
		"alice@example.org KEY":             0,
		"*,!alice@example.org KEY":          0,
		"!alice@example.org KEY":            UnknownKey, // matches nobody
		"alice@example.org OTHER":           UnknownKey,
		`alice namespaces="git" KEY`:        WrongNamespace,
		`alice valid-before="20260101" KEY`: Expired,
	} {
		t.Run(file, func(t *testing.T) {
			var trust Trust
			if err := trust.AddAllowedSigners(allowedTest{file: file}.expand(t)); err != nil {
				t.Fatal(err)
			}
			_, err := trust.Verify(message, []byte(golden), now)
			if want != 0 {
				wantReason(t, err, want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A key given by itself is trusted without limits, whatever a file says.
func TestTrustKeyBesideFile(t *testing.T) {
	trust := Trust{Principals: []string{"bob@example.org"}}
	if err := trust.AddAllowedSigners(allowedTest{file: `alice valid-before="20200101" KEY`}.expand(t)); err != nil {
		t.Fatal(err)
	}
	_, err := trust.Verify(message, []byte(golden), now)
	wantReason(t, err, OtherPrincipal)
	trust.AddKey(publicKey(t, seedKey(t, 1), "given"))
	signer, err := trust.Verify(message, []byte(golden), now)
	if err != nil || signer.Comment != "given" || signer.Principals != "" {
		t.Errorf("got %+v, %v", signer, err)
	}
}

func TestTrustErrorMessages(t *testing.T) {
	fp := publicKey(t, seedKey(t, 1), "").Fingerprint()
	verify := func(file string, armored string) error {
		var trust Trust
		if err := trust.AddAllowedSigners(allowedTest{file: file}.expand(t)); err != nil {
			t.Fatal(err)
		}
		_, err := trust.Verify(message, []byte(armored), now)
		return err
	}
	tests := []struct {
		err  error
		want string
	}{
		{verify("", golden), "no trusted key was given; the signature names ssh-ed25519 key " + fp},
		{verify("", ""), "no trusted key was given"},
		{verify("a KEY", ""), "not signed"},
		{verify("a KEY", golden+"\n\n"), `the signature cannot be read: does not end with "-----END SSH SIGNATURE-----"`},
		{verify("a OTHER", golden), "signed with ssh-ed25519 key " + fp + ", which is not trusted"},
		{verify("a KEY", strings.Replace(golden, "NTE5AAAAQP", "NTE5AAAAQO", 1)),
			"the signature by ssh-ed25519 key " + fp + " is not valid for this content: ssh: signature did not verify"},
		{verify(`a namespaces="git" KEY`, golden),
			"the signature by ssh-ed25519 key " + fp + ` is not for this purpose: allowed signers line 1 permits namespaces "git", not "bundle"`},
		{verify("a KEY", string(forge(t, seedKey(t, 1), "file", nil))),
			"the signature by ssh-ed25519 key " + fp + ` is not for this purpose: made for namespace "file", not "bundle"`},
		{func() error {
			trust := Trust{Principals: []string{"bob"}}
			if err := trust.AddAllowedSigners(allowedTest{file: "alice KEY"}.expand(t)); err != nil {
				return err
			}
			_, err := trust.Verify(message, []byte(golden), now)
			return err
		}(), "signed with ssh-ed25519 key " + fp + `, which is listed for somebody else: allowed signers line 1 is for "alice", not for "bob"`},
		{verify("\na valid-before=\"20260101Z\" KEY", golden),
			"ssh-ed25519 key " + fp + " is not trusted any more: allowed signers line 2 permitted it until 2026-01-01T00:00:00Z"},
		{verify(`a valid-after="20270101Z" KEY`, golden),
			"ssh-ed25519 key " + fp + " is not trusted yet: allowed signers line 1 permits it from 2027-01-01T00:00:00Z"},
		{verify("a cert-authority KEY", golden),
			"ssh-ed25519 key " + fp + " cannot be used: allowed signers line 1 lists it as cert-authority, which signs certificates only"},
	}
	seen := make(map[Reason]bool)
	for _, test := range tests {
		var refused *TrustError
		if !errors.As(test.err, &refused) {
			t.Errorf("got %v, want %q", test.err, test.want)
			continue
		}
		seen[refused.Reason] = true
		if test.err.Error() != test.want {
			t.Errorf("got  %q\nwant %q", test.err, test.want)
		}
	}
	seen[TooFew] = true // in TestRequire
	revoked := trustIn(t, seedKey(t, 1))
	if err := revoked.Revoke([]byte(publicKey(t, seedKey(t, 1), "").Fingerprint())); err != nil {
		t.Fatal(err)
	}
	_, err := revoked.Verify(message, mustSign(t, message, seedKey(t, 1)), now)
	if refused := wantReason(t, err, Revoked); refused.Error() != "ssh-ed25519 key "+refused.Fingerprint+" was revoked" {
		t.Errorf("got %q", refused)
	}
	seen[Revoked] = true
	_, weak := ParsePublicKey([]byte(weakRSA))
	if refused := wantReason(t, weak, WeakKey); refused.Error() != "ssh-rsa key "+refused.Fingerprint+" is too weak: RSA of 1024 bits, at least 2048 needed" {
		t.Errorf("got %q", refused)
	}
	seen[WeakKey] = true
	for reason, name := range reasonNames {
		if !seen[reason] {
			t.Errorf("no message of reason %v was tested", name)
		}
	}
	if got := fmt.Sprint(UnknownKey, Reason(99)); got != "unknown-key Reason(99)" {
		t.Errorf("got %q", got)
	}
}

func TestMatchPattern(t *testing.T) {
	for _, test := range []struct {
		s, p string
		want bool
	}{
		{"", "", true}, {"", "*", true}, {"", "?", false}, {"a", "", false},
		{"abc", "abc", true}, {"abc", "a*", true}, {"abc", "*c", true}, {"abc", "a*c", true},
		{"abc", "a?c", true}, {"abc", "a*b", false}, {"abc", "**", true}, {"abc", "a**?*", true},
		{"abcabc", "*abc", true}, {"abcabd", "*abc", false}, {"aXbXc", "a*X*X?", true},
		{"a*c", "a*c", true}, {"abc", "a\\*c", false}, {"mississippi", "m*iss*ip*i", true},
		{strings.Repeat("a", 5000), strings.Repeat("*a", 2000) + "b", false},
	} {
		if got := matchPattern(test.s, test.p); got != test.want {
			t.Errorf("matchPattern(%.20q, %.20q) = %v", test.s, test.p, got)
		}
	}
}

// formatAllowedSigner writes s as a line that parses to s.
func formatAllowedSigner(s AllowedSigner) string {
	var opts []string
	add := func(name, value string) {
		if value != "" {
			opts = append(opts, name+`="`+strings.ReplaceAll(value, `"`, `\"`)+`"`)
		}
	}
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format("20060102150405Z")
	}
	if s.CertAuthority {
		opts = append(opts, "cert-authority")
	}
	add("namespaces", s.Namespaces)
	add("valid-after", stamp(s.ValidAfter))
	add("valid-before", stamp(s.ValidBefore))
	return strings.Join([]string{`"` + s.Principals + `"`, strings.Join(opts, ","), s.Key.String()}, " ")
}

func FuzzParseAllowedSigners(f *testing.F) {
	for _, test := range allowedTests {
		f.Add(test.expand(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		signers, err := parseAllowedSigners(b, moscow)
		if err != nil {
			return
		}
		line := 0
		for _, s := range signers {
			if s.Line <= line {
				t.Fatalf("line %d after line %d", s.Line, line)
			}
			line = s.Line
			if s.Key.key == nil {
				continue // of a kind that cannot be written back
			}
			again, err := parseAllowedSigners([]byte(formatAllowedSigner(s)), time.UTC)
			if err != nil || len(again) != 1 {
				t.Fatalf("%q does not read back: %v", formatAllowedSigner(s), err)
			}
			again[0].Line = s.Line
			if got, want := fmt.Sprint(normal(again[0])), fmt.Sprint(normal(s)); got != want {
				t.Fatalf("%s reads back as %s", want, got)
			}
		}
		trust := Trust{Principals: []string{alice}, entries: signers}
		if _, err := trust.Verify(message, []byte(golden), now); err != nil {
			var refused *TrustError
			if !errors.As(err, &refused) || refused.Error() == "" {
				t.Fatalf("error of type %T: %v", err, err)
			}
		}
	})
}

// normal gives s a form in which equal entries print the same.
func normal(s AllowedSigner) []any {
	return []any{s.Line, s.Principals, s.CertAuthority, s.Namespaces, s.ValidAfter.UTC(), s.ValidBefore.UTC(), s.Key.String()}
}

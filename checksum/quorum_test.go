package checksum

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A quorumTest is what stands in allowed_signers, who signed, and how many
// distinct signers that is. K1 to K4 are keys, CA certifies.
type quorumTest struct {
	name    string
	file    string
	keys    string // trusted without a file: K1 K2
	wanted  string // principals, comma-separated
	signers string // K1 K2, or K1=alice for K1 with a certificate for alice
	want    int
}

var quorumTests = []quorumTest{
	{"one", "a K1", "", "", "K1", 1},
	{"two people", "a K1\nb K2", "", "", "K1 K2", 2},
	{"one key twice", "a K1\nb K2", "", "", "K1 K1", 1},
	{"a stranger counts for nothing", "a K1\nb K2", "", "", "K1 K3", 1},
	{"two keys of one person", "a K1\na K2", "", "", "K1 K2", 1},
	{"two keys of one person, and another", "a K1\na K2\nb K3", "", "", "K1 K2 K3", 2},
	{"one name in common", "a,team K1\nb,team K2", "", "", "K1 K2", 1},
	{"a name that the other's pattern covers", "a@x K1\n*@x K2", "", "", "K1 K2", 1},
	{"a name that the other's pattern excepts", "a@x K1\n*@x,!a@x K2", "", "", "K1 K2", 2},
	{"patterns name nobody", "* K1\n* K2", "", "", "K1 K2", 2},
	{"keys without names", "", "K1 K2", "", "K1 K2", 2},
	{"a key that the file names too", "a K1\na K2", "K1 K2", "", "K1 K2", 1},
	{"either of two does not stand for both", "a,b K1\na K2\nb K3", "", "", "K1 K2 K3", 2},
	{"asked for one", "a K1\nb K2", "", "a", "K1 K2", 1},
	{"asked for both", "a K1\nb K2\nc K3", "", "a,b", "K1 K2 K3", 2},
	{"asked for, by a pattern", "* K1\n* K2", "", "a", "K1 K2", 1},
	{"certificates", "* cert-authority CA", "", "", "K1=a K2=b", 2},
	{"certificates for one person", "* cert-authority CA", "", "", "K1=a K2=a", 1},
	{"two certificates of one key", "* cert-authority CA", "", "", "K1=a K1=b", 1},
	{"certificate and key", "* cert-authority CA\na K2", "", "", "K1=a K2", 1},
	{"certificate and key of two", "* cert-authority CA\na K2", "", "", "K1=b K2", 2},
}

func quorumKey(t testing.TB, name string) ssh.Signer { return seedKey(t, name[1]-'0'+10) }

func (q quorumTest) trust(t testing.TB) *Trust {
	t.Helper()
	var pairs []string
	for _, k := range []string{"K1", "K2", "K3", "K4"} {
		pairs = append(pairs, k, publicKey(t, quorumKey(t, k), "").String())
	}
	var trust Trust
	for k := range strings.FieldsSeq(q.keys) {
		trust.AddKey(publicKey(t, quorumKey(t, k), ""))
	}
	file := strings.NewReplacer(append(pairs, "CA", publicKey(t, seedKey(t, 3), "").String())...).Replace(q.file)
	if err := trust.AddAllowedSigners([]byte(file)); err != nil {
		t.Fatal(err)
	}
	if q.wanted != "" {
		trust.Principals = strings.Split(q.wanted, ",")
	}
	return &trust
}

func (q quorumTest) candidates(t testing.TB) []Candidate {
	t.Helper()
	var all []Candidate
	for s := range strings.FieldsSeq(q.signers) {
		name, principal, certified := strings.Cut(s, "=")
		key := quorumKey(t, name)
		if certified {
			key = show(key, certifyAs(t, key, seedKey(t, 3), principals(principal)))
		}
		all = append(all, Candidate{s + ".sig", mustSign(t, message, key)})
	}
	return all
}

func TestRequire(t *testing.T) {
	for _, test := range quorumTests {
		t.Run(test.name, func(t *testing.T) {
			trust, candidates := test.trust(t), test.candidates(t)
			for n := range test.want + 1 {
				accepted, err := trust.Require(n, message, candidates, now)
				if err != nil || len(accepted) < n {
					t.Errorf("%d required: got %+v, %v", n, accepted, err)
				}
			}
			accepted, err := trust.Require(test.want+1, message, candidates, now)
			refused := wantReason(t, err, TooFew)
			if accepted != nil || !strings.Contains(refused.Error(), "needed") {
				t.Errorf("got %+v, %q", accepted, refused)
			}
		})
	}
}

func TestRequireNames(t *testing.T) {
	q := quorumTest{file: "alice K1\nbob K2\n!x K4", signers: "K1 K3 K4"}
	_, err := q.trust(t).Require(2, message, q.candidates(t), now)
	refused := wantReason(t, err, TooFew)
	for _, want := range []string{
		"1 of the 2 needed: " + publicKey(t, quorumKey(t, "K1"), "").Fingerprint() + " (alice)",
		"not counted: K3.sig: signed with", publicKey(t, quorumKey(t, "K3"), "").Fingerprint(),
		"not counted: K4.sig: ", "is for nobody",
	} {
		if !strings.Contains(refused.Error(), want) {
			t.Errorf("%q does not say %q", refused, want)
		}
	}
	q.signers = "K1 K1"
	_, err = q.trust(t).Require(2, message, q.candidates(t), now)
	if refused := wantReason(t, err, TooFew); !strings.Contains(refused.Error(), "count once") {
		t.Errorf("%q does not say why two are one", refused)
	}
}

// What cannot be read, or is not valid, is refused though there are enough
// others; so is a lack of trust or of signatures.
func TestRequireRefuses(t *testing.T) {
	q := quorumTest{file: "a K1\nb K2", signers: "K1 K2"}
	trust, good := q.trust(t), q.candidates(t)
	stranger := mustSign(t, []byte("else"), seedKey(t, 9))
	for name, test := range map[string]struct {
		trust  *Trust
		bad    []Candidate
		reason Reason
		what   string
	}{
		"malformed":                    {trust, append(good[:2:2], Candidate{"x.sig", []byte("x")}), Malformed, "x.sig: "},
		"empty":                        {trust, append(good[:2:2], Candidate{"x.sig", nil}), Unsigned, "x.sig: "},
		"over something else":          {trust, append(good[:2:2], Candidate{"x.sig", mustSign(t, []byte("else"), quorumKey(t, "K1"))}), BadSignature, "x.sig: "},
		"stranger over something else": {trust, append(good[:2:2], Candidate{"x.sig", stranger}), BadSignature, "x.sig: "},
		"nobody is trusted":            {new(Trust), good, NoTrust, "K1.sig: "},
		"no signature":                 {trust, nil, Unsigned, "not signed"},
		"nobody trusted, no signature": {new(Trust), nil, NoTrust, "no trusted key"},
		"one, of a stranger":           {trust, []Candidate{{"x.sig", mustSign(t, message, seedKey(t, 9))}}, UnknownKey, "not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			accepted, err := test.trust.Require(1, message, test.bad, now)
			wantReason(t, err, test.reason)
			if accepted != nil || !strings.Contains(err.Error(), test.what) {
				t.Errorf("got %+v, %v", accepted, err)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	key := publicKey(t, seedKey(t, 1), "")
	got, err := Identify(message, []byte(golden))
	if want := (Signer{Fingerprint: key.Fingerprint(), Type: key.Type()}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	_, err = Identify(message[1:], []byte(golden))
	if refused := wantReason(t, err, BadSignature); refused.Fingerprint != key.Fingerprint() {
		t.Errorf("names %s", refused.Fingerprint)
	}
	_, err = Identify(message, nil)
	wantReason(t, err, Unsigned)
}

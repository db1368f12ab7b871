package checksum

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"bundle/testdata/judge"
)

// What a list of revoked keys takes away, judged by ssh-keygen too, which reads
// lists of public keys as this does. Fingerprints it takes in binary lists only.
func TestRevoke(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	key, other, ca := seedKey(t, 1), seedKey(t, 2), seedKey(t, 3)
	cert := show(key, certify(t, key, ca))
	line := func(s ssh.Signer) string { return publicKey(t, s, "comment").String() }
	print := func(s ssh.Signer) string { return publicKey(t, s, "").Fingerprint() }
	for _, c := range []struct {
		name    string
		signer  ssh.Signer
		list    string
		revoked bool
		keys    bool // only public keys: ssh-keygen reads it
	}{
		{"nothing", key, "", false, false},
		{"comments", key, "# " + line(key) + "\n\n", false, false},
		{"another key", key, line(other) + "\n", false, true},
		{"the key", key, line(key) + "\n", true, true},
		{"the key, behind others", key, "# keys\r\n" + line(other) + "\r\n" + line(key), true, true},
		{"a weak key beside it", key, weakDSA + "\n" + line(key) + "\n", true, true},
		{"its fingerprint", key, print(key) + "  lost on 2026-01-02\n", true, false},
		{"another's fingerprint", key, print(other) + "\n", false, false},
		{"certificate: the key", cert, line(key) + "\n", true, true},
		{"certificate: the authority", cert, line(ca) + "\n", true, true},
		{"certificate: the authority's fingerprint", cert, print(ca) + "\n", true, false},
		{"certificate: another key", cert, line(other) + "\n", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var trust Trust
			allowed := []byte("* " + line(key) + "\n* cert-authority " + line(ca) + "\n")
			if err := trust.AddAllowedSigners(allowed); err != nil {
				t.Fatal(err)
			}
			if err := trust.Revoke([]byte(c.list)); err != nil {
				t.Fatal(err)
			}
			armored := mustSign(t, message, c.signer)
			_, err := trust.Verify(message, armored, now)
			if c.revoked {
				wantReason(t, err, Revoked)
			} else if err != nil {
				t.Error(err)
			}
			if !c.keys {
				return
			}
			dir := t.TempDir()
			writeFile(t, dir, "allowed", allowed)
			writeFile(t, dir, "revoked", []byte(c.list))
			writeFile(t, dir, "sig", armored)
			out, accepted := run(t, dir, message, keygen, "-Y", "verify", "-f", "allowed", "-I", alice, "-n", Namespace, "-s", "sig", "-r", "revoked")
			if accepted == c.revoked {
				t.Errorf("ssh-keygen accepts: %v\n%s", accepted, out)
			}
		})
	}
}

// Of two signers, one revoked does not take away the other, and does not count.
func TestRevokeOneOfTwo(t *testing.T) {
	one, two := seedKey(t, 1), seedKey(t, 2)
	trust := trustIn(t, one, two)
	if err := trust.Revoke([]byte(publicKey(t, one, "").Fingerprint())); err != nil {
		t.Fatal(err)
	}
	both := []Candidate{{"a", mustSign(t, message, one)}, {"b", mustSign(t, message, two)}}
	accepted, err := trust.Require(1, message, both, now)
	if err != nil || len(accepted) != 1 || accepted[0].Name != "b" {
		t.Errorf("%+v, %v", accepted, err)
	}
	_, err = trust.Require(2, message, both, now)
	if refused := wantReason(t, err, TooFew); !strings.Contains(refused.Error(), "was revoked") {
		t.Errorf("%v", refused)
	}
}

func TestRevokeRefuses(t *testing.T) {
	for list, want := range map[string]string{
		"SSHKRL\n\x00\x00":             "binary list",
		"SHA256:abc":                   "line 1: \"SHA256:abc\" is no fingerprint",
		"\n\nMD5:00:11":                "line 3: neither a public key nor a fingerprint",
		"ssh-ed25519 AAAA":             "line 1",
		"* ssh-ed25519 AAAA":           "line 1",
		strings.Repeat("x", maxLine+1): "too long",
	} {
		var trust Trust
		if err := trust.Revoke([]byte(list)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", list, err, want)
		}
		if len(trust.revoked) > 0 {
			t.Errorf("%.30q: taken in part", list)
		}
	}
	large := make([]byte, maxRevoked+1)
	large[0] = '#'
	var trust Trust
	if err := trust.Revoke(large); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%d bytes of comment: %v", len(large), err)
	}
}

func FuzzRevoke(f *testing.F) {
	f.Add([]byte(weakDSA + "\nSHA256:" + strings.Repeat("A", 43) + " x\n# c\r\n"))
	f.Add([]byte("SHA256:\n"))
	f.Fuzz(func(t *testing.T, list []byte) {
		var trust Trust
		if trust.Revoke(list) != nil {
			return
		}
		for _, print := range trust.revoked {
			var again Trust
			if err := again.Revoke([]byte(print)); err != nil || len(again.revoked) != 1 || again.revoked[0] != print {
				t.Fatalf("%q is read again as %v (%v)", print, again.revoked, err)
			}
		}
	})
}

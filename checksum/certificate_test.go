package checksum

import (
	"cmp"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"bundle/testdata/judge"
)

// A certTest is a certificate for KEY by CA, an allowed_signers file, and what
// both mean for a signature by KEY with the certificate.
type certTest struct {
	name      string
	edit      func(*ssh.Certificate)
	forged    bool   // changed after CA signed it
	file      string // alice@example.org cert-authority CA if empty
	principal string // alice@example.org if empty
	want      Reason // 0: trusted
	what      string // part of the message
	laxer     bool   // ssh-keygen accepts what we refuse
}

func until(after, before time.Time) func(*ssh.Certificate) {
	return func(c *ssh.Certificate) {
		c.ValidAfter, c.ValidBefore = uint64(after.Unix()), uint64(before.Unix())
	}
}

func principals(names ...string) func(*ssh.Certificate) {
	return func(c *ssh.Certificate) { c.ValidPrincipals = names }
}

var certTests = []certTest{
	{name: "plain"},
	{name: "pattern", file: "*@example.org cert-authority CA"},
	{name: "namespace", file: `* cert-authority,namespaces="bundle" CA`},
	{name: "second line", file: "* cert-authority OTHER\n* cert-authority CA"},
	{name: "several principals", edit: principals("bob", alice)},
	{name: "extensions do not matter", edit: func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": "", "a@b": "c"} }},
	{name: "within its times", edit: until(now.Add(-time.Hour), now.Add(time.Hour))},
	{name: "from now on", edit: until(now, now.Add(time.Hour))},
	{name: "beside the key", file: "alice@example.org KEY\nalice@example.org cert-authority CA"},

	{name: "authority of somebody else", file: "* cert-authority OTHER", want: UnknownKey, what: "no cert-authority line lists"},
	{name: "authority is a plain key", file: "* CA", want: UnknownKey, what: "no cert-authority line lists"},
	{name: "the key is trusted, the authority is not", file: "* KEY", want: UnknownKey, what: "the key itself is trusted"},
	{name: "key as an authority", file: "* cert-authority KEY", want: UnknownKey, what: "no cert-authority line lists"},
	{name: "line for others", file: "*@example.com cert-authority CA", want: UnknownKey, what: `is for "alice@example.org"; allowed signers line 1 certifies "*@example.com"`},
	{name: "line excepts", file: "*,!alice@example.org cert-authority CA", want: UnknownKey, what: "is for"},
	{name: "certificate for others", edit: principals("bob"), file: "* cert-authority CA", want: UnknownKey, what: `is for "bob"`},
	{name: "certificate with a pattern", edit: principals("*"), file: "* cert-authority CA", want: UnknownKey, what: `is for "*"`},
	{name: "certificate for nobody", edit: principals(), file: "* cert-authority CA", want: UnknownKey, what: "is for nobody"},
	{name: "ended this second", edit: until(now.Add(-time.Hour), now), want: Expired, what: "certificate was valid until 2026-07-01T12:00:00Z"},
	{name: "begins next second", edit: until(now.Add(time.Second), now.Add(time.Hour)), want: NotYetValid, what: "certificate is valid from 2026-07-01T12:00:01Z"},
	{name: "never", edit: func(c *ssh.Certificate) { c.ValidAfter = 1<<64 - 1 }, want: NotYetValid, what: "9999"},
	{name: "before time began", edit: func(c *ssh.Certificate) { c.ValidBefore = 0 }, want: Expired, what: "1970"},
	{name: "line expired", file: `* cert-authority,valid-before="20260101Z" CA`, want: Expired, what: "line 1 permitted it until"},
	{name: "line not yet", file: `* cert-authority,valid-after="20270101Z" CA`, want: NotYetValid, what: "line 1 permits it from"},
	{name: "line for another namespace", file: `* cert-authority,namespaces="git" CA`, want: WrongNamespace, what: "line 1 permits namespaces"},
	{name: "host", edit: func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, want: Unsupported, what: "not that of a user"},
	{name: "critical option", edit: func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "true"} },
		want: Unsupported, what: `critical option "force-command"`, laxer: true},
	{name: "principal added", forged: true, edit: principals("bob", alice), want: BadSignature, what: "not signed by the authority it names"},
	{name: "time prolonged", forged: true, edit: until(now.Add(-time.Hour), now.Add(time.Hour)), want: BadSignature, what: "not signed by the authority it names"},
	{name: "serial changed", forged: true, edit: func(c *ssh.Certificate) { c.Serial = 9 }, want: BadSignature, what: "not signed by the authority it names"},
}

// make returns the certificate and the signature.
func (c certTest) make(t testing.TB) (*ssh.Certificate, []byte) {
	t.Helper()
	key, ca := seedKey(t, 1), seedKey(t, 3)
	edit := c.edit
	if c.forged {
		edit = nil
	}
	cert := certifyAs(t, key, ca, edit)
	if c.forged {
		c.edit(cert)
	}
	return cert, forge(t, show(key, cert), Namespace, nil)
}

func (c certTest) allowed(t testing.TB) []byte {
	return []byte(strings.NewReplacer(
		"KEY", publicKey(t, seedKey(t, 1), "").String(),
		"OTHER", publicKey(t, seedKey(t, 2), "").String(),
		"CA", publicKey(t, seedKey(t, 3), "ca").String(),
	).Replace(cmp.Or(c.file, "alice@example.org cert-authority CA")))
}

func TestCertificates(t *testing.T) {
	ca, key := publicKey(t, seedKey(t, 3), "").Fingerprint(), publicKey(t, seedKey(t, 1), "").Fingerprint()
	for _, test := range certTests {
		t.Run(test.name, func(t *testing.T) {
			_, armored := test.make(t)
			var trust Trust
			if err := trust.AddAllowedSigners(test.allowed(t)); err != nil {
				t.Fatal(err)
			}
			for _, wanted := range [][]string{nil, {"carol", cmp.Or(test.principal, alice)}} {
				trust.Principals = wanted
				got, err := trust.Verify(message, armored, now)
				if test.want != 0 {
					if wanted == nil && (test.name == "certificate for others" || test.name == "certificate with a pattern") {
						continue // somebody else, but nobody was asked for
					}
					if refused := wantReason(t, err, test.want); !strings.Contains(refused.Error(), test.what) || refused.Fingerprint != key {
						t.Errorf("got %q of key %s, want %q of %s", refused, refused.Fingerprint, test.what, key)
					}
					continue
				}
				want := Signer{Fingerprint: key, Type: "ssh-ed25519-cert-v01@openssh.com", Authority: ca, KeyID: "release", Principals: alice}
				if test.name == "several principals" && wanted == nil {
					want.Principals = alice // the line lists no other
				}
				if err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
			}
		})
	}
}

// The same table, judged by ssh-keygen.
func TestCertificatesAgree(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	dir := t.TempDir()
	for _, test := range certTests {
		t.Run(test.name, func(t *testing.T) {
			_, armored := test.make(t)
			writeFile(t, dir, "allowed", test.allowed(t))
			writeFile(t, dir, "sig", armored)
			out, accepted := run(t, dir, message, keygen, "-Y", "verify", "-f", "allowed", "-I", cmp.Or(test.principal, alice),
				"-n", Namespace, "-s", "sig", "-O", "verify-time="+now.Format("20060102150405Z"))
			if want := test.want == 0 || test.laxer; accepted != want {
				t.Errorf("ssh-keygen accepts: %v, expected %v\n%s\n%s", accepted, want, test.allowed(t), out)
			}
		})
	}
}

// Keys of every kind may be certified, and be authorities.
func TestCertificateKinds(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	for name, key := range signers(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			armored := mustSign(t, message, show(key, certify(t, key, seedKey(t, 3))))
			writeFile(t, dir, "sig", armored)
			allowed := []byte("* cert-authority " + publicKey(t, seedKey(t, 3), "").String() + "\n")
			writeFile(t, dir, "allowed", allowed)
			var trust Trust
			if err := trust.AddAllowedSigners(allowed); err != nil {
				t.Fatal(err)
			}
			if _, err := trust.Verify(message, armored, now); err != nil {
				t.Error(err)
			}
			if out, ok := run(t, dir, message, keygen, "-Y", "verify", "-f", "allowed", "-I", alice, "-n", Namespace, "-s", "sig"); !ok {
				t.Errorf("ssh-keygen does not accept: %s", out)
			}
			// The other way round: the key certifies.
			armored = mustSign(t, message, show(seedKey(t, 1), certify(t, seedKey(t, 1), key)))
			trust = Trust{}
			if err := trust.AddAllowedSigners([]byte("* cert-authority " + publicKey(t, key, "").String())); err != nil {
				t.Fatal(err)
			}
			if _, err := trust.Verify(message, armored, now); err != nil {
				t.Errorf("as authority: %v", err)
			}
		})
	}
}

func TestCertificatesRefused(t *testing.T) {
	weak := newSigner(t, weakRSAKey(t))
	rsa := rsaKey(t).(ssh.AlgorithmSigner)
	for name, test := range map[string]struct {
		cert   *ssh.Certificate
		key    ssh.Signer
		reason Reason
	}{
		"weak key":          {certify(t, weak, seedKey(t, 3)), weak, WeakKey},
		"weak authority":    {certify(t, seedKey(t, 1), weak), seedKey(t, 1), WeakKey},
		"authority's SHA-1": {certify(t, seedKey(t, 1), brokenSigner{rsa, ssh.KeyAlgoRSA, nil}), seedKey(t, 1), Unsupported},
		"SHA-1":             {certify(t, rsa, seedKey(t, 3)), brokenSigner{rsa, ssh.KeyAlgoRSA, nil}, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Sign(message, show(test.key, test.cert))
			wantReason(t, err, test.reason)
			trust := Trust{}
			list := "* cert-authority " + PublicKey{key: test.cert.SignatureKey}.String()
			if err := trust.AddAllowedSigners([]byte(list)); err != nil {
				t.Fatal(err)
			}
			_, err = trust.Verify(message, forge(t, show(test.key, test.cert), Namespace, nil), now)
			wantReason(t, err, test.reason)
		})
	}
}

// Certificates that ssh-keygen -s made, signed with by ssh-keygen, by a key
// file, and by an agent that holds the key, or the certificate alone.
func TestCertificateInterop(t *testing.T) {
	keygen, sshAdd := judge.Path(t, "ssh-keygen"), judge.Path(t, "ssh-add")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			dir, conn := startAgent(t)
			makeKey(t, dir, "key", kind)
			if kind == "rsa" { // another than the one of makeKey
				private, err := ssh.MarshalPrivateKey(rsaKeyOf(t, 2048), "")
				if err != nil {
					t.Fatal(err)
				}
				writeFile(t, dir, "ca", pem.EncodeToMemory(private))
				writeFile(t, dir, "ca.pub", ssh.MarshalAuthorizedKey(rsaKey(t).PublicKey()))
			} else {
				makeKey(t, dir, "ca", kind)
			}
			mustRun(t, dir, nil, keygen, "-q", "-s", "ca", "-I", "release 7", "-n", "alice,bob", "-V", "-1h:+1h", "key.pub")
			var trust Trust
			if err := trust.AddAllowedSigners([]byte("alice cert-authority " + string(readFile(t, filepath.Join(dir, "ca.pub"))))); err != nil {
				t.Fatal(err)
			}
			cert, err := ParseCertificate(readFile(t, filepath.Join(dir, "key-cert.pub")))
			if err != nil {
				t.Fatal(err)
			}
			key, err := ParsePrivateKey(readFile(t, filepath.Join(dir, "key")), nil)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Now()
			check := func(by string, armored []byte) {
				t.Helper()
				got, err := trust.Verify(message, armored, at)
				if err != nil || got.Fingerprint != cert.Key().Fingerprint() || got.Principals != "alice" || got.KeyID != "release 7" {
					t.Errorf("%s: got %+v, %v", by, got, err)
				}
			}
			check("ssh-keygen", []byte(mustRun(t, dir, message, keygen, "-q", "-Y", "sign", "-n", Namespace, "-f", "key-cert.pub")))
			certified, err := cert.Certify(key, at)
			if err != nil {
				t.Fatal(err)
			}
			check("key file", mustSign(t, message, certified))

			mustRun(t, dir, nil, sshAdd, "-q", "key") // with key-cert.pub
			held, err := AgentSigner(conn, cert.Key())
			if err != nil {
				t.Fatal(err)
			}
			if certified, err = cert.Certify(held, at); err != nil {
				t.Fatal(err)
			}
			check("agent", mustSign(t, message, certified))
			// An agent may hold a key under its certificate alone.
			if err := os.Remove(filepath.Join(dir, "key-cert.pub")); err != nil {
				t.Fatal(err)
			}
			mustRun(t, dir, nil, sshAdd, "-q", "-d", "key")
			if held, err = AgentSigner(conn, cert.Key()); err != nil {
				t.Fatal(err)
			}
			if certified, err = cert.Certify(held, at); err != nil {
				t.Fatal(err)
			}
			check("agent, certificate only", mustSign(t, message, certified))
			if out, ok := sshVerify(t, message, mustSign(t, message, held), cert.Key()); !ok {
				t.Errorf("plain signature of the certified key: %s", out)
			}
		})
	}
}

func TestParseCertificate(t *testing.T) {
	cert := certify(t, seedKey(t, 1), seedKey(t, 2))
	line := string(ssh.MarshalAuthorizedKey(cert))
	got, err := ParseCertificate([]byte("# made by the authority\n" + line))
	if err != nil || got.Key().Fingerprint() != publicKey(t, seedKey(t, 1), "").Fingerprint() {
		t.Fatalf("got %v, %v", got, err)
	}
	host := certifyAs(t, seedKey(t, 1), seedKey(t, 2), func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
	for name, test := range map[string]struct{ in, what string }{
		"nothing": {"", "no public key"},
		"a key":   {publicKey(t, seedKey(t, 1), "").String(), "not a certificate"},
		"host":    {string(ssh.MarshalAuthorizedKey(host)), "not that of a user"},
		"two":     {line + line, "a second"},
		"cut off": {line[:len(line)/2], "not a public key"},
	} {
		if _, err := ParseCertificate([]byte(test.in)); err == nil || !strings.Contains(err.Error(), test.what) {
			t.Errorf("%s: got %v, want %q", name, err, test.what)
		}
	}
	if _, err := got.Certify(seedKey(t, 2), now); err == nil {
		t.Error("certifies another key")
	}
	expired := Certificate{certifyAs(t, seedKey(t, 1), seedKey(t, 2), until(now.Add(-2*time.Hour), now.Add(-time.Hour)))}
	_, err = expired.Certify(seedKey(t, 1), now)
	wantReason(t, err, Expired)
	// A .pub file to be trusted is no place for it.
	_, err = ParsePublicKey([]byte(line))
	if refused := wantReason(t, err, Unsupported); !strings.Contains(refused.Error(), "cert-authority") {
		t.Errorf("got %q, which does not say what to do", refused)
	}
}

func FuzzParseCertificate(f *testing.F) {
	for _, test := range certTests {
		cert, _ := test.make(f)
		f.Add(ssh.MarshalAuthorizedKey(cert))
	}
	f.Add(ssh.MarshalAuthorizedKey(certify(f, rsaKey(f), ecdsaSecurityKey(f))))
	f.Add([]byte(publicKey(f, seedKey(f, 1), "x").String()))
	line := AllowedSigner{Line: 1, Principals: "*", CertAuthority: true}
	f.Fuzz(func(t *testing.T, b []byte) {
		cert, err := ParseCertificate(b)
		if err != nil {
			return
		}
		// Whatever is accepted writes back to itself, or to what is refused.
		again, err := ParseCertificate(ssh.MarshalAuthorizedKey(cert.cert))
		if err == nil && fmt.Sprint(again.cert.Marshal()) != fmt.Sprint(cert.cert.Marshal()) {
			t.Fatal("reads back as another certificate")
		}
		if who, err := line.certifies(cert.cert, nil, now); err == nil && who == "" {
			t.Fatal("certifies nobody")
		}
	})
}

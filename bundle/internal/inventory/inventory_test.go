package inventory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/ssh"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
)

var update = flag.Bool("update", false, "write files of a new version; those of old ones stay")

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func example() *Inventory {
	return &Inventory{
		Tool:     "bundle test",
		Created:  created,
		Registry: "registry.plant.local:5000/apps",
		Blobs: []Blob{
			{digest.FromString("one"), 3, []string{"acme/app"}},
			{digest.FromString("three"), 5, []string{"acme/app", "library/busybox"}},
			{digest.FromString("empty"), 0, nil},
		},
	}
}

// signer is a key that is always the same.
func signer(t testing.TB, seed byte) (*trust.Signer, []byte) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &trust.Signer{Key: s}, ssh.MarshalAuthorizedKey(s.PublicKey())
}

func trusting(t testing.TB, pub []byte) *trust.Trust {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(file, pub, 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := trust.LoadTrust(t.Context(), []string{file}, "")
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// The files of version 1 are read for ever, and written the same.
func TestGolden(t *testing.T) {
	key, pub := signer(t, 1)
	for name, inv := range map[string]*Inventory{"v1.inventory": example(), "v1-digests.inventory": example().WithoutNames()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := inv.Write(path, key); err != nil {
				t.Fatal(err)
			}
		}
		got, vouched, err := Read(t.Context(), path, trusting(t, pub))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := inv.encode()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, inv) || len(vouched.Signers) != 1 || vouched.Signers[0].Fingerprint != key.Fingerprint() {
			t.Errorf("%s: read %+v by %+v, want %+v", name, got, vouched, inv)
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, doc) || !Is(kept[:64]) {
			t.Errorf("%s: would be written otherwise today (%v):\n%s", name, err, doc)
		}
	}
}

// With digests only, nothing says what the site is called or runs.
func TestWithoutNames(t *testing.T) {
	doc, err := example().WithoutNames().encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plant", "apps", "acme", "busybox", "registry", "repositories"} {
		if bytes.Contains(doc, []byte(name)) {
			t.Errorf("%q stands in\n%s", name, doc)
		}
	}
	inv, err := parse(doc)
	if err != nil || len(inv.Blobs) != 3 || inv.Size() != 8 {
		t.Errorf("read %+v, %v", inv, err)
	}
}

// refused are documents that no reader takes, each wrong in one place.
func refused() map[string]string {
	one, two := digest.FromString("one"), digest.FromString("three")
	if two < one {
		one, two = two, one
	}
	doc := func(version, head, blobs string) string {
		return fmt.Sprintf(`{"inventoryVersion":%s,"tool":"t","created":"2026-01-02T03:04:05Z"%s,"blobs":[%s]}`, version, head, blobs)
	}
	blob := func(d digest.Digest, rest string) string { return fmt.Sprintf(`{"digest":%q%s}`, d, rest) }
	const named = `,"registry":"r.local/apps"`
	return map[string]string{
		"this is no inventory":               `{"blobs":[]}`,
		"not JSON: ":                         doc("1", "", "")[:40],
		"after top-level":                    doc("1", "", "") + "{}",
		"inventory of version 2":             doc("2", "", ""),
		"inventory of version 1000":          doc("1000", "", ""),
		`JSON key "Tool" twice`:              doc("1", `,"Tool":"u"`, ""),
		"deeper than 8":                      doc("1", `,"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9), ""),
		"does not say when":                  `{"inventoryVersion":1,"tool":"t","blobs":[]}`,
		"program is too long":                strings.Replace(doc("1", "", ""), `"t"`, `"`+strings.Repeat("t", 300)+`"`, 1),
		"is no name of one":                  doc("1", `,"registry":"r.local/../x"`, ""),
		"registry \"\ufffd[2Jr.local\"":      doc("1", `,"registry":"\u001b[2Jr.local"`, ""),
		"there twice":                        doc("1", "", blob(one, `,"size":1`)+","+blob(one, `,"size":1`)),
		"wrong order":                        doc("1", "", blob(two, `,"size":1`)+","+blob(one, `,"size":1`)),
		"no digest":                          doc("1", "", blob("sha256:12", `,"size":1`)),
		"size -1 is none":                    doc("1", "", blob(one, `,"size":-1`)),
		"size 1099511627777 is none":         doc("1", "", blob(one, `,"size":1099511627777`)),
		"cannot unmarshal number 1e400":      doc("1", "", blob(one, `,"size":1e400`)),
		"and the inventory no registry":      doc("1", "", blob(one, `,"size":1,"repositories":["acme/app"]`)),
		`repository "../records" is no name`: doc("1", named, blob(one, `,"size":1,"repositories":["../records"]`)),
		`repository "app:1" is no name`:      doc("1", named, blob(one, `,"size":1,"repositories":["app:1"]`)),
		`repository "" is no name`:           doc("1", named, blob(one, `,"size":1,"repositories":[""]`)),
		"17 repositories are more":           doc("1", named, blob(one, `,"size":1,"repositories":["a"`+strings.Repeat(`,"a"`, 16)+`]`)),
	}
}

func TestParseRefuses(t *testing.T) {
	for want, doc := range refused() {
		if inv, err := parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.120s…\nis read as %+v (%v), want %q", doc, inv, err, want)
		}
	}
	long := example()
	long.Blobs = nil
	for i := range MaxBlobs + 1 {
		long.Blobs = append(long.Blobs, Blob{Digest: digest.NewDigestFromEncoded(digest.SHA256, fmt.Sprintf("%064x", i))})
	}
	if _, err := long.encode(); err == nil || !strings.Contains(err.Error(), "500001 blobs are more than") {
		t.Errorf("a document without bound is written: %v", err)
	}
}

// What is shown to people holds nothing that a terminal obeys; keys of later
// programs are left out of account.
func TestTexts(t *testing.T) {
	inv, err := parse([]byte(`{"inventoryVersion":1,"tool":"\u001b[2J","created":"2026-01-02T03:04:05Z","later":{"a":[1]},"blobs":[]}`))
	if err != nil || inv.Tool != "\ufffd[2J" {
		t.Errorf("read %+v, %v", inv, err)
	}
}

// A file says by its beginning that it is meant to be an inventory.
func TestIs(t *testing.T) {
	for begin, want := range map[string]bool{
		"{\n  \"inventoryVersion\": 1,": true, `{"inventoryVersion":7`: true, " \n{ \"inventoryVersion\"": true,
		"": false, "{": false, `{"importVersion":1`: false, `["inventoryVersion"`: false, "oci-layout": false,
	} {
		if got := Is([]byte(begin)); got != want {
			t.Errorf("%q: %v", begin, got)
		}
	}
}

// A signature holds for one file, one purpose and one signer.
func TestReadSigned(t *testing.T) {
	key, pub := signer(t, 1)
	_, otherPub := signer(t, 2)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, s *trust.Signer) {
		if err := example().Write(at(name), s); err != nil {
			t.Fatal(err)
		}
	}
	write("good", key)
	write("bare", key)
	write("bare", nil) // the signature of before goes
	write("changed", key)
	doc, err := os.ReadFile(at("changed"))
	if err != nil {
		t.Fatal(err)
	}
	doc = bytes.Replace(doc, []byte(`"size":3`), []byte(`"size":4`), 1)
	bundles, err := checksum.Sign(doc, key.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"changed": doc, "bundles": doc, "bundles.sig": bundles, "garbled": doc, "garbled.sig": []byte("x")} {
		if err := os.WriteFile(at(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		trust  *trust.Trust
		reason checksum.Reason
		ok     bool
	}{
		{"good", nil, 0, true},
		{"good", trusting(t, pub), 0, true},
		{"good", trusting(t, otherPub), checksum.UnknownKey, false},
		{"bare", nil, 0, true},
		{"bare", trusting(t, pub), checksum.Unsigned, false},
		{"bare", trust.TrustAnyone(), 0, true},
		{"changed", nil, checksum.BadSignature, false},
		{"changed", trusting(t, pub), checksum.BadSignature, false},
		{"bundles", nil, checksum.WrongNamespace, false},
		{"bundles", trusting(t, pub), checksum.WrongNamespace, false},
		{"garbled", nil, checksum.Malformed, false},
	} {
		inv, v, err := Read(t.Context(), at(c.name), c.trust)
		var why *checksum.TrustError
		switch {
		case c.ok && (err != nil || inv.Size() != 8):
			t.Errorf("%s: %+v, %v", c.name, inv, err)
		case !c.ok && (!errors.As(err, &why) || why.Reason != c.reason || fault.KindOf(err) != fault.Untrusted || fault.Hint(err) == ""):
			t.Errorf("%s: %v (%q), want %s", c.name, err, fault.Hint(err), c.reason)
		case c.ok && c.trust == nil && !v.SignatureSkipped:
			t.Errorf("%s: nobody was trusted, and the report says so not: %+v", c.name, v)
		}
	}
	if _, _, err := Read(t.Context(), at("none"), nil); fault.KindOf(err) != fault.Usage {
		t.Errorf("no file: %v", err)
	}
}

// ssh-keygen checks what is written, as SPEC.md says.
func TestByHand(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	key, pub := signer(t, 1)
	dir := t.TempDir()
	if err := example().Write(filepath.Join(dir, "site"), key); err != nil {
		t.Fatal(err)
	}
	line := append([]byte(`inside namespaces="bundle-inventory" `), pub...)
	if err := os.WriteFile(filepath.Join(dir, "allowed_signers"), line, 0o600); err != nil {
		t.Fatal(err)
	}
	doc, err := os.Open(filepath.Join(dir, "site"))
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Close()
	cmd := exec.Command(keygen, "-Y", "verify", "-f", "allowed_signers", "-I", "inside", "-n", "bundle-inventory", "-s", "site.sig")
	cmd.Dir, cmd.Stdin = dir, doc
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	signers, err := trust.LoadTrust(t.Context(), nil, filepath.Join(dir, "allowed_signers"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(t.Context(), filepath.Join(dir, "site"), signers); err != nil {
		t.Errorf("allowed for inventories alone: %v", err)
	}
}

// What is read can be written, and reads the same.
func FuzzParse(f *testing.F) {
	for _, inv := range []*Inventory{example(), example().WithoutNames()} {
		doc, err := inv.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	for _, doc := range refused() {
		if len(doc) < 10_000 {
			f.Add([]byte(doc))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		inv, err := parse(doc)
		if err != nil {
			return
		}
		again, err := inv.encode()
		if err != nil {
			t.Fatalf("%+v is read, and not written: %v", inv, err)
		}
		same, err := parse(again)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(same, inv) {
			t.Errorf("read %+v, then %+v", inv, same)
		}
	})
}

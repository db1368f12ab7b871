package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/layout"
	"bundle/testdata/hostile"
	"bundle/testdata/regtest"
)

func readReceipt(t *testing.T, path string) *emit.Receipt {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(regtest.ReadFile(t, path)))
	dec.DisallowUnknownFields()
	r := new(emit.Receipt)
	if err := dec.Decode(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// checkReceiptSignature requires that path.sig is by s, for receipts and for
// nothing else.
func checkReceiptSignature(t *testing.T, path string, s *trust.Signer) {
	t.Helper()
	sig, err := sshsig.Unarmor([]byte(regtest.ReadFile(t, path+".sig")))
	if err != nil {
		t.Fatal(err)
	}
	content := strings.NewReader(regtest.ReadFile(t, path))
	if err := sshsig.Verify(content, sig, s.Key.PublicKey(), sshsig.HashSHA512, "bundle-receipt"); err != nil {
		t.Error(err)
	}
	_, err = checksum.Identify([]byte(regtest.ReadFile(t, path)), []byte(regtest.ReadFile(t, path+".sig")))
	var found *checksum.TrustError
	if !errors.As(err, &found) || found.Reason != checksum.WrongNamespace {
		t.Errorf("error %v, want reason %s", err, checksum.WrongNamespace)
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	path := goodBundle(t)
	priv := startRegistry(t)
	signer, _ := keyPair(t, "inside")
	dir := t.TempDir()
	o := onto(priv, trustOf(t))
	o.OutputDir = filepath.Join(dir, "out")
	o.Receipt = emit.ReceiptOptions{Path: filepath.Join(dir, "receipt.json"), Signer: signer, Tool: "bundle test"}
	before := time.Now().Truncate(time.Second)
	report := mustImport(t, path, o)
	if report.Receipt != o.Receipt.Path {
		t.Errorf("report says receipt %q", report.Receipt)
	}
	r := readReceipt(t, o.Receipt.Path)
	checkReceiptSignature(t, o.Receipt.Path, signer)

	b := mustOpen(t, path, trust.TrustAnyone())
	sums, err := b.Reader.ReadFile(layout.SumsFile, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want := emit.ReceiptBundle{
		Path: path, Size: st.Size(), ID: "0123456789abcdef", Created: b.Record.Created, Tool: "hostile",
		Sums: digest.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(sums))),
	}
	if r.Bundle != want {
		t.Errorf("bundle %+v, want %+v", r.Bundle, want)
	}
	if r.Version != 1 || r.Tool != "bundle test" || !r.Complete || r.Registry != priv.Host()+"/apps" || r.Verified.Before(before) || r.Finished.Before(r.Verified) {
		t.Errorf("receipt %+v", r)
	}
	if len(r.Signers) != 1 || r.Signers[0].Fingerprint != checksum.Fingerprint(hostile.Signer()) {
		t.Errorf("signers %+v", r.Signers)
	}
	if len(r.Images) != 1 || len(r.Images)+len(r.Charts) != len(report.Images) {
		t.Fatalf("images %+v", r.Images)
	}
	for _, im := range r.Images {
		_, name, _ := strings.Cut(im.Target, "/")
		holds(t, priv, name, im.Digest)
		if im.State != "pushed" {
			t.Errorf("%s: %s", im.Target, im.State)
		}
	}
	checkReceiptCharts(t, r, b, o.OutputDir)

	// The next import finds everything there; and nobody signs.
	o.Receipt.Signer = nil
	mustImport(t, path, o)
	if again := readReceipt(t, o.Receipt.Path); again.Images[0].State != "present" || again.Charts[0].State != "present" {
		t.Errorf("images %+v", again.Images)
	}
	if _, err := os.Stat(o.Receipt.Path + ".sig"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the signature of an earlier receipt is still there: %v", err)
	}
}

func checkReceiptCharts(t *testing.T, r *emit.Receipt, b *open.Bundle, out string) {
	t.Helper()
	if len(r.Charts) != 1 || len(r.Charts[0].Files) != 1 {
		t.Fatalf("charts %+v", r.Charts)
	}
	ch, err := carried.Chart(b, b.Record.Charts[0])
	if err != nil {
		t.Fatal(err)
	}
	c, f := r.Charts[0], r.Charts[0].Files[0]
	if c.Name != "app" || c.Version != "1.0.0" || c.State != "pushed" || c.Digest != b.Record.Charts[0].Digest || c.Archive != digest.FromBytes(ch.Archive()) || len(c.Left) != 0 {
		t.Errorf("chart %+v", c)
	}
	if f.Path != filepath.Join(out, "app", "values.yaml") || f.Digest != digest.FromString(regtest.ReadFile(t, f.Path)) {
		t.Errorf("file %+v", f)
	}
}

// hardcoded is a chart with a reference that no value moves.
const hardcoded = `
-- Chart.yaml --
apiVersion: v2
name: app
version: 1.0.0
-- templates/pod.yaml --
apiVersion: v1
kind: Pod
metadata:
  name: app
spec:
  containers: [{name: app, image: ghcr.io/acme/app:1}]
`

// An import that leaves something to the user gives a receipt that says so.
func TestReceiptIncomplete(t *testing.T) {
	pub, priv := startRegistry(t), startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	signer, trust := newKey(t)
	path := mustExport(t, ExportOptions{Charts: []source.ChartSpec{{Ref: regtest.Folder(t, hardcoded)}}, Signer: signer, Registry: through(pub)}).Output
	o := onto(priv, trust)
	o.OutputDir = t.TempDir()
	o.Receipt = emit.ReceiptOptions{Path: filepath.Join(t.TempDir(), "receipt.json"), Signer: signer}
	_, err := Import(context.Background(), path, o)
	wantError(t, err, fault.Incomplete, "ghcr.io/acme/app:1")
	r := readReceipt(t, o.Receipt.Path)
	checkReceiptSignature(t, o.Receipt.Path, signer)
	if r.Complete || len(r.Charts) != 1 || len(r.Charts[0].Left) != 1 || r.Charts[0].Left[0].Reference != "ghcr.io/acme/app:1" || len(r.Images) != 1 {
		t.Errorf("receipt %+v", r)
	}
}

// That the signature was not checked stands in the receipt.
func TestReceiptSkipped(t *testing.T) {
	o := onto(startRegistry(t), trust.TrustAnyone())
	o.Receipt.Path = filepath.Join(t.TempDir(), "receipt.json")
	mustImport(t, goodBundle(t), o)
	if r := readReceipt(t, o.Receipt.Path); !r.SignatureSkipped || len(r.Signers) != 0 {
		t.Errorf("receipt %+v", r.Vouched)
	}
	if !strings.Contains(regtest.ReadFile(t, o.Receipt.Path), `"signatureSkipped": true`) {
		t.Error("a reader of the file does not see it")
	}
}

// A receipt that cannot be written is found out before anything is pushed, and
// an import that fails leaves the one of before.
func TestReceiptRefused(t *testing.T) {
	path := goodBundle(t)
	priv := startRegistry(t)
	dir := t.TempDir()
	try := func(receipt string, dry bool) error {
		o := onto(priv, trustOf(t))
		o.OutputDir, o.DryRun, o.Receipt.Path = filepath.Join(dir, "out"), dry, receipt
		_, err := Import(context.Background(), path, o)
		return err
	}
	wantError(t, try(filepath.Join(dir, "nowhere", "receipt.json"), false), fault.Usage, "nowhere")
	wantError(t, try(dir, false), fault.Usage, "not a regular file")
	whole := regtest.ReadFile(t, path)
	wantError(t, try(path, false), fault.Usage, "is the bundle itself")
	if regtest.ReadFile(t, path) != whole {
		t.Error("the bundle was changed")
	}
	wantError(t, try(filepath.Join(dir, "receipt.json"), true), fault.Usage, "dry run")
	if w := writes(priv); len(w) != 0 {
		t.Errorf("written: %v", w)
	}
	regtest.WantFiles(t, dir)

	old := filepath.Join(dir, "receipt.json")
	if err := os.WriteFile(old, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	priv.Inject(regtest.Fault{Method: "PUT", Class: regtest.Manifest, Do: regtest.Status(403)})
	wantError(t, try(old, false), fault.Refused)
	regtest.WantFiles(t, dir, "receipt.json")
	if regtest.ReadFile(t, old) != "old" {
		t.Error("a failed import wrote a receipt")
	}
}

// The form of receipts is a promise: what is written today is read later.
func TestReceiptForm(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &emit.Receipt{
		Version: 1, Tool: "bundle 1", Verified: at, Finished: at.Add(time.Minute),
		Vouched: trust.Vouched{Signers: []trust.Voucher{{
			Fingerprint: "SHA256:x", KeyType: "ssh-ed25519", Principals: "alice", Comment: "c", Authority: "SHA256:y", KeyID: "7", Signature: "SHA256SUMS.sig",
		}}},
		Bundle:   emit.ReceiptBundle{Path: "a.tar", Size: 9, ID: "0123456789abcdef", Created: at, Tool: "bundle 0", Sums: "sha256:00"},
		Registry: "r:5000/apps",
		Images:   []emit.ReceiptImage{{Source: "ghcr.io/a:1", Target: "r:5000/apps/a:1", Digest: "sha256:01", State: "pushed", Replaces: "sha256:04", Size: 7, Platforms: []string{"linux/amd64"}}},
		Charts:   []emit.ReceiptChart{{Name: "a", Version: "1", Target: "oci://r:5000/apps/charts/a", Digest: "sha256:05", State: "present", Archive: "sha256:02", Left: []emit.ReceiptLeft{}, Files: []emit.ReceiptFile{{Path: "out/a/values.yaml", Digest: "sha256:03"}}}},
		Layers:   []emit.ReceiptLayer{{Digest: "sha256:06", Size: 5, Repositories: []string{"ghcr.io/a"}}},
		Complete: true,
	}
	const want = `{"schemaVersion":1,"tool":"bundle 1","verified":"2026-01-02T03:04:05Z","finished":"2026-01-02T03:05:05Z",` +
		`"signers":[{"fingerprint":"SHA256:x","keyType":"ssh-ed25519","principals":"alice","comment":"c","authority":"SHA256:y","keyID":"7","signature":"SHA256SUMS.sig"}],` +
		`"bundle":{"path":"a.tar","size":9,"id":"0123456789abcdef","created":"2026-01-02T03:04:05Z","tool":"bundle 0","sums":"sha256:00"},` +
		`"registry":"r:5000/apps","images":[{"reference":"ghcr.io/a:1","target":"r:5000/apps/a:1","digest":"sha256:01","state":"pushed","previous":"sha256:04","size":7,"platforms":["linux/amd64"]}],` +
		`"charts":[{"name":"a","version":"1","target":"oci://r:5000/apps/charts/a","digest":"sha256:05","state":"present","archive":"sha256:02","files":[{"path":"out/a/values.yaml","digest":"sha256:03"}],"left":[]}],` +
		`"layers":[{"digest":"sha256:06","size":5,"repositories":["ghcr.io/a"]}],"complete":true}`
	path := filepath.Join(t.TempDir(), "receipt.json")
	if err := emit.WriteReceipt(emit.ReceiptOptions{Path: path}, r); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Compact(&got, []byte(regtest.ReadFile(t, path))); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if again := readReceipt(t, path); !reflect.DeepEqual(again, r) {
		t.Errorf("reads back as %+v", again)
	}
}

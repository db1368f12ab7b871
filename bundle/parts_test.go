package bundle

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// partSize cuts the bundle of inParts into five, with a layer that is cut.
const partSize = 100_000

// A common is what all tests of parts begin with: nobody changes what is there, or has
// faults in its registry.
type common struct {
	pub   *regtest.Registry
	eo    ExportOptions // of one file
	trust *trust.Trust
	whole []byte // that file
}

// inCommon makes it once.
var inCommon = sync.OnceValues(func() (c common, err error) {
	if c.pub, err = regtest.Start(regtest.Options{}); err != nil { // ends with the process
		return c, err
	}
	c.eo = ExportOptions{Registry: through(c.pub), Created: time.Unix(1700000000, 0)}
	for i, size := range []int64{60_000, 30_000, 180_000, 40_000, 50_000} {
		ref := "acme/app" + string(rune('a'+i)) + ":1"
		im := regtest.Image{Layers: []regtest.Layer{{Size: 5000, Seed: 1}, {Size: size, Seed: int64(10 + i)}}}
		if _, err := c.pub.PushImage(context.Background(), ref, im); err != nil {
			return c, err
		}
		c.eo.Images = append(c.eo.Images, "docker.io/"+ref)
	}
	dir, err := os.MkdirTemp("", "parts")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	if c.eo.Signer, c.trust, err = keyIn(dir); err != nil {
		return c, err
	}
	c.eo.Output = filepath.Join(dir, "app.bundle.tar")
	if _, err := Export(context.Background(), c.eo); err != nil {
		return c, err
	}
	c.whole, err = os.ReadFile(c.eo.Output)
	return c, err
})

// inParts exports images of many sizes, one with a layer larger than a part, in parts;
// whole is what they are as one file.
func inParts(t *testing.T, o SetOptions) (pub *regtest.Registry, whole string, eo ExportOptions, set *reports.Export, tr *trust.Trust) {
	t.Helper()
	c, err := inCommon()
	if err != nil {
		t.Fatal(err)
	}
	whole = filepath.Join(t.TempDir(), "app.bundle.tar")
	if err := os.WriteFile(whole, c.whole, 0o644); err != nil {
		t.Fatal(err)
	}
	eo = c.eo
	eo.Images = slices.Clone(eo.Images)
	o.Size = PartSize{Bytes: partSize}
	eo.Set, eo.Output = &o, "app.bundle.tar"
	set = mustExport(t, eo)
	return c.pub, whole, eo, set, c.trust
}

// joined is what cat makes of parts.
func joined(t *testing.T, parts []media.Written) string {
	t.Helper()
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(regtest.ReadFile(t, p.Path))
	}
	return b.String()
}

// Parts are slices: joined, they are the bundle, whatever number of folders they
// went to.
func TestExportParts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		var o SetOptions
		for range n {
			o.Folders = append(o.Folders, t.TempDir())
		}
		_, whole, _, set, tr := inParts(t, o)
		if len(set.Parts) != set.Count || set.Count < 4 {
			t.Fatalf("%d of %d parts: %+v", len(set.Parts), set.Count, set.Parts)
		}
		if joined(t, set.Parts) != regtest.ReadFile(t, whole) {
			t.Error("the parts joined are not the bundle")
		}
		r, err := Verify(context.Background(), o.Folders[0], tr, nil, o.Folders[1:]...)
		if err != nil || r.Parts.Count != set.Count || len(r.Parts.Problems) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// mediumEach puts every part on a medium of its own, with what is beside it.
func mediumEach(t *testing.T, set *reports.Export) (folders []string) {
	t.Helper()
	for _, p := range set.Parts {
		dir := t.TempDir()
		for _, name := range []string{filepath.Base(p.Path), "app.bundle.tar.head", "app.bundle.tar.set.json"} {
			b := regtest.ReadFile(t, filepath.Dir(p.Path), name)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o444); err != nil {
				t.Fatal(err)
			}
		}
		folders = append(folders, dir)
	}
	return folders
}

// One medium at a time, in any order, ends with what an import of one file leaves
// in the registry; until then nothing is visible. A layer that is cut needs its
// media together.
func TestImportMediumByMedium(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, whole, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	folders := mediumEach(t, set)
	for range 3 {
		priv := startRegistry(t)
		o := onto(priv, tr)
		o.OutputDir = t.TempDir()
		order := rand.Perm(len(folders))
		var missing *reports.MissingError
		for n, i := range order {
			r, err := Import(context.Background(), folders[i], o)
			if !errors.As(err, &missing) || fault.KindOf(err) != fault.NeedsMore {
				if n == len(order)-1 && err == nil {
					break
				}
				t.Fatalf("medium %d, as number %d: %+v, %v", i+1, n+1, r, err)
			}
			if len(missing.Images) == 0 || missing.Bytes == 0 || slices.Contains(missing.Parts, i+1) && len(missing.Cut) == 0 {
				t.Errorf("with part %d: %+v", i+1, missing)
			}
			for _, ref := range []string{"appa", "appb", "appc", "appd", "appe"} {
				lacks(t, priv, "apps/acme/"+ref+":1")
			}
		}
		// What is left is the layer that is cut.
		if len(missing.Images) != 1 || !strings.Contains(missing.Images[0], "appc") {
			t.Errorf("after all media: %+v", missing)
		}
		r, err := Import(context.Background(), folders[0], func() ImportOptions { o.More = folders[1:]; return o }())
		if err != nil {
			t.Fatal(err)
		}
		if r.Bytes.Sent > 200_000 {
			t.Errorf("sent %d bytes again", r.Bytes.Sent)
		}
		sameContent(t, priv, whole, tr)
	}
}

// sameContent requires that a registry has what an import of one file pushes.
func sameContent(t *testing.T, priv *regtest.Registry, whole string, tr *trust.Trust) {
	t.Helper()
	b, err := open.File(context.Background(), whole, tr)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, im := range b.Record.Images {
		_, name, _ := strings.Cut(im.Reference, "/")
		holds(t, priv, "apps/"+name, im.Digest)
	}
}

// What is damaged or missing is named with its part and images, and the rest goes
// on.
func TestPartsDamaged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		harm func(t *testing.T, path string)
		want string
		kind fault.Kind
	}{
		"flipped bit": {func(t *testing.T, path string) {
			flipBit(t, path, 30_000)
		}, "app.bundle.tar.002", fault.Damaged},
		"cut short": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 20_000); err != nil {
				t.Fatal(err)
			}
		}, "part 2 of", fault.NeedsMore},
		"gone": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "part 2 of", fault.NeedsMore},
		"empty": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, "part 2 of", fault.NeedsMore},
		"header": {func(t *testing.T, path string) {
			flipBit(t, path, 3)
		}, "app.bundle.tar.002", fault.Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, _, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
			tc.harm(t, set.Parts[1].Path)
			_, err := Verify(context.Background(), dir, tr, nil)
			if err == nil || fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("verify: kind %v: %v", fault.KindOf(err), err)
			}
			if name != "header" && !strings.Contains(err.Error(), "acme/app") {
				t.Errorf("no image is named: %v", err)
			}
			priv := startRegistry(t)
			o := onto(priv, tr)
			o.OutputDir = t.TempDir()
			_, err = Import(context.Background(), dir, o)
			if name == "header" { // all blobs are right
				if err != nil {
					t.Errorf("import: %v", err)
				}
				return
			}
			if err == nil || fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("import: kind %v: %v", fault.KindOf(err), err)
			}
			lacks(t, priv, "apps/acme/appa:1")
			if n := priv.Log.Count("PUT", regtest.Upload); n == 0 {
				t.Error("what is whole was not pushed")
			}
		})
	}
}

// Parts are known by what they hold, and not by their names.
func TestPartsRenamed(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	_, _, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	for i, p := range set.Parts {
		if len(p.Path) == 0 || i == 2 {
			continue // the inside of a blob is known by its name alone
		}
		if err := os.Rename(p.Path, filepath.Join(other, "copy-"+string(rune('z'-i)))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Verify(context.Background(), dir, tr, nil, other); err != nil {
		t.Error(err)
	}
}

// Of two sets side by side, the one is read of which a file is named.
func TestTwoSets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, whole, _, _, tr := inParts(t, SetOptions{Folders: []string{dir}})
	pub := startRegistry(t)
	pushImage(t, pub, "acme/other:1", small(7))
	signer, _ := newKey(t)
	mustExport(t, ExportOptions{Registry: through(pub), Images: []string{"docker.io/acme/other:1"}, Signer: signer,
		Output: "other.bundle.tar", Set: &SetOptions{Folders: []string{dir}, Size: PartSize{Bytes: 14_000}}})
	var usage *UsageError
	if _, err := Verify(context.Background(), dir, tr, nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), "other.bundle.tar") {
		t.Errorf("two sets: %v", err)
	}
	r, err := Verify(context.Background(), filepath.Join(dir, "app.bundle.tar.002"), tr, nil)
	if err != nil || len(r.Parts.Missing) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Verify(context.Background(), whole, tr, nil, filepath.Join(dir, "other.bundle.tar.001")); !errors.As(err, &usage) {
		t.Errorf("two bundles: %v", err)
	}
}

// One part twice: the list of checksums tells which is right; without it, both are
// named.
func TestPartTwice(t *testing.T) {
	t.Parallel()
	dir, copies := t.TempDir(), t.TempDir()
	_, _, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	bad := filepath.Join(copies, "app.bundle.tar.002")
	b := []byte(regtest.ReadFile(t, set.Parts[1].Path))
	if err := os.WriteFile(bad, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(context.Background(), dir, tr, nil, copies); err != nil {
		t.Errorf("the same twice: %v", err)
	}
	flipBit(t, bad, 30_000)
	r, err := Verify(context.Background(), copies, tr, nil, dir)
	if err != nil || len(r.Parts.Problems) != 1 || !strings.Contains(r.Parts.Problems[0], bad) {
		t.Errorf("with a list: %+v, %v", r, err)
	}
	if err := os.Remove(filepath.Join(dir, "app.bundle.tar.sha256")); err != nil {
		t.Fatal(err)
	}
	_, err = Verify(context.Background(), copies, tr, nil, dir)
	if fault.KindOf(err) != fault.Damaged || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), set.Parts[1].Path) {
		t.Errorf("without a list: %v", err)
	}
}

// Any single medium shows who signed and lists the whole set.
func TestInspectOneMedium(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, whole, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	want, err := Inspect(context.Background(), whole, tr)
	if err != nil {
		t.Fatal(err)
	}
	for i, folder := range mediumEach(t, set) {
		got, err := Inspect(context.Background(), folder, tr)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Images) != len(want.Images) || got.ID != want.ID || !got.Checked || got.Size != want.Size || len(got.Parts.Missing) != set.Count-1 && i > 0 {
			t.Errorf("medium %d: %+v", i+1, got.Parts)
		}
	}
}

// split makes the parts that an export makes.
func TestSplit(t *testing.T) {
	t.Parallel()
	dir, again := t.TempDir(), t.TempDir()
	_, whole, _, set, _ := inParts(t, SetOptions{Folders: []string{dir}})
	before := regtest.ReadFile(t, whole)
	r, err := Split(context.Background(), whole, SetOptions{Folders: []string{again}, Size: PartSize{Bytes: partSize}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if joined(t, r.Parts) != before || joined(t, set.Parts) != before || regtest.ReadFile(t, whole) != before {
		t.Error("not the same bytes")
	}
	for _, suffix := range []string{".head", ".set.json", ".sha256", ".002"} {
		a, b := regtest.ReadFile(t, dir, "app.bundle.tar"+suffix), regtest.ReadFile(t, again, "app.bundle.tar"+suffix)
		if a != b {
			t.Errorf("%s: export and split differ:\n%s\n%s", suffix, a, b)
		}
	}
}

// The same export again finds its parts, and makes again what is missing or wrong.
func TestExportPartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, whole, eo, set, _ := inParts(t, SetOptions{Folders: []string{dir}})
	if err := os.Remove(set.Parts[1].Path); err != nil {
		t.Fatal(err)
	}
	flipBit(t, set.Parts[3].Path, 5000)
	r := mustExport(t, eo)
	kept := 0
	for _, p := range r.Parts {
		if p.Kept {
			kept++
		}
	}
	if joined(t, r.Parts) != regtest.ReadFile(t, whole) || kept != set.Count-2 {
		t.Errorf("%d of %d parts kept: %+v", kept, set.Count, r.Parts)
	}
	// Parts of another bundle under the name are in the way.
	eo.Images = eo.Images[1:]
	var usage *UsageError
	if _, err := Export(context.Background(), eo); !errors.As(err, &usage) {
		t.Errorf("another bundle of the same name: %v", err)
	}
}

// Media are never written by those who read them.
func TestMediaStayAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	_, _, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	flipBit(t, set.Parts[1].Path, 30_000)
	if err := os.Remove(set.Parts[3].Path); err != nil {
		t.Fatal(err)
	}
	state := func() []byte {
		var b bytes.Buffer
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(f.Name() + " " + info.ModTime().String() + " " + info.Mode().String() + "\n")
			b.WriteString(regtest.ReadFile(t, dir, f.Name()))
		}
		return b.Bytes()
	}
	before := state()
	if _, err := Verify(context.Background(), dir, tr, nil); err == nil {
		t.Error("no damage found")
	}
	if _, err := Inspect(context.Background(), dir, tr); err != nil {
		t.Error(err)
	}
	o := onto(startRegistry(t), tr)
	o.OutputDir = t.TempDir()
	if _, err := Import(context.Background(), dir, o); err == nil {
		t.Error("no damage found")
	}
	if !bytes.Equal(before, state()) {
		t.Error("the medium has changed")
	}
}

// flipBit changes one bit of a file.
func flipBit(t *testing.T, path string, at int64) {
	t.Helper()
	b := []byte(regtest.ReadFile(t, path))
	b[at] ^= 4
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

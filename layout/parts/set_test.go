package parts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/layout"
	"bundle/testdata/regtest"
)

// made writes a bundle with blobs of these sizes, and returns it with its plan; the
// list of checksums is no real one.
func made(t testing.TB, sizes ...int) (whole []byte, plan *layout.Plan, head int64) {
	t.Helper()
	content := make(map[digest.Digest][]byte)
	files := []layout.File{
		{Name: layout.LayoutFile, Data: layout.LayoutContent()},
		{Name: layout.SumsFile, Data: []byte(fmt.Sprint("sums of ", sizes))},
		{Name: layout.IndexFile, Data: []byte(`{}`)},
	}
	for i := range files {
		files[i].Size = int64(len(files[i].Data))
	}
	for i, n := range sizes {
		b := make([]byte, n)
		r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		d := digest.FromBytes(b)
		if content[d] != nil {
			continue
		}
		content[d] = b
		files = append(files, layout.File{Name: layout.BlobName(d), Size: int64(n)})
	}
	plan, err := layout.NewPlan(files, time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	err = layout.Stream(&buf, plan, func(d digest.Digest) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[d])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e := plan.Entries()[2]
	return buf.Bytes(), plan, e.Offset - layout.BlockSize + layout.Footprint(e.Size)
}

func cutting(whole []byte, plan *layout.Plan, head, part int64) Cutting {
	sums := plan.Entries()[1]
	id := sha256.Sum256(whole[sums.Offset : sums.Offset+sums.Size])
	return Cutting{Name: "x.tar", ID: hex.EncodeToString(id[:]), Created: 1700000000, Entries: plan.Entries(), Head: head, Part: part}
}

// written puts a bundle in parts into a folder.
func written(t testing.TB, dir string, whole []byte, set *Set) {
	t.Helper()
	b, err := set.Encode()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{set.Name + SetSuffix: b, set.Name + HeadSuffix: whole[:set.Head]}
	for _, p := range set.Parts {
		files[p.Name] = whole[p.Offset : p.Offset+p.Size]
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Parts follow each other, hold at most what they may, and cut no blob that fits
// into one.
func TestCut(t *testing.T) {
	for range 300 {
		var sizes []int
		for range 1 + rand.IntN(20) {
			sizes = append(sizes, rand.IntN(9000))
		}
		whole, plan, head := made(t, sizes...)
		part := head + layout.BlockSize + layout.TrailerSize + rand.Int64N(8000)
		set, err := Cut(cutting(whole, plan, head, part))
		if err != nil {
			t.Fatal(err)
		}
		if set.Size != int64(len(whole)) {
			t.Fatalf("size %d, want %d", set.Size, len(whole))
		}
		begins := make(map[int64]bool)
		for _, p := range set.Parts {
			if p.Size > part {
				t.Errorf("%s has %d bytes, more than %d", p.Name, p.Size, part)
			}
			begins[p.Offset] = true
		}
		for _, e := range plan.Entries() {
			if layout.Footprint(e.Size) > part-layout.TrailerSize-layout.BlockSize {
				continue
			}
			for at := range begins {
				if e.Offset-layout.BlockSize < at && at < e.Offset+e.Size {
					t.Errorf("a part begins at %d, inside %v, which fits into one of %d", at, e, part)
				}
			}
		}
		b, err := set.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseSet(b)
		if again, _ := back.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v: %s", err, b)
		}
	}
}

// Whatever parts are there, what is read is the bundle, and what is not there is
// missing.
func TestReadAt(t *testing.T) {
	for range 60 {
		var sizes []int
		for range 1 + rand.IntN(8) {
			sizes = append(sizes, rand.IntN(9000))
		}
		whole, plan, head := made(t, sizes...)
		set, err := Cut(cutting(whole, plan, head, head+2000+rand.Int64N(8000)))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		written(t, dir, whole, set)
		lost := make(map[int]bool)
		for i, p := range set.Parts {
			if set.Whole() || rand.IntN(3) > 0 {
				continue
			}
			lost[i+1] = true
			if err := os.Remove(filepath.Join(dir, p.Name)); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Open(t.Context(), []string{dir})
		if err != nil {
			t.Fatal(err)
		}
		r, err := layout.NewReader(f, f.Size())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Entries()) != len(plan.Entries()) {
			t.Error("not all entries")
		}
		for _, e := range r.Entries() {
			got := make([]byte, e.Size)
			_, err := f.ReadAt(got, e.Offset)
			missing := f.Missing(e.Offset, e.Offset+e.Size)
			for _, k := range missing {
				if !lost[k] {
					t.Errorf("part %d is missing, which is there", k)
				}
			}
			var m *MissingError
			switch {
			case len(missing) > 0 && !errors.As(err, &m):
				t.Errorf("%v is read without parts %v: %v", e, missing, err)
			case len(missing) == 0 && (err != nil || !bytes.Equal(got, whole[e.Offset:e.Offset+e.Size])):
				t.Errorf("%v: %v", e, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// setJSON is a description that is right, as a document to be changed.
func setJSON(t testing.TB) map[string]any {
	t.Helper()
	whole, plan, head := made(t, 3000, 5000, 9000)
	set, err := Cut(cutting(whole, plan, head, 8000))
	if err != nil {
		t.Fatal(err)
	}
	if set.Parity, err = set.NewParity(2, 0); err != nil {
		t.Fatal(err)
	}
	b, err := set.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// What contradicts itself, or leads somewhere else, is refused.
func TestParseSetRefuses(t *testing.T) {
	part := func(i int, key string, value any) func(map[string]any) {
		return func(d map[string]any) { d["parts"].([]any)[i].(map[string]any)[key] = value }
	}
	top := func(key string, value any) func(map[string]any) { return func(d map[string]any) { d[key] = value } }
	code := func(key string, value any) func(map[string]any) {
		return func(d map[string]any) { d["parity"].(map[string]any)[key] = value }
	}
	for name, change := range map[string]func(map[string]any){
		"version":             top("formatVersion", 2),
		"no id":               top("id", ""),
		"id in upper case":    top("id", strings.Repeat("A", 64)),
		"name with ..":        top("name", "../x.tar"),
		"name with a path":    top("name", "/etc/x.tar"),
		"hidden name":         top("name", ".x"),
		"long name":           top("name", strings.Repeat("x", 300)),
		"name that deceives":  top("name", "x\u202ersig"),
		"size":                top("size", 1),
		"negative size":       top("size", -1),
		"endless size":        top("size", int64(1)<<62),
		"head":                top("head", 100),
		"head of everything":  top("head", int64(1)<<40),
		"no parts":            top("parts", []any{}),
		"a thousand parts":    func(d map[string]any) { d["parts"] = make([]any, 1000) },
		"part with ..":        part(1, "name", "../../x.tar.002"),
		"part of another":     part(1, "name", "y.tar.002"),
		"overlap":             part(1, "offset", 100),
		"part of no bytes":    part(1, "size", 0),
		"part of less":        part(1, "size", -5),
		"part beyond the end": part(1, "size", int64(1)<<50),
		"blob":                part(1, "blobs", []any{"x 1"}),
		"blob of no size":     part(1, "blobs", []any{strings.Repeat("a", 64) + " -1"}),
		"blob in two forms":   part(1, "blobs", []any{strings.Repeat("a", 64) + " 01"}),
		"blobs elsewhere":     part(1, "blobs", []any{}),
		"other key":           top("more", 1),
		"parity of nothing":   code("parity", 0),
		"257 columns":         code("parity", 257),
		"columns":             code("data", 1),
		"blocks":              code("blocks", 1<<40),
		"10^9 columns":        code("parity", 1_000_000_000),
	} {
		doc := setJSON(t)
		change(doc)
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var wrong *SetError
		if _, err := ParseSet(b); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"bomb":      `{"parts":` + strings.Repeat("[", 100_000) + `}`,
		"many":      `{"parts":[` + strings.Repeat("{},", 1_000_000) + `{}]}`,
		"key twice": `{"formatVersion":1,"formatVersion":1}`,
		"large":     `{"name":"` + strings.Repeat("x", MaxSetSize) + `"}`,
		"empty":     ``,
	} {
		if _, err := ParseSet([]byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// What a reader would refuse is not written.
func TestEncodeRefuses(t *testing.T) {
	b, err := json.Marshal(setJSON(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSet(b)
	if err != nil {
		t.Fatal(err)
	}
	s.Parts[0].Size++
	if b, err := s.Encode(); err == nil {
		t.Errorf("written: %s", b)
	}
}

// Links, folders and pipes in a folder are left alone, and so is what only looks
// like a part.
func TestOnlyRegularFiles(t *testing.T) {
	whole, plan, head := made(t, 3000, 5000)
	set, err := Cut(cutting(whole, plan, head, 6000))
	if err != nil {
		t.Fatal(err)
	}
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	written(t, dir, whole, set)
	if err := os.Rename(filepath.Join(dir, "x.tar.002"), secret); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "x.tar.002")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "x.tar.sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.tar.009", "y.set.json", "x.tar.blocks"} {
		regtest.Fifo(t, filepath.Join(dir, name))
	}
	f, err := Open(t.Context(), []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Absent(); len(got) != 1 || got[0] != 2 {
		t.Errorf("absent: %v", got)
	}
}

// A description that lies leads to no byte that is not where it is said to be.
func FuzzOpenSet(f *testing.F) {
	whole, plan, head := made(f, 3000, 5000, 9000, 1)
	set, err := Cut(cutting(whole, plan, head, 8000))
	if err != nil {
		f.Fatal(err)
	}
	good, err := set.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(` 5000"`), []byte(` 5001"`), 1))
	f.Add(bytes.Replace(good, []byte(`x.tar.002`), []byte(`../../002`), 1))
	swapped := *set
	swapped.Parts = append([]Part(nil), set.Parts...)
	swapped.Parts[0].Blobs, swapped.Parts[1].Blobs = swapped.Parts[1].Blobs, swapped.Parts[0].Blobs
	b, _ := json.Marshal(swapped)
	f.Add(b)
	f.Fuzz(func(t *testing.T, description []byte) {
		dir := t.TempDir()
		written(t, dir, whole, set)
		if err := os.Remove(filepath.Join(dir, set.Parts[1].Name)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x.tar.set.json"), description, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := Open(t.Context(), []string{dir})
		if err != nil {
			return
		}
		defer file.Close()
		r, err := layout.NewReader(file, file.Size())
		if err != nil {
			return
		}
		for _, e := range r.Entries() {
			d, blob := layout.BlobDigest(e.Name)
			if !blob || e.Size > 1<<20 || len(file.Missing(e.Offset, e.Offset+e.Size)) > 0 {
				continue
			}
			if content, err := r.ReadBlob(d, 1<<20); err == nil && digest.FromBytes(content) != d {
				t.Errorf("%s has other content", e.Name)
			}
		}
	})
}

func FuzzParseSet(f *testing.F) {
	b, err := json.Marshal(setJSON(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"formatVersion":1,"parts":[{"name":"../x","offset":0,"size":0}]}`))
	f.Add([]byte(`{"formatVersion":1,"parity":{"data":1000000000,"parity":1000000000}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSet(b)
		if err != nil {
			return
		}
		again, err := s.Encode()
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if _, err := ParseSet(again); err != nil {
			t.Errorf("%v: %s", err, again)
		}
	})
}

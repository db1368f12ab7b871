package layout_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// assemble writes the missing ranges of a blob and ends it.
func assemble(w *layout.Writer, data []byte) error {
	a, err := w.Assemble(digest.FromBytes(data))
	if err != nil {
		return err
	}
	for _, r := range a.Missing() {
		if _, err := a.WriteAt(data[r.From:r.To], r.From); err != nil {
			return err
		}
	}
	return a.Close()
}

// Ranges in any order, by many at once, make the one file of the plan.
func TestAssembleInAnyOrder(t *testing.T) {
	t.Run("reserved", func(t *testing.T) { testAnyOrder(t, layout.Create) })
	t.Run("in order", func(t *testing.T) { testAnyOrder(t, layout.CreateInOrder) })
}

func testAnyOrder(t *testing.T, create func(string, *layout.Plan) (*layout.Writer, error)) {
	s := newSample(t, 0, 1, 300_000, 1_000_000)
	path := filepath.Join(t.TempDir(), "a.bundle")
	w, err := create(path, s.plan(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for d, data := range s.late {
		a, err := w.Assemble(d)
		if err != nil {
			t.Fatal(err)
		}
		var g errgroup.Group
		for _, i := range rand.Perm(len(data)/7000 + 1) {
			from, to := i*7000, min((i+1)*7000, len(data))
			g.Go(func() error {
				_, err := a.WriteAt(data[from:to], int64(from))
				return err
			})
		}
		if err := errors.Join(g.Wait(), a.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

func TestAssembleRefuses(t *testing.T) {
	data := pseudo(0, 1000)
	tests := []struct {
		name  string
		write func(a *layout.Assembly) error
		want  string
	}{
		{"a gap", func(a *layout.Assembly) error { _, err := a.WriteAt(data[500:], 500); return err }, "ends after 0 of 1000 bytes"},
		{"no end", func(a *layout.Assembly) error { _, err := a.WriteAt(data[:500], 0); return err }, "ends after 500 of 1000 bytes"},
		{"beyond the end", func(a *layout.Assembly) error { _, err := a.WriteAt(data[:2], 999); return err }, "longer than 1000 bytes"},
		{"before the begin", func(a *layout.Assembly) error { _, err := a.WriteAt(data[:2], -1); return err }, "longer than 1000 bytes"},
		{"twice", func(a *layout.Assembly) error {
			_, err := a.WriteAt(data[:600], 0)
			_, err2 := a.WriteAt(data[500:], 500)
			return errors.Join(err, err2)
		}, "written twice"},
		{"wrong in a later range", func(a *layout.Assembly) error {
			_, err := a.WriteAt(data[:500], 500)
			_, err2 := a.WriteAt(data[:500], 0)
			return errors.Join(err, err2)
		}, "content has the digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSample(t, 1000)
			folder := t.TempDir()
			w := create(t, filepath.Join(folder, "a.bundle"), s.plan(t))
			a, err := w.Assemble(digest.FromBytes(data))
			if err != nil {
				t.Fatal(err)
			}
			werr := tt.write(a)
			err = a.Close()
			if err == nil || !strings.Contains(err.Error(), tt.want) || werr != nil && !strings.Contains(werr.Error(), tt.want) {
				t.Errorf("write: %v, close: %v, want %q", werr, err, tt.want)
			}
			if _, err := a.WriteAt(data, 0); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("write after close: %v", err)
			}
			if n := w.Written(); n != 0 {
				t.Errorf("%d bytes count as written", n)
			}
			// A second attempt begins from nothing.
			if err := errors.Join(assemble(w, data), w.Commit()); err != nil {
				t.Error(err)
			}
		})
	}
}

const mib = 1 << 20

// A run that was suspended, or killed, is gone on with: what was finished is
// there, what was half written lacks the rest, and the result is the same file.
func TestResume(t *testing.T) {
	s := newSample(t, 2*mib, 4*mib, 3*mib, 100)
	whole, half, none := pseudo(0, 2*mib), pseudo(1, 4*mib), pseudo(2, 3*mib)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	w := create(t, path, s.plan(t))
	if err := assemble(w, whole); err != nil {
		t.Fatal(err)
	}
	a, err := w.Assemble(digest.FromBytes(half))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []layout.Range{{From: 0, To: mib + 77}, {From: 2*mib + 333, To: 3 * mib}} {
		if _, err := a.WriteAt(half[r.From:r.To], r.From); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle.partial")

	w = create(t, path, s.plan(t))
	// What lies near the edge of what was written does not count.
	if n := w.Resumed(); n < 3*mib || n > 4*mib || w.Written() != n {
		t.Errorf("resumed %d bytes, written %d", n, w.Written())
	}
	for _, tt := range []struct {
		data    []byte
		missing int // ranges
		from    int64
	}{{whole, 0, 0}, {half, 2, mib / 2}, {none, 1, 0}} {
		a, err := w.Assemble(digest.FromBytes(tt.data))
		if err != nil {
			t.Fatal(err)
		}
		missing := a.Missing()
		if len(missing) != tt.missing || tt.missing > 0 && missing[0].From < tt.from {
			t.Errorf("blob of %d bytes lacks %v", len(tt.data), missing)
		}
		for _, r := range missing {
			if _, err := a.WriteAt(tt.data[r.From:r.To], r.From); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	// A blob that shares its block with a header may look as if it were there.
	tiny := pseudo(3, 100)
	if err := errors.Join(writeBlob(w, digest.FromBytes(tiny), tiny), w.Commit()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

// What an earlier run left is not believed: a bit that flipped meanwhile is
// found, and the blob can be written anew.
func TestResumeDamaged(t *testing.T) {
	s := newSample(t, mib)
	data := pseudo(0, mib)
	path := filepath.Join(t.TempDir(), "a.bundle")
	w := create(t, path, s.plan(t))
	if err := errors.Join(assemble(w, data), w.Suspend()); err != nil {
		t.Fatal(err)
	}
	e, _ := mustReader(t, s.bytes(t)).Entry(layout.BlobName(digest.FromBytes(data)))
	f, err := os.OpenFile(path+".partial", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^data[mib/2]}, e.Offset+mib/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w = create(t, path, s.plan(t))
	a, err := w.Assemble(digest.FromBytes(data))
	if err != nil {
		t.Fatal(err)
	}
	wantContentError(t, a.Verify(), e.Name, "content has the digest")
	a.Reset()
	if missing := a.Missing(); !slices.Equal(missing, []layout.Range{{From: 0, To: mib}}) {
		t.Errorf("after a reset, %v is missing", missing)
	}
	if _, err := a.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), w.Commit()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

// A run with another plan does not go on with the file, but takes whole blobs
// from it. The result is that of its own plan.
func TestSalvage(t *testing.T) {
	before := newSample(t, mib, mib/2)
	after := newSample(t, mib, mib/2, 1000)
	whole, half := pseudo(0, mib), pseudo(1, mib/2)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	w := create(t, path, before.plan(t))
	if err := assemble(w, whole); err != nil {
		t.Fatal(err)
	}
	a, err := w.Assemble(digest.FromBytes(half))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.WriteAt(half[:mib/4], 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}

	w = create(t, path, after.plan(t))
	if n := w.Resumed(); n != 0 {
		t.Errorf("resumed %d bytes of another plan", n)
	}
	if _, ok := w.Salvage(digest.FromBytes(half)); ok {
		t.Error("half a blob was salvaged")
	}
	rc, ok := w.Salvage(digest.FromBytes(whole))
	if !ok {
		t.Fatal("a whole blob was not salvaged")
	}
	got, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("salvaged %d bytes: %v", len(got), err)
	}
	for _, data := range after.late {
		if err := assemble(w, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, after.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

// A partial file is gone on with only where every byte outside of blobs is what
// the plan says; anything else is written anew.
func TestResumeOnlyTheSame(t *testing.T) {
	s := newSample(t, mib)
	data := pseudo(0, mib)
	size := int64(len(s.bytes(t)))
	tests := []struct {
		name  string
		spoil func(f *os.File) error
	}{
		{"a byte of index.json", func(f *os.File) error { _, err := f.WriteAt([]byte{'x'}, 3000); return err }},
		{"a header", func(f *os.File) error { _, err := f.WriteAt([]byte{'x'}, 0); return err }},
		{"the end", func(f *os.File) error { _, err := f.WriteAt([]byte{'x'}, size-1); return err }},
		{"cut", func(f *os.File) error { return f.Truncate(3000) }},
		{"empty", func(f *os.File) error { return f.Truncate(0) }},
		{"longer", func(f *os.File) error { return f.Truncate(size + 512) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.bundle")
			w := create(t, path, s.plan(t))
			if err := errors.Join(assemble(w, data), w.Suspend()); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path+".partial", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(tt.spoil(f), f.Close()); err != nil {
				t.Fatal(err)
			}
			w = create(t, path, s.plan(t))
			if n := w.Resumed(); n != 0 {
				t.Errorf("resumed %d bytes", n)
			}
			if err := errors.Join(assemble(w, data), w.Commit()); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
				t.Errorf("not the bytes of the plan (%v)", err)
			}
		})
	}
}

// What a dead run meant to write can be read without going on with it.
func TestOpenPartial(t *testing.T) {
	s := newSample(t, 1000)
	path := filepath.Join(t.TempDir(), "a.bundle")
	if _, _, err := layout.OpenPartial(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a partial file: %v", err)
	}
	w := create(t, path, s.plan(t))
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	r, file, err := layout.OpenPartial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !r.ModTime().Equal(testTime.Truncate(1e9)) {
		t.Errorf("time is %v", r.ModTime())
	}
	got, err := r.ReadFile(layout.IndexFile, mib)
	if err != nil || !bytes.Equal(got, s.all[layout.IndexFile]) {
		t.Errorf("index.json is %q, %v", got, err)
	}
	if err := os.WriteFile(path+".partial", []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	var format *layout.FormatError
	if _, _, err := layout.OpenPartial(path); !errors.As(err, &format) {
		t.Errorf("garbage: %v", err)
	}
}

// Where the file grows in order, nothing is written beyond the blob that is being
// written, and a later run goes on from the end.
func TestInOrder(t *testing.T) {
	s := newSample(t, mib, 700_001, mib)
	path := filepath.Join(t.TempDir(), "a.bundle")
	first, second, third := pseudo(0, mib), pseudo(1, 700_001), pseudo(2, mib)
	w, err := layout.CreateInOrder(path, s.plan(t))
	if err != nil {
		t.Fatal(err)
	}
	if !w.InOrder() {
		t.Error("not in order")
	}
	all := mustReader(t, s.bytes(t))
	wantEnd := func(data []byte, n int64) {
		t.Helper()
		e, _ := all.Entry(layout.BlobName(digest.FromBytes(data)))
		info, err := os.Stat(path + ".partial")
		if err != nil || info.Size() != e.Offset+n {
			t.Errorf("the file has %d bytes (%v), want %d", info.Size(), err, e.Offset+n)
		}
	}
	if err := assemble(w, first); err != nil {
		t.Fatal(err)
	}
	wantEnd(first, mib)
	a, err := w.Assemble(digest.FromBytes(second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.WriteAt(second[:500_000], 0); err != nil {
		t.Fatal(err)
	}
	wantEnd(second, 500_000)
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	r, file, err := layout.OpenPartial(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.ReadFile(layout.IndexFile, mib); err != nil || !bytes.Equal(got, s.all[layout.IndexFile]) {
		t.Errorf("index.json is %q, %v", got, err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err = layout.CreateInOrder(path, s.plan(t)); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n := w.Resumed(); n != mib+500_000 {
		t.Errorf("resumed %d bytes", n)
	}
	for _, data := range [][]byte{first, second, third} {
		if err := assemble(w, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

// A partial file may end anywhere: what is before that counts, and the result is
// the same.
func TestResumeCut(t *testing.T) {
	s := newSample(t, 200_000, 100_001, 0, 1000)
	want := s.bytes(t)
	var cuts []int64
	for e := range mustReader(t, want).All() {
		for _, at := range []int64{e.Offset - 512, e.Offset, e.Offset + e.Size, e.Offset + e.Size/2} {
			cuts = append(cuts, max(at-1, 0), at, at+1)
		}
	}
	cuts = append(cuts, int64(len(want))-1, int64(len(want)))
	for i, cut := range cuts {
		create := layout.Create
		if i%2 == 0 {
			create = layout.CreateInOrder
		}
		path := filepath.Join(t.TempDir(), "a.bundle")
		if err := os.WriteFile(path+".partial", want[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		w, err := create(path, s.plan(t))
		if err != nil {
			t.Fatal(err)
		}
		if n := w.Resumed(); n > cut || cut > 100_000 && n < cut-12_000 {
			t.Errorf("cut at %d: resumed %d bytes", cut, n)
		}
		for i, size := range []int{200_000, 100_001, 0, 1000} {
			if err := assemble(w, pseudo(uint64(i), size)); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("cut at %d: not the bytes of the plan (%v)", cut, err)
		}
	}
}

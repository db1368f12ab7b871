package media_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/testdata/regtest"
)

// A person changes media in one drive, not always as asked. Who is interrupted goes on
// with the same command, and is not asked for what is written.
func TestDrive(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 1)
	undisturbed := t.TempDir()
	s.mustWrite(t, s.media(undisturbed))
	drive, state := t.TempDir(), t.TempDir()
	var asked []media.Swap
	var full []string // media that were written
	var outlines []media.Outline
	interrupted := errors.New("interrupted")
	run := func(person func(media.Swap) error) ([]media.Written, error) {
		m := s.media(drive)
		m.State = state
		m.Outline = func(o media.Outline) {
			outlines = append(outlines, o)
			if len(outlines) == 1 && regtest.Files(t, drive) != nil {
				t.Errorf("%v are there before it is said what will be", regtest.Files(t, drive))
			}
		}
		m.Swap = func(_ context.Context, swap media.Swap) error {
			asked = append(asked, swap)
			return person(swap)
		}
		return s.write(context.Background(), m, s.fill)
	}
	all, err := run(func(swap media.Swap) error {
		switch len(asked) {
		case 1: // forgets to change the medium
		case 2:
			full = append(full, emptied(t, drive))
			writeFile(t, "mine", drive, "x.tar.002") // another person's
		case 3:
			must(t, os.Remove(filepath.Join(drive, "x.tar.002")))
		case 4:
			return interrupted
		}
		return nil
	})
	if !errors.Is(err, interrupted) || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	var same *media.SameError
	var usage *fault.UsageError
	if !errors.As(asked[1].Failed, &same) || same.Name != "x.tar.001" || !errors.As(asked[2].Failed, &usage) {
		t.Errorf("told was %v, then %v", asked[1].Failed, asked[2].Failed)
	}
	for i, next := range []int{2, 2, 2, 3} {
		if a := asked[i]; a.Number != next || a.Of != 4 || a.Folder != drive || a.Size <= s.set.Parts[next-1].Size || a.Cached {
			t.Errorf("question %d: %+v", i+1, a)
		}
	}
	if a := asked[3]; a.Done != "x.tar.002" || a.Next != "x.tar.003" || a.Failed != nil {
		t.Errorf("%+v", a)
	}
	full, asked = append(full, emptied(t, drive)), nil
	left := filepath.Join(state, "x.tar.p01.7.partial") // of a run that was killed
	writeFile(t, "x", left)
	all, err = run(func(media.Swap) error {
		full = append(full, emptied(t, drive))
		return nil
	})
	must(t, err)
	full = append(full, emptied(t, drive))
	if len(asked) != 1 || asked[0].Next != "x.tar.p01" || len(all) != 2 || all[1].Parity != 1 {
		t.Errorf("asked %+v, wrote %+v", asked, all)
	}
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%s is left", left)
	}
	for i, name := range []string{"x.tar.001", "x.tar.002", "x.tar.003", "x.tar.p01"} {
		if regtest.ReadFile(t, full[i], name) != regtest.ReadFile(t, undisturbed, name) {
			t.Errorf("%s differs", name)
		}
	}
	regtest.WantFiles(t, state, "x.tar.blocks", "x.tar.head", "x.tar.set.json", "x.tar.sha256", "x.tar.state")
	if regtest.ReadFile(t, state, "x.tar.blocks") != regtest.ReadFile(t, undisturbed, "x.tar.blocks") {
		t.Error("the list of blocks differs")
	}

	for i, o := range outlines {
		if o.Parts != 3 || o.Parity != 1 || o.Written != 2*i || o.Folder != drive || o.State != state ||
			o.Scratch != 2*s.set.ParitySize() || o.Room < s.set.ParitySize() {
			t.Errorf("%+v", o)
		}
	}

	// With the last medium still in the drive, nothing is left to do.
	must(t, os.CopyFS(drive, os.DirFS(full[3])))
	all, err = run(func(swap media.Swap) error { return errors.New("asked for " + swap.Next) })
	if err != nil || len(all) != 1 || !all[0].Kept {
		t.Errorf("%+v, %v", all, err)
	}
}

// Without a person, each part is written by a run of its own, in any order; parity needs
// all others first.
func TestOnly(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 1)
	undisturbed := t.TempDir()
	s.mustWrite(t, s.media(undisturbed))
	drive, state := t.TempDir(), t.TempDir()
	part := func(k int) error {
		m := s.media(drive)
		m.Only, m.State = []int{k}, state
		_, err := s.write(context.Background(), m, s.fill)
		return err
	}
	for _, k := range []int{2, 1} {
		must(t, part(k))
	}
	var usage *fault.UsageError
	if err := part(4); !errors.As(err, &usage) || !strings.Contains(err.Error(), "1 are not written yet") {
		t.Errorf("parity too early: %v", err)
	}
	must(t, part(3))
	must(t, part(4))
	for _, name := range regtest.Files(t, undisturbed) {
		if regtest.ReadFile(t, drive, name) != regtest.ReadFile(t, undisturbed, name) {
			t.Errorf("%s differs", name)
		}
	}
	if !slices.Equal(regtest.Files(t, drive), regtest.Files(t, undisturbed)) {
		t.Errorf("there are %v", regtest.Files(t, drive))
	}
}

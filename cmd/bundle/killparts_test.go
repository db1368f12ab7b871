package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bundle/testdata/regtest"
)

// An export into parts that is killed at any moment, again and again, ends with the
// parts that an undisturbed one writes; so does one that writes them one at a time,
// with parity that grows from part to part.
func TestKillParts(t *testing.T) {
	t.Parallel()
	reg, err := regtest.Start(regtest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	args := []string{"export", "-q", "--unsigned", "--plain-http", reg.Host(), "--split-size", "1500K", "--parity", "1"}
	for ref, im := range carried(largest / 8) {
		if _, err := reg.PushImage(context.Background(), ref, im); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--image", reg.Host()+"/"+ref)
	}
	date := "SOURCE_DATE_EPOCH=" + strconv.Itoa(1700000000)
	undisturbed := t.TempDir()
	start := time.Now()
	killed(t, never, date, append(args, "-o", undisturbed)...)
	took := time.Since(start)
	for n := 0; n < *kills; {
		a, b := t.TempDir(), t.TempDir()
		for killed(t, rand.N(took), date, append(args, "-o", a, "-o", b)...) {
			n++
		}
		wantParts(t, undisturbed, a, b)

		medium, state := t.TempDir(), t.TempDir()
		for k := 1; ; k++ {
			part := append(args, "-o", medium, "--state", state, "--part", strconv.Itoa(k))
			for killed(t, rand.N(took), date, part...) {
				n++
			}
			if _, err := os.Stat(filepath.Join(medium, "images.bundle.tar.p01")); err == nil {
				break
			}
		}
		wantParts(t, undisturbed, medium)
	}
}

// Killed in the middle of part 3 of several, also while part 2 is still on its way to
// the disk, an export goes on there: what is before stays as it is.
func TestKillPartThree(t *testing.T) {
	t.Parallel()
	reg, err := regtest.Start(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	args := []string{"export", "-q", "--unsigned", "--plain-http", reg.Host(), "--split-size", "3M", "--parity", "1"}
	for ref, im := range carried(largest / 2) {
		if _, err := reg.PushImage(context.Background(), ref, im); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--image", reg.Host()+"/"+ref)
	}
	const date = "SOURCE_DATE_EPOCH=1700000000"
	undisturbed := t.TempDir()
	killed(t, never, date, append(args, "-o", undisturbed)...)
	for name, partial := range map[string][]string{
		"one partial part":  {"images.bundle.tar.003.partial"},
		"two partial parts": {"images.bundle.tar.002.partial", "images.bundle.tar.003.partial"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := ""
			for try, seen := 0, false; !seen; try++ {
				if try == 100 {
					t.Fatalf("%v were never seen while they were written", partial)
				}
				dir = t.TempDir()
				var files []string
				for _, name := range partial {
					files = append(files, filepath.Join(dir, name))
				}
				seen = killedWhen(t, date, files, append(args, "-o", dir)...)
			}
			before := modTime(t, filepath.Join(dir, "images.bundle.tar.001"))
			killed(t, never, date, append(args, "-o", dir)...)
			if !before.Equal(modTime(t, filepath.Join(dir, "images.bundle.tar.001"))) {
				t.Error("part 1 was written again")
			}
			wantParts(t, undisturbed, dir)
		})
	}
}

func modTime(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// killedWhen runs the program and kills it when some files are there at once. It
// reports whether they were left.
func killedWhen(t *testing.T, env string, files []string, args ...string) bool {
	t.Helper()
	cmd := exec.Command("bundle", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir(), env)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says how
		close(ended)
	}()
	missing := func(path string) bool {
		_, err := os.Lstat(path)
		return err != nil
	}
	for {
		select {
		case <-ended:
			return false
		default:
		}
		if !slices.ContainsFunc(files, missing) {
			_ = cmd.Process.Kill()
			<-ended
			return !slices.ContainsFunc(files, missing)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// wantParts requires that folders have together the parts that another has, and
// nothing half written.
func wantParts(t *testing.T, want string, folders ...string) {
	t.Helper()
	for _, name := range regtest.Files(t, want) {
		if strings.HasSuffix(name, ".sha256") {
			continue // where media were written apart, it grows from one to the next
		}
		found := false
		for _, dir := range folders {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			found = true
			if !bytes.Equal(got, []byte(regtest.ReadFile(t, want, name))) {
				t.Fatalf("%s differs", name)
			}
		}
		if !found {
			t.Fatalf("%s is not there", name)
		}
	}
	for _, dir := range folders {
		for _, name := range regtest.Files(t, dir) {
			if strings.HasSuffix(name, ".partial") || strings.HasPrefix(name, ".") {
				t.Errorf("%s is left", name)
			}
		}
	}
}

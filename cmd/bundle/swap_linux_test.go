package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"bundle/testdata/regtest"
)

// openTerminal returns both ends of a terminal: that of the person, and that of
// the program.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// atTerminal runs the program for a person who does something, and presses Enter,
// each time when told to. It returns what stood on the terminal, and how the
// program ended.
func atTerminal(t *testing.T, swap func(seen string), args ...string) (string, error) {
	t.Helper()
	person, program := openTerminal(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bundle", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir(), "SOURCE_DATE_EPOCH=1700000000")
	cmd.Stdin, cmd.Stderr, cmd.Stdout = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	var all, since bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := person.Read(buf)
		all.Write(buf[:n])
		since.Write(buf[:n])
		if err != nil {
			break // the program has ended
		}
		if strings.Contains(since.String(), "nter") && strings.HasSuffix(since.String(), ": ") {
			swap(since.String())
			since.Reset()
			if _, err := io.WriteString(person, "\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all.String(), cmd.Wait()
}

// A drive has one medium at a time.
type drive struct {
	t    *testing.T
	path string
}

func (d *drive) insert(medium string) {
	d.t.Helper()
	if err := os.Remove(d.path); err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	if err := os.Symlink(medium, d.path); err != nil {
		d.t.Fatal(err)
	}
}

// Five media and two of parity are written through one drive; two are lost; the
// others come back through one drive, one at a time, in any order. The registry has
// then what an import of one file leaves.
func TestOneDrive(t *testing.T) {
	t.Parallel()
	reg, err := regtest.Start(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	dir := t.TempDir()
	d := &drive{t, filepath.Join(dir, "drive")}
	args := []string{"export", "--progress", "none", "--unsigned", "--plain-http", reg.Host()}
	for ref, im := range carried(6 << 20) {
		if _, err := reg.PushImage(context.Background(), ref, im); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--image", reg.Host()+"/"+ref)
	}
	whole := filepath.Join(dir, "whole.tar")
	killed(t, never, "SOURCE_DATE_EPOCH=1700000000", append(args, "-o", whole)...)

	var media []string
	next := func(string) {
		m := filepath.Join(dir, fmt.Sprintf("medium-%d", len(media)+1))
		if err := os.Mkdir(m, 0o755); err != nil {
			t.Fatal(err)
		}
		media = append(media, m)
		d.insert(m)
	}
	next("")
	out, err := atTerminal(t, next, append(args, "-o", filepath.Join(d.path, "app.bundle.tar"),
		"--split-size", "3M", "--parity", "2", "--swap", "--state", filepath.Join(dir, "state"))...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(media) < 7 || !strings.Contains(out, "app.bundle.tar.001 is written and read back: remove the medium") {
		t.Fatalf("%d media\n%s", len(media), out)
	}
	var joined bytes.Buffer
	for _, m := range media[:len(media)-2] {
		parts, err := filepath.Glob(filepath.Join(m, "app.bundle.tar.[0-9]*"))
		if err != nil || len(parts) != 1 {
			t.Fatalf("%s has %v", m, parts)
		}
		b, err := os.ReadFile(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		joined.Write(b)
		check := exec.Command("sha256sum", "--strict", "-c", "--ignore-missing", "app.bundle.tar.sha256")
		check.Dir = m
		if out, err := check.CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", m, out)
		}
	}
	if b, err := os.ReadFile(whole); err != nil || !bytes.Equal(b, joined.Bytes()) {
		t.Fatal("the parts joined are not the bundle")
	}

	target, err := regtest.Start(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	order := rand.Perm(len(media))[2:] // two are lost
	swaps := 0
	insert := func(string) {
		if swaps == len(order) {
			t.Error("all media were there, and it wants more")
			swaps = 0
		}
		d.insert(media[order[swaps]])
		swaps++
	}
	insert("")
	importArgs := func(reg *regtest.Registry, more ...string) []string {
		return append([]string{"import", "--progress", "none", d.path, "--insecure-skip-signature", "--plain-http", reg.Host(),
			"--registry", reg.Host(), "--output-dir", filepath.Join(dir, "out")}, more...)
	}
	out, err = atTerminal(t, insert, importArgs(target, "--scratch", filepath.Join(dir, "scratch"))...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wholeOrAbsent(t, target, true)
	once, err := regtest.Start(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer once.Close()
	killed(t, never, "SOURCE_DATE_EPOCH=1700000000", "import", "-q", whole, "--insecure-skip-signature", "--plain-http", once.Host(),
		"--registry", once.Host(), "--output-dir", filepath.Join(dir, "out-once"))
	want := content(t, once)
	if got := content(t, target); got != want || strings.Count(want, "\n") < 6 {
		t.Errorf("one drive:\n%s\none file:\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "scratch")); !os.IsNotExist(err) {
		t.Errorf("the scratch folder is left: %v", err)
	}
	t.Logf("order %v\n%s", order, out)

	// Without a folder on this machine, and without the help of parity, layers that are
	// cut come piece by piece, as the program asks for them.
	direct, err := regtest.Start(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	d.insert(media[rand.IntN(len(media))])
	swaps = 0
	asked := func(seen string) {
		if swaps++; swaps > 3*len(media) {
			t.Fatalf("it asks and asks:\n%s", seen)
		}
		d.insert(media[wanted(t, seen)-1])
	}
	out, err = atTerminal(t, asked, importArgs(direct)...)
	if err != nil || !strings.Contains(out, "is sent piece by piece") {
		t.Fatalf("%v\n%s", err, out)
	}
	wholeOrAbsent(t, direct, true)
	if got := content(t, direct); got != want {
		t.Errorf("piece by piece:\n%s\none file:\n%s", got, want)
	}
	t.Logf("%s", out)
}

// content lists what a registry has of what was carried: tags, and what each stands
// for. Of the records of imports, which have the time in them, it is the id.
func content(t *testing.T, reg *regtest.Registry) string {
	t.Helper()
	get := func(path string, into any) {
		resp, err := http.Get("http://" + reg.Host() + "/v2/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	repos := []string{"bundle-records"}
	for ref := range carried(0) {
		repo, _, _ := strings.Cut(ref, ":")
		repos = append(repos, repo)
	}
	slices.Sort(repos)
	var all strings.Builder
	for _, repo := range repos {
		var list struct{ Tags []string }
		get(repo+"/tags/list", &list)
		slices.Sort(list.Tags)
		for _, tag := range list.Tags {
			_, manifest, err := reg.Manifest(context.Background(), repo+":"+tag)
			if err != nil {
				t.Fatal(err)
			}
			what := digest.FromBytes(manifest).String()
			if repo == "bundle-records" {
				_, what, _ = strings.Cut(tag, "-")
				tag = ""
			}
			fmt.Fprintf(&all, "%s:%s %s\n", repo, tag, what)
		}
	}
	return all.String()
}

// wanted is the part that a prompt asks for: that with which a layer goes on, or any
// that is missing.
func wanted(t *testing.T, seen string) (part int) {
	t.Helper()
	for _, pattern := range []string{`part (\d+) is the next`, `parts? (\d+)`} {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(seen); m != nil {
			part, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			return part
		}
	}
	t.Fatalf("it asks for nothing:\n%s", seen)
	return 0
}

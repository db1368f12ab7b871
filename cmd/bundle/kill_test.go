package main

import (
	"archive/tar"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/testdata/regtest"
)

// kills is how often the export and the import are killed, each. A release is
// tested with -kills 60.
var kills = flag.Int("kills", 5, "how often export and import are killed at random, each")

// largest is large enough for a layer to come in several pieces.
const largest = 18 << 20

// carried is what is carried: a shared base, small layers, and one of size bytes.
func carried(size int64) map[string]regtest.Image {
	base := regtest.Layer{Size: 1 << 20, Seed: 1}
	all := map[string]regtest.Image{
		"kill/large:1": {Layers: []regtest.Layer{base, {Size: size, Seed: 2}}},
	}
	for i := range int64(4) {
		all[fmt.Sprintf("kill/app-%d:1", i)] = regtest.Image{Layers: []regtest.Layer{base,
			{Size: 600_000, Seed: 10 + i}, {Size: 5000, Seed: 20 + i}, {Size: 1 << 20, Seed: 30 + i, Compressible: true}}}
	}
	return all
}

// killed runs the program and kills it after a while. It reports whether it was
// killed before it ended by itself, which has to be with success.
func killed(t *testing.T, after time.Duration, env string, args ...string) bool {
	t.Helper()
	cmd := exec.Command("bundle", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir(), env)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if err == nil {
		return false
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%v: %v\n%s", args, err, out.Bytes())
	}
	return true
}

const never = time.Hour

// An export that is killed at any moment, again and again, ends with the file
// that an undisturbed one writes.
func TestKillExport(t *testing.T) {
	t.Parallel()
	reg, err := regtest.Start(regtest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	killed(t, never, "", "keygen", key, "--no-passphrase", "-q")
	out, undisturbed := filepath.Join(dir, "out", "k.tar"), filepath.Join(dir, "u.tar")
	if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"export", "-q", "--key", key, "--plain-http", reg.Host()}
	for ref, im := range carried(largest) {
		if _, err := reg.PushImage(context.Background(), ref, im); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--image", reg.Host()+"/"+ref)
	}
	start := time.Now()
	killed(t, never, "", append(args, "-o", undisturbed)...)
	took := time.Since(start)
	for n := 0; n < *kills; {
		for killed(t, rand.N(took), "SOURCE_DATE_EPOCH=", append(args, "-o", out)...) {
			n++
			if _, err := os.Stat(out); err == nil {
				break // it has its name, so it has to be complete
			}
		}
		// The time is that of the first run that came as far as writing it.
		killed(t, never, "SOURCE_DATE_EPOCH="+strconv.FormatInt(entryTime(t, out), 10), append(args, "-o", undisturbed)...)
		if a, b := fileDigest(t, out), fileDigest(t, undisturbed); a != b {
			t.Fatalf("after %d kills the bundle is %s, undisturbed %s", n, a, b)
		}
		if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) != 1 {
			t.Fatalf("besides the bundle there is something left: %v, %v", left, err)
		}
		if err := os.Remove(out); err != nil {
			t.Fatal(err)
		}
	}
}

// An import that is killed at any moment, again and again, ends with everything
// in the registry, and never shows a tag whose image is not whole.
func TestKillImport(t *testing.T) {
	t.Parallel()
	source, err := regtest.Start(regtest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "k.tar")
	args := []string{"export", "-q", "--unsigned", "--plain-http", source.Host(), "-o", file}
	for ref, im := range carried(largest / 8) {
		if _, err := source.PushImage(context.Background(), ref, im); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--image", source.Host()+"/"+ref)
	}
	killed(t, never, "", args...)
	took := time.Duration(0)
	for n := 0; n < *kills; {
		target, err := regtest.Start(regtest.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"import", "-q", file, "--insecure-skip-signature", "--plain-http", target.Host(),
			"--registry", target.Host(), "--output-dir", filepath.Join(dir, "out")}
		if took == 0 {
			start := time.Now()
			killed(t, never, "", args...)
			took = time.Since(start)
		} else {
			for killed(t, rand.N(took), "", args...) {
				n++
				wholeOrAbsent(t, target, false)
			}
		}
		wholeOrAbsent(t, target, true)
		target.Close()
	}
}

// wholeOrAbsent requires that every image is served with all that it names, or
// not at all.
func wholeOrAbsent(t *testing.T, reg *regtest.Registry, demanded bool) {
	t.Helper()
	for ref := range carried(0) {
		_, manifest, err := reg.Manifest(context.Background(), ref)
		if err != nil {
			if demanded {
				t.Fatal(err)
			}
			continue
		}
		repo, _, _ := strings.Cut(ref, ":")
		for _, d := range digests(manifest) {
			if has, err := reg.HasBlob(context.Background(), repo, d); !has || err != nil {
				t.Fatalf("%s is there without its blob %s (%v)", ref, d, err)
			}
			if !demanded {
				continue
			}
			if b, err := reg.Blob(context.Background(), repo, d); err != nil || digest.FromBytes(b) != d {
				t.Fatalf("%s: blob %s: %d bytes, %v", ref, d, len(b), err)
			}
		}
	}
}

// digests finds all that a manifest names.
func digests(manifest []byte) (all []digest.Digest) {
	for _, s := range digest.DigestRegexp.FindAllString(string(manifest), -1) {
		all = append(all, digest.Digest(s))
	}
	return all
}

func entryTime(t *testing.T, file string) int64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := tar.NewReader(f).Next()
	if err != nil {
		t.Fatal(err)
	}
	return h.ModTime.Unix()
}

func fileDigest(t *testing.T, file string) digest.Digest {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := digest.FromReader(io.Reader(f))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

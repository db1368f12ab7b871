// Command release makes what strangers install: for each platform a static program
// in an archive with manual pages and completions, and a list of what it is made of;
// packages for Debian and Red Hat; one image for all Linux platforms; and
// SHA256SUMS over all of it, signed where there is a key.
//
// It is a module of its own, so that nothing it needs is a dependency of the program.
// The same commit, version and Go give the same bytes, wherever that happens.
//
//	SOURCE_DATE_EPOCH=… go run . -version v1.2.3 -commit HASH linux/amd64 windows/arm64
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	r := release{}
	flag.StringVar(&r.source, "source", "..", "top of the sources")
	flag.StringVar(&r.out, "out", "../dist", "folder for everything that is written; replaced as a whole")
	flag.StringVar(&r.version, "version", "", "version, as git describe says it")
	flag.StringVar(&r.commit, "commit", "", "commit, in full")
	flag.StringVar(&r.key, "key", "", "private key that signs SHA256SUMS; empty: nobody does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := r.run(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

type release struct {
	source, out, version, commit, key string

	made  time.Time // of every file, from SOURCE_DATE_EPOCH
	stage string    // folder for what is not carried away
	final string    // what out becomes when all went well
}

// A platform is one that programs are made for.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// exe is the name of the program there.
func (p platform) exe() string {
	if p.os == "windows" {
		return "bundle.exe"
	}
	return "bundle"
}

func (r *release) run(ctx context.Context, names []string) (err error) {
	platforms, err := r.prepare(names)
	if err != nil {
		return err
	}
	if r.stage, err = os.MkdirTemp("", "release"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.stage)) }()
	host := platform{runtime.GOOS, runtime.GOARCH}
	program, err := r.build(ctx, host)
	if err != nil {
		return err
	}
	docs, err := r.documents(ctx, program)
	if err != nil {
		return err
	}
	var linux []platform
	for _, p := range platforms {
		if err := r.platform(ctx, p, docs); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if p.os == "linux" {
			linux = append(linux, p)
		}
	}
	if len(linux) > 0 {
		if err := r.image(linux); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	if err := r.sum(ctx, program); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(r.final), os.Rename(r.out, r.final))
}

// prepare reads what the release is of, and makes an empty folder for it.
func (r *release) prepare(names []string) (platforms []platform, err error) {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil || r.version == "" || r.commit == "" {
		return nil, errors.New("outside of Git, say what is released: make release VERSION=v1.2.3 COMMIT=… SOURCE_DATE_EPOCH=…")
	}
	r.made = time.Unix(seconds, 0).UTC()
	for _, name := range names {
		system, arch, ok := strings.Cut(name, "/")
		if !ok {
			return nil, fmt.Errorf("%q is no OS/ARCH", name)
		}
		platforms = append(platforms, platform{system, arch})
	}
	if len(platforms) == 0 {
		return nil, errors.New("name platforms, OS/ARCH")
	}
	if r.final, err = filepath.Abs(r.out); err != nil {
		return nil, err
	}
	r.out = r.final + ".partial"
	return platforms, errors.Join(os.RemoveAll(r.out), os.MkdirAll(r.out, 0o755))
}

// build compiles the program, once, and returns where it is.
func (r *release) build(ctx context.Context, p platform) (string, error) {
	path := filepath.Join(r.stage, p.os+"-"+p.arch, p.exe())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+r.version+" -X main.commit="+r.commit, "-o", path, "./cmd/bundle")
	cmd.Dir, cmd.Stderr = r.source, os.Stderr
	// Nothing that a machine has set for itself changes the program.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS=", "GOWORK=off",
		"GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GODEBUG=", "GOFIPS140=off")
	return path, cmd.Run()
}

// platform makes everything that is for one platform.
func (r *release) platform(ctx context.Context, p platform, docs []file) error {
	path, err := r.build(ctx, p)
	if err != nil {
		return err
	}
	if err := r.components(p, path); err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := r.archive(p, append([]file{{path: p.exe(), mode: 0o755, data: program}}, docs...)); err != nil {
		return err
	}
	if p.os != "linux" {
		return nil
	}
	return r.packages(p, program, docs)
}

// number is the version without the v of a tag.
func (r *release) number() string {
	if v, ok := strings.CutPrefix(r.version, "v"); ok && strings.IndexAny(v, "0123456789") == 0 {
		return v
	}
	return r.version
}

// write puts a file among the results.
func (r *release) write(name string, data []byte) error {
	fmt.Printf("%10d  %s\n", len(data), name)
	return os.WriteFile(filepath.Join(r.out, name), data, 0o644)
}

// sum writes SHA256SUMS, and has it signed.
func (r *release) sum(ctx context.Context, program string) error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	var list strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(data), name)
	}
	if err := r.write("SHA256SUMS", []byte(list.String())); err != nil {
		return err
	}
	if r.key == "" {
		fmt.Println("SHA256SUMS is not signed: make release RELEASE_KEY=FILE signs it")
		return nil
	}
	cmd := exec.CommandContext(ctx, program, "sign", filepath.Join(r.out, "SHA256SUMS"), "--key", r.key)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

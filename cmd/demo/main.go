// Command demo shows the whole way of an application across an air gap, on one
// machine and without any network: a public and a private registry in this
// process, a chart and its images, and the real bundle program in between.
//
//	go run ./cmd/demo -bundle bin/bundle -chart testdata/charts/operator -dir .demo
//
// It ends with exit code 0 only if every reference of the chart, rendered with
// the emitted values, is served by the private registry under the digest that
// the public one had.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"bundle/testdata/regtest"
)

func main() {
	var d demo
	flag.StringVar(&d.bundle, "bundle", "bin/bundle", "the bundle program")
	flag.StringVar(&d.chart, "chart", "testdata/charts/operator", "the chart to carry")
	flag.StringVar(&d.dir, "dir", ".demo", "folder for everything that is written; emptied first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	bundle, chart, dir string
	public, private    *regtest.Registry
	digests            map[string]string // reference without host → digest in the public registry
	env                []string
}

const (
	user     = "operator"
	password = "correct-horse"
)

func (d *demo) run(ctx context.Context) (err error) {
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	if d.bundle, err = filepath.Abs(d.bundle); err != nil {
		return err
	}
	if d.chart, err = filepath.Abs(d.chart); err != nil {
		return err
	}
	if d.public, err = regtest.Start(regtest.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.public.Close()) }()
	if d.private, err = regtest.Start(regtest.Options{TLS: true, Username: user, Password: password}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.private.Close()) }()
	if err := d.login(); err != nil {
		return err
	}
	d.say("Two registries run in this process: a public one with the images of the chart,\nand an empty private one, with TLS and a password.")
	if err := d.fill(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.export, d.carry, d.prove} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// login writes what `docker login` would have, and the private registry's
// certificate authority.
func (d *demo) login() error {
	if _, err := d.private.WriteCA(d.dir); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{"auths": map[string]any{
		d.private.Host(): map[string]string{"username": user, "password": password},
	}})
	if err != nil {
		return err
	}
	docker, err := filepath.Abs(filepath.Join(d.dir, "docker"))
	if err != nil {
		return err
	}
	d.env = append(os.Environ(), "DOCKER_CONFIG="+docker)
	if err := os.Mkdir(docker, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docker, "config.json"), config, 0o600)
}

// export is the work on the connected side.
func (d *demo) export(ctx context.Context) error {
	d.say("On the connected side: a key, once; then the chart and all its images into one file.")
	if err := d.show(ctx, "keygen", "release-key", "--no-passphrase", "-C", "release@example.com"); err != nil {
		return err
	}
	public := d.public.Host()
	if err := d.show(ctx, "export", d.chart, "--key", "release-key", "-o", "operator.bundle.tar",
		"--registry-mirror", "docker.io="+public, "--registry-mirror", "ghcr.io="+public, "--plain-http", public); err != nil {
		return err
	}
	return d.show(ctx, "inspect", "operator.bundle.tar")
}

// carry is the work on the isolated side.
func (d *demo) carry(ctx context.Context) error {
	d.say("On the isolated side: check it, push it, and get the values that use it.")
	if err := d.show(ctx, "verify", "operator.bundle.tar", "--key", "release-key.pub"); err != nil {
		return err
	}
	if err := d.show(ctx, "import", "operator.bundle.tar", "--key", "release-key.pub",
		"--registry", d.private.Host()+"/apps", "--ca-file", "ca.pem", "--output-dir", "out"); err != nil {
		return err
	}
	values, err := os.ReadFile(filepath.Join(d.dir, "out", "operator", "values.yaml"))
	if err != nil {
		return err
	}
	fmt.Printf("\nout/operator/values.yaml:\n%s", indent(values))
	images, err := os.ReadFile(filepath.Join(d.dir, "out", "images.txt"))
	if err != nil {
		return err
	}
	fmt.Printf("\nout/images.txt:\n%s", indent(images))
	return nil
}

// prove renders the chart that is now in the private registry with the emitted
// values, and asks that registry for everything the result names.
func (d *demo) prove(ctx context.Context) error {
	d.say("The proof: the chart in the private registry, rendered with the emitted values, names\nnothing but images that the private registry serves, with the digests of the public one.")
	var out bytes.Buffer
	args := []string{"export", "oci://" + d.private.Host() + "/apps/charts/operator", "-f", "out/operator/values.yaml",
		"--ca-file", "ca.pem", "--dry-run", "--json", "-q"}
	if err := d.call(ctx, &out, args...); err != nil {
		return err
	}
	var report struct {
		Images []struct{ Reference, Digest string }
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		return fmt.Errorf("report of the proof: %w", err)
	}
	if len(report.Images) != len(d.digests) {
		return fmt.Errorf("%d references rendered, want %d", len(report.Images), len(d.digests))
	}
	home := d.private.Host() + "/apps/"
	for _, im := range report.Images {
		name, inside := strings.CutPrefix(im.Reference, home)
		if !inside {
			return fmt.Errorf("%s points outside", im.Reference)
		}
		if want := d.digests[name]; im.Digest != want {
			return fmt.Errorf("%s has digest %s, the public registry had %q", im.Reference, im.Digest, want)
		}
		fmt.Printf("  %s  %s\n", im.Digest, im.Reference)
	}
	abs, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d of %d references inside, 0 outside. Everything is in %s\n", len(report.Images), len(d.digests), abs)
	return nil
}

func (d *demo) say(text string) { fmt.Printf("\n# %s\n", strings.ReplaceAll(text, "\n", "\n# ")) }

// show runs the program as a person would, with its output in sight.
func (d *demo) show(ctx context.Context, args ...string) error {
	fmt.Printf("\n$ bundle %s\n", strings.Join(args, " "))
	return d.call(ctx, os.Stdout, args...)
}

func (d *demo) call(ctx context.Context, stdout io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, d.bundle, args...)
	cmd.Dir, cmd.Env = d.dir, d.env
	cmd.Stdout, cmd.Stderr = stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bundle %s: %w", args[0], err)
	}
	return nil
}

func indent(b []byte) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(string(b), "\n"), "\n", "\n  ") + "\n"
}

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"bundle/testdata/regtest"
)

// program finds a peer: where make judges puts it, or on the path.
func program(name string) (path, lacks string) {
	for _, p := range []string{filepath.Join(".bin", name), name} {
		if found, err := exec.LookPath(p); err == nil {
			if found, err = filepath.Abs(found); err == nil {
				return found, ""
			}
		}
	}
	return "", name
}

// exportArgs is our command line.
func (b *bench) exportArgs(host, file string) []string {
	args := []string{b.bundle, "export", "-q", "--unsigned", "--plain-http", host, "-o", file}
	for _, im := range b.work.Images {
		args = append(args, "--image", im.tagged(host))
	}
	return args
}

func (b *bench) importArgs(host, file string) []string {
	return []string{b.bundle, "import", "-q", file, "--insecure-skip-signature", "--plain-http", host,
		"--registry", host + "/apps", "--output-dir", b.path("out")}
}

// export runs our program once, unmeasured.
func (b *bench) export(ctx context.Context, host, file string) error {
	_, err := command(ctx, nil, b.exportArgs(host, file))
	return err
}

// writeWorkload writes what the limit reads.
func (b *bench) writeWorkload() (string, error) {
	raw, err := json.Marshal(b.work)
	if err != nil {
		return "", err
	}
	path := b.path("workload.json")
	return path, os.WriteFile(path, raw, 0o644)
}

// exports lets all fetch the images into one file that is on the disk.
func (b *bench) exports(ctx context.Context, host string) error {
	list, err := b.writeWorkload()
	if err != nil {
		return err
	}
	file, folder := b.path("export.tar"), b.path("export")
	clean := func() error { return errors.Join(os.RemoveAll(folder), os.RemoveAll(file)) }
	pack := [][]string{{"tar", "-cf", file, "-C", folder, "."}, {"sync", file}}
	crane, noCrane := program("crane")
	skopeo, noSkopeo := program("skopeo")
	return b.race(ctx, "export", []contender{
		{name: "limit", steps: func() [][]string { return [][]string{{b.self, "limit-export", list, host, file}} }},
		{name: "bundle export", steps: func() [][]string { return [][]string{b.exportArgs(host, file)} }},
		{name: "crane pull, tar", lacks: noCrane, steps: func() [][]string {
			pull := []string{crane, "pull", "--insecure", "--format=oci"}
			for _, im := range b.work.Images {
				pull = append(pull, im.tagged(host))
			}
			return append([][]string{append(pull, folder)}, pack...)
		}},
		{name: "skopeo copy, tar", lacks: noSkopeo, steps: func() (steps [][]string) {
			for _, im := range b.work.Images {
				steps = append(steps, []string{skopeo, "copy", "-q", "--insecure-policy", "--src-tls-verify=false",
					"--preserve-digests", "docker://" + im.tagged(host), "oci:" + folder + ":" + im.withoutHost()})
			}
			return append(steps, pack...)
		}},
	}, clean, clean)
}

// imports lets all push what one file has into an empty registry.
func (b *bench) imports(ctx context.Context) (err error) {
	list, err := b.writeWorkload()
	if err != nil {
		return err
	}
	file, raw, folder := b.path("one.tar"), b.path("raw"), b.path("import")
	if err := b.rawPayload(ctx, list, raw); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(raw), os.RemoveAll(b.path("out"))) }()
	var target *regtest.Registry
	before := func() (err error) {
		if err := os.RemoveAll(b.path("target")); err != nil {
			return err
		}
		target, err = startRegistry(b.path("target"))
		return err
	}
	after := func() error {
		return errors.Join(target.Close(), os.RemoveAll(b.path("target")), os.RemoveAll(folder))
	}
	crane, noCrane := program("crane")
	oras, noOras := program("oras")
	skopeo, noSkopeo := program("skopeo")
	return b.race(ctx, "import", []contender{
		{name: "limit", steps: func() [][]string { return [][]string{{b.self, "limit-import", list, target.Host(), raw}} }},
		{name: "bundle import", steps: func() [][]string { return [][]string{b.importArgs(target.Host(), file)} }},
		{name: "oras cp from the tar", lacks: noOras, steps: func() (steps [][]string) {
			for _, im := range b.work.Images {
				steps = append(steps, []string{oras, "cp", "--no-tty", "--from-oci-layout", file + "@" + im.Digest, "--to-plain-http", im.tagged(target.Host())})
			}
			return steps
		}},
		{name: "tar, crane push", lacks: noCrane, steps: func() [][]string {
			return [][]string{{"mkdir", folder}, {"tar", "-xf", file, "-C", folder},
				{crane, "push", "--insecure", "--index", folder, target.Host() + "/apps/all:1"}}
		}},
		{name: "tar, skopeo copy", lacks: noSkopeo, steps: func() [][]string {
			steps := [][]string{{"mkdir", folder}, {"tar", "-xf", file, "-C", folder}}
			for _, im := range b.work.Images {
				steps = append(steps, []string{skopeo, "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests",
					"oci:" + folder + ":" + b.source + "/" + im.Repo + ":1", "docker://" + im.tagged(target.Host())})
			}
			return steps
		}},
	}, before, after)
}

// rawPayload writes the blobs one after the other, for the limit.
func (b *bench) rawPayload(ctx context.Context, list, file string) error {
	source, err := b.fill(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = command(ctx, nil, []string{b.self, "limit-export", list, source.Host(), file})
	return err
}

// verifies compares with SHA-256 on all cores.
func (b *bench) verifies(ctx context.Context) error {
	file := b.path("one.tar")
	nothing := func() error { return nil }
	return b.race(ctx, "verify", []contender{
		{name: "sha256 on all cores", steps: func() [][]string { return [][]string{{b.self, "limit-verify", file}} }},
		{name: "bundle verify", steps: func() [][]string {
			return [][]string{{b.bundle, "verify", "-q", "--insecure-skip-signature", file}}
		}},
	}, nothing, nothing)
}

// again imports 50 images twice; the second time nothing is new.
func (b *bench) again(ctx context.Context) (err error) {
	const images = 50
	reg, err := regtest.Start(regtest.Options{})
	if err != nil {
		return err
	}
	defer reg.Close()
	export := []string{b.bundle, "export", "-q", "--unsigned", "--plain-http", reg.Host(), "-o", b.path("many.tar")}
	for i := range int64(images) {
		repo := fmt.Sprintf("many/image-%d:1", i)
		_, err := reg.PushImage(ctx, repo, regtest.Image{Layers: []regtest.Layer{
			{Size: 10_000, Seed: 1}, {Size: 10_000, Seed: 2}, {Size: 10_000, Seed: 100 + i}, {Size: 10_000, Seed: 200 + i}}})
		if err != nil {
			return err
		}
		export = append(export, "--image", reg.Host()+"/"+repo)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.path("many.tar")), os.RemoveAll(b.path("out"))) }()
	if _, err := command(ctx, nil, export); err != nil {
		return err
	}
	first, err := command(ctx, nil, b.importArgs(reg.Host(), b.path("many.tar")))
	if err != nil {
		return err
	}
	fastest := time.Hour
	for range b.rounds {
		reg.Log.Reset()
		r, err := command(ctx, nil, b.importArgs(reg.Host(), b.path("many.tar")))
		if err != nil {
			return err
		}
		fastest = min(fastest, r.took)
	}
	heads, all := reg.Log.Count("HEAD", ""), reg.Log.Count("", "")
	fmt.Printf("\nimport of %d images: %.2f s; again, nothing new: %.2f s, %d HEAD, %d other requests\n",
		images, first.took.Seconds(), fastest.Seconds(), heads, all-heads)
	return nil
}

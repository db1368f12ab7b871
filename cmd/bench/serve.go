//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// clients is how many pull at once, each its share of the blobs.
const clients = 8

// serves starts bundle serve and measures until it answers; then all pull from it, from
// docker-registry and from the limit: a server of files that verifies nothing.
func (b *bench) serves(ctx context.Context) (err error) {
	if err := b.firstAnswer(ctx); err != nil {
		return err
	}
	list, err := b.writeWorkload()
	if err != nil {
		return err
	}
	plain, stop, err := b.server(ctx, b.self, "limit-serve", list, b.store())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ours, stopOurs, err := b.serveBundle(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopOurs()) }()
	folder := b.path("pulled")
	clean := func() error { return os.RemoveAll(folder) }
	crane, noCrane := program("crane")
	var pulls, shares []contender
	for _, s := range []struct{ name, host string }{{"limit", plain}, {"bundle serve", ours}, {"docker-registry", b.source}} {
		shares = append(shares, contender{name: s.name, steps: func() [][]string { return [][]string{{b.self, "limit-pull", list, s.host}} }})
		pulls = append(pulls, contender{name: s.name, lacks: noCrane, steps: func() [][]string {
			pull := []string{crane, "pull", "--insecure", "--format=oci"}
			for _, im := range b.work.Images {
				pull = append(pull, im.tagged(s.host))
			}
			return [][]string{append(pull, folder)}
		}})
	}
	if err := b.race(ctx, "crane pulls from", pulls, clean, clean); err != nil {
		return err
	}
	return b.race(ctx, fmt.Sprintf("%d clients pull from", clients), shares, clean, clean)
}

// store is where docker-registry keeps its blobs.
func (b *bench) store() string {
	return filepath.Join(b.sourceDir(), "docker", "registry", "v2", "blobs", "sha256")
}

// firstAnswer measures bundle serve from its start to its first answer, and its peak of
// resident memory then.
func (b *bench) firstAnswer(ctx context.Context) error {
	took, memory := time.Hour, int64(0)
	for range b.rounds {
		start := time.Now()
		host, stop, err := b.serveBundle(ctx)
		if err != nil {
			return err
		}
		resp, err := http.Get("http://" + host + "/v2/" + b.work.Images[0].Repo + "/manifests/1")
		answered := time.Since(start)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		peak := b.served.peak()
		if err := errors.Join(err, stop()); err != nil {
			return err
		}
		took, memory = min(took, answered), max(memory, peak)
	}
	fmt.Printf("\nbundle serve, %.1f GB: first answer after %d ms, with %d MB\n", float64(b.work.Payload)/1e9, took.Milliseconds(), memory>>20)
	return nil
}

// A process is one that is running.
type process struct{ pid int }

// peak is the high-water mark of its resident memory, in bytes.
func (p process) peak() int64 {
	stop := make(chan struct{})
	result := make(chan int64)
	go func() { result <- watch(p.pid, stop) }()
	time.Sleep(20 * time.Millisecond)
	close(stop)
	return <-result
}

// serveBundle starts bundle serve; its address stands in its report.
func (b *bench) serveBundle(ctx context.Context) (host string, stop func() error, err error) {
	line, stop, err := b.server(ctx, b.bundle, "serve", b.path("one.tar"), "--insecure-skip-signature", "--plain-http", "--listen", "127.0.0.1:0", "--json")
	if err != nil {
		return "", nil, err
	}
	var report struct{ Address string }
	if err := json.Unmarshal([]byte(line), &report); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return report.Address, stop, nil
}

// server starts a program that says where it listens: in one line, or in one object of
// JSON.
func (b *bench) server(ctx context.Context, args ...string) (said string, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	b.served = process{cmd.Process.Pid}
	stop = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_ = cmd.Wait() // it was interrupted
		return nil
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		said += line
		if err != nil {
			return "", nil, errors.Join(fmt.Errorf("%s: %s", args[0], log.String()), err, stop())
		}
		if !strings.HasPrefix(said, "{") || json.Valid([]byte(said)) {
			return strings.TrimSpace(said), stop, nil
		}
	}
}

// limitServe WORKLOAD FOLDER: answers from the files of docker-registry, as they are.
func limitServe(args []string) error {
	w, err := readWorkload(args[0])
	if err != nil {
		return err
	}
	tags := make(map[string]string) // repository → digest
	for _, im := range w.Images {
		tags[im.Repo] = im.Digest
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v2/")
		repo, ref, manifest := strings.Cut(path, "/manifests/")
		if !manifest {
			_, ref, _ = strings.Cut(path, "/blobs/")
		}
		if d := tags[repo]; manifest && !strings.Contains(ref, ":") {
			ref = d
		}
		hex := strings.TrimPrefix(ref, "sha256:")
		if len(hex) != 2*sha256.Size || strings.ContainsAny(hex, "/.") {
			return // the question whether this is a registry
		}
		file := filepath.Join(args[1], hex[:2], hex, "data")
		rw.Header().Set("Content-Type", "application/octet-stream")
		rw.Header().Set("Docker-Content-Digest", ref)
		if manifest {
			var m struct{ MediaType string }
			if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &m) == nil {
				rw.Header().Set("Content-Type", m.MediaType)
			}
		}
		http.ServeFile(rw, r, file)
	}))
	fmt.Println(strings.TrimPrefix(server.URL, "http://"))
	select {} // until it is interrupted
}

// limitPull WORKLOAD HOST: gets and hashes each blob, as any client does.
func limitPull(args []string) error {
	w, err := readWorkload(args[0])
	if err != nil {
		return err
	}
	g := new(errgroup.Group)
	g.SetLimit(clients)
	for _, b := range w.Blobs {
		g.Go(func() error { return limitGet(args[1], b, io.Discard) })
	}
	return g.Wait()
}

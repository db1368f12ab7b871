package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// hasRoot is the condition of scripts that run what nobody else may.
func hasRoot() (bool, error) {
	if os.Geteuid() == 0 {
		return true, nil
	}
	if os.Getenv("CI") != "" {
		return false, errors.New("in CI, containerd has to be run by root")
	}
	return false, nil
}

// containerdConfig keeps a containerd to itself: nothing for Kubernetes, no snapshots
// but folders that are copied, and each namespace (ctr -n) has to fetch for itself.
const containerdConfig = `version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.overlayfs", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = %q
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
`

// cmdContainerd starts containerd for one script; $CTR is its socket, for ctr -a.
func cmdContainerd(ts *testscript.TestScript, neg bool, args []string) {
	dir, err := os.MkdirTemp("", "ctr") // sockets have short names
	ts.Check(err)
	ts.Defer(func() { ts.Check(os.RemoveAll(dir)) })
	config, socket := filepath.Join(dir, "config.toml"), filepath.Join(dir, "c.sock")
	ts.Check(os.WriteFile(config, fmt.Appendf(nil, containerdConfig, filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket), 0o600))
	log, err := os.Create(ts.MkAbs("containerd.log"))
	ts.Check(err)
	cmd := exec.Command("containerd", "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); log.Close(); close(ended) }()
	ts.Defer(func() { _ = cmd.Process.Signal(os.Interrupt); <-ended })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for exec.CommandContext(ctx, "ctr", "--address", socket, "version").Run() != nil {
		select {
		case <-ended:
			ts.Fatalf("containerd ended:\n%s", ts.ReadFile("containerd.log"))
		case <-ctx.Done():
			ts.Fatalf("containerd does not answer:\n%s", ts.ReadFile("containerd.log"))
		case <-time.After(50 * time.Millisecond):
		}
	}
	ts.Setenv("CTR", socket)
}

//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// kubeVersion is what both programs render charts for: many refuse Helm's own default.
const kubeVersion = "v1.34.0"

// allowed is how much processor time bundle values may take for a chart that helm
// template renders in so much.
func allowed(helm time.Duration) time.Duration { return 5*helm + time.Second/2 }

// values measures bundle values against helm template, for each chart in a folder: the
// processor time of the processes and all that they start, and how often the chart is
// rendered. Of all rounds, the least counts. Charts that need values are left out.
func (b *bench) values(ctx context.Context) error {
	charts, err := chartsIn(b.charts)
	if err != nil {
		return err
	}
	helm, lacks := program("helm")
	if lacks != "" {
		return errors.New("there is no helm to measure against")
	}
	// What children leave behind comes to this process, and can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of processes: %w", err)
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "bundle values of\tCPU s\trenders\thelm template CPU s\ttimes\tof what is allowed")
	var failed []error
	for _, chart := range charts {
		name := strings.TrimSuffix(filepath.Base(chart), ".tgz")
		var own, peer time.Duration
		var renders int
		for round := range b.rounds {
			took, said, err := usage(ctx, helm, "template", "r", chart, "--kube-version", kubeVersion)
			if err != nil {
				fmt.Fprintf(t, "%s\t-\t-\t-\t-\t%s\n", name, firstLine(said))
				break
			}
			mine, n, err := b.valuesOf(ctx, chart)
			if err != nil {
				return err
			}
			if round == 0 {
				own, peer = mine, took
			}
			own, peer, renders = min(own, mine), min(peer, took), n
		}
		if peer == 0 {
			continue
		}
		part := own.Seconds() / allowed(peer).Seconds()
		fmt.Fprintf(t, "%s\t%.2f\t%d\t%.2f\t%.1f\t%.2f\n", name, own.Seconds(), renders, peer.Seconds(), own.Seconds()/peer.Seconds(), part)
		if part > 1 {
			failed = append(failed, fmt.Errorf("%s takes %.2f times what is allowed", name, part))
		}
	}
	return errors.Join(append(failed, t.Flush())...)
}

// chartsIn lists the charts in a folder: archives, and folders with a Chart.yaml.
func chartsIn(dir string) ([]string, error) {
	list, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return nil, err
	}
	folders, err := filepath.Glob(filepath.Join(dir, "*", "Chart.yaml"))
	for _, f := range folders {
		list = append(list, filepath.Dir(f))
	}
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: there are no charts in it", dir)
	}
	slices.Sort(list)
	return list, err
}

// valuesOf runs bundle values once.
func (b *bench) valuesOf(ctx context.Context, chart string) (took time.Duration, renders int, err error) {
	took, said, err := usage(ctx, b.bundle, "values", "--json", "--kube-version", kubeVersion, "--registry", "registry.plant.local:5000", chart)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != incomplete) {
		return 0, 0, fmt.Errorf("%s: bundle values: %w\n%s", chart, err, said)
	}
	var report struct{ Charts []struct{ Renders int } }
	if err := json.Unmarshal([]byte(said), &report); err != nil {
		return 0, 0, fmt.Errorf("%s: what bundle values says: %w", chart, err)
	}
	for _, c := range report.Charts {
		renders += c.Renders
	}
	return took, renders, nil
}

// incomplete is the exit code of bundle where values do not move everything.
const incomplete = 6

// usage runs a program to its end, and to that of all that it started, and returns the
// processor time of all. It says what the program said.
func usage(ctx context.Context, name string, args ...string) (took time.Duration, said string, err error) {
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Start(); err != nil {
		return 0, "", err
	}
	err = cmd.Wait()
	took = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	for {
		var u syscall.Rusage
		pid, werr := syscall.Wait4(-1, nil, 0, &u)
		switch {
		case werr == syscall.EINTR:
		case werr != nil || pid <= 0: // nothing is left
			return took, cmp.Or(out.String(), errs.String()), err
		default:
			took += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line[:min(len(line), 100)]
}

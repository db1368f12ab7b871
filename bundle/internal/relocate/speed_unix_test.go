//go:build unix

package relocate

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/written"
)

// BenchmarkValues derives the values of every chart of the tests, and of those in
// the folder that CHARTS names, each loaded anew. Per chart it says how much
// processor time that takes, how many renders, and how often helm could have
// rendered the chart in the time beyond half a second (wanted: five times):
//
//	CHARTS=/path/of/charts go test ./bundle/internal/relocate -run - -bench Values -benchtime 1x
func BenchmarkValues(b *testing.B) {
	charts, err := filepath.Glob("../../../testdata/charts/*")
	if err != nil || len(charts) == 0 {
		b.Fatalf("no charts: %v", err)
	}
	if dir := os.Getenv("CHARTS"); dir != "" {
		more, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
		if err != nil || len(more) == 0 {
			b.Fatalf("no charts in %s: %v", dir, err)
		}
		charts = append(charts, more...)
	}
	for _, path := range charts {
		b.Run(strings.TrimSuffix(filepath.Base(path), ".tgz"), func(b *testing.B) {
			var own, helm time.Duration
			renders := 0
			for b.Loop() {
				before := processorTime(syscall.RUSAGE_SELF)
				r, err := derive(b.Context(), path)
				if err != nil {
					b.Skip(err) // needs values, or is a library
				}
				own += processorTime(syscall.RUSAGE_SELF) - before
				renders += r.Renders
				helm += helmTime(b, path)
			}
			n := float64(b.N)
			b.ReportMetric(own.Seconds()/n, "cpu-s/op")
			b.ReportMetric(float64(renders)/n, "renders/op")
			b.ReportMetric(helm.Seconds()/n, "helm-s/op")
			b.ReportMetric((own.Seconds()-n*0.5)/helm.Seconds(), "helms")
		})
	}
}

func derive(ctx context.Context, path string) (*Result, error) {
	c, err := chart.Load(ctx, chart.Source{Ref: path}, chart.LoadOptions{})
	if err != nil {
		return nil, err
	}
	return Derive(ctx, Request{Chart: c, Target: func(raw string) (string, bool) {
		return written.Target(raw, "registry.plant.local:5000", false), true
	}})
}

// helmTime is the processor time of helm template.
func helmTime(b *testing.B, path string) time.Duration {
	helm, err := exec.LookPath("helm")
	if err != nil {
		b.Skip(err)
	}
	cmd := exec.CommandContext(b.Context(), helm, "template", "r", path, "--kube-version", chart.DefaultKubeVersion)
	if err := cmd.Run(); err != nil {
		b.Skipf("helm template: %v", err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func processorTime(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(err) // the kernel knows it
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

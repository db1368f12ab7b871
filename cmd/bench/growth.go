//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/testdata/regtest"
)

// A shape is content of which there is much, and that weighs little: what it costs
// to export shows how the work grows.
type shape struct {
	name   string
	images int
	layers int // of each image
	shared int // of these, drawn from a pool that all images share
	most   float64
	index  bool // the images are the platforms of one
	charts bool // each image is that of a chart
}

// shapes are measured in this order. A ratio to the shape before is bounded where
// that is a smaller one of the same kind.
var shapes = []shape{
	{name: "5,000 blobs", images: 50, layers: 99},
	{name: "20,000 blobs", images: 200, layers: 99, most: 4.5},
	{name: "1,000 images that share", images: 1000, layers: 10, shared: 9},
	{name: "5,000 images that share", images: 5000, layers: 10, shared: 9, most: 7},
	{name: "one image of 500 layers", images: 1, layers: 500},
	{name: "one index of 200 platforms", images: 200, layers: 3, index: true},
	{name: "200 charts", images: 200, layers: 3, charts: true},
}

// pool is how many shared layers there are.
const pool = 50

// memoryLimit is the peak of resident memory that no shape may exceed.
const memoryLimit = 128 << 20

// grow measures all shapes. The registry is a process of its own: its work does
// not count.
func (b *bench) grow(ctx context.Context) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "export of\tblobs\ts\tCPU s\tof the one before\tpeak MB")
	var before float64
	var failed []error
	for i, s := range shapes {
		if b.only != "" && !strings.Contains(s.name, b.only) {
			continue
		}
		r, blobs, err := b.shape(ctx, i)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		ratio := "-"
		if s.most > 0 && before > 0 {
			ratio = fmt.Sprintf("%.2f", r.cpu.Seconds()/before)
			if r.cpu.Seconds() > s.most*before {
				failed = append(failed, fmt.Errorf("%s take %s times as long as those before, more than %.1f", s.name, ratio, s.most))
			}
		}
		if r.memory > memoryLimit {
			failed = append(failed, fmt.Errorf("%s take %d MB", s.name, r.memory>>20))
		}
		before = r.cpu.Seconds()
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%s\t%d\n", s.name, blobs, r.took.Seconds(), r.cpu.Seconds(), ratio, r.memory>>20)
	}
	return errors.Join(append(failed, t.Flush())...)
}

// serveShape starts a registry of its own that has a shape, and says where it is.
func (b *bench) serveShape(ctx context.Context, i int) (host string, stop func() error, err error) {
	server := exec.CommandContext(ctx, b.self, "serve-shape", fmt.Sprint(i))
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(in.Close(), server.Wait()) }
	if host, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return strings.TrimSpace(host), stop, nil
}

// shape exports one shape.
func (b *bench) shape(ctx context.Context, i int) (r result, blobs int, err error) {
	host, stop, err := b.serveShape(ctx, i)
	if err != nil {
		return r, 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	args, err := b.shapeArgs(shapes[i], host)
	if err != nil {
		return r, 0, err
	}
	r, said, err := reported(ctx, args)
	if err != nil {
		return r, 0, err
	}
	var report struct{ Blobs int }
	err = errors.Join(json.Unmarshal(said, &report), os.Remove(b.path("grow.tar")))
	return r, report.Blobs, err
}

func (s shape) ref(i int) string { return fmt.Sprintf("grow/image-%d:1", i) }

// shapeArgs is the command line, and writes what it names.
func (b *bench) shapeArgs(s shape, host string) ([]string, error) {
	args := []string{b.bundle, "export", "--json", "--unsigned", "--progress", "none", "--plain-http", host, "-o", b.path("grow.tar")}
	if s.charts {
		return append(args, "--config", b.path("grow.yaml")), b.writeCharts(s, host)
	}
	var list strings.Builder
	for i := range s.images {
		if s.index {
			fmt.Fprintf(&list, "%s/grow/index:1\n", host)
			break
		}
		fmt.Fprintf(&list, "%s/%s\n", host, s.ref(i))
	}
	return append(args, "--images-from", b.path("grow.txt")), os.WriteFile(b.path("grow.txt"), []byte(list.String()), 0o644)
}

// writeCharts writes one chart for each image, and a configuration that lists them.
func (b *bench) writeCharts(s shape, host string) error {
	var config strings.Builder
	config.WriteString("charts:\n")
	for i := range s.images {
		dir := b.path(fmt.Sprintf("grow/chart-%d", i))
		if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
			return err
		}
		files := map[string]string{
			"Chart.yaml":           fmt.Sprintf("apiVersion: v2\nname: chart-%d\nversion: 1.0.0\n", i),
			"values.yaml":          fmt.Sprintf("image: %s/%s\n", host, s.ref(i)),
			"templates/x.yaml":     "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n    - {name: x, image: \"{{ .Values.image }}\"}\n",
			"templates/empty.yaml": "",
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(&config, "  - chart: grow/chart-%d\n", i)
	}
	return os.WriteFile(b.path("grow.yaml"), []byte(config.String()), 0o644)
}

// serveShape is the child: it fills a registry, says where it is, and ends with
// its standard input.
func serveShape(s shape) error {
	reg, err := regtest.StartReferrers(regtest.Options{})
	if err != nil {
		return err
	}
	defer reg.Close()
	ctx := context.Background()
	var children []ocispec.Descriptor
	for i := range s.images {
		layers := make([]regtest.OddLayer, s.layers)
		for n := range layers {
			layers[n].Content = fmt.Sprintf("layer %d of image %d", n, i)
			if n < s.shared {
				layers[n].Content = fmt.Sprintf("shared layer %d", (i*s.shared+n)%pool)
			}
		}
		ref, platform := s.ref(i), "linux/amd64"
		if s.index {
			ref, platform = "grow/index", fmt.Sprintf("linux/arch%d", i)
		}
		d, err := reg.PushOdd(ctx, ref, platform, layers...)
		if err != nil {
			return err
		}
		children = append(children, d)
	}
	if s.index {
		if _, err := reg.PushList(ctx, "grow/index:1", children...); err != nil {
			return err
		}
	}
	fmt.Println(reg.Host())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

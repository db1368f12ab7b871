package chart

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"time"
	"unicode"

	"github.com/klauspost/compress/gzip"
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/yaml"
)

// MaxArchive is how many bytes a packaged chart may have, wherever it comes from or
// goes to. Like the other limits of size it is Helm's own: a chart beyond them could
// not be installed anyway.
const MaxArchive = 100 << 20

// Further limits of an archive, subcharts that are archives themselves included.
const (
	maxChartSize  = 100 << 20 // decompressed, all archives together
	maxChartFiles = 20000
	maxNesting    = 8 // archives within archives

	// maxParsed is how many bytes may be read as YAML when the chart is loaded, of all
	// charts in it together: read, they take fifty times as much. The largest that we
	// know has one of them.
	maxParsed = 16 << 20

	// maxInstances is how often charts may be used in one, under aliases: a few
	// that use each other twice at every level would be millions.
	maxInstances = 5000
)

// ArchiveError says what is wrong with a chart archive.
type ArchiveError struct {
	Entry string // name of the offending entry, empty when it is the archive itself
	Err   error
}

func (e *ArchiveError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("chart archive: %v", e.Err)
	}
	return fmt.Sprintf("chart archive: entry %q: %v", e.Entry, e.Err)
}

func (e *ArchiveError) Unwrap() error { return e.Err }

// Open reads a chart archive (.tgz) from memory. Links, devices, names that
// lead out of the chart, and archives beyond the limits (100 MiB, 20000 files)
// are refused with an *ArchiveError. The caller must not change archive
// afterwards.
//
// Dependencies that the archive lacks are not fetched; rendering such a chart
// strictly fails with a *DependencyError.
func Open(archive []byte) (*Chart, error) {
	budget := &budget{size: maxChartSize, files: maxChartFiles, parsed: maxParsed}
	if err := budget.check(archive, 0); err != nil {
		return nil, err
	}
	h, err := loadHelm(func() (*helm.Chart, error) {
		return loader.LoadArchive(bytes.NewReader(archive))
	})
	if err != nil {
		return nil, &ArchiveError{Err: err}
	}
	return &Chart{helm: h, archive: archive}, nil
}

// loadHelm calls one of Helm's loaders, quietly, and brings the result into a
// fixed order. Helm's loader panics on some malformed metadata.
func loadHelm(load func() (*helm.Chart, error)) (h *helm.Chart, err error) {
	defer silence()()
	defer func() {
		if r := recover(); r != nil {
			h, err = nil, fmt.Errorf("malformed chart: %v", r)
		}
	}()
	if h, err = load(); err != nil {
		return nil, err
	}
	if err := checkTree(h); err != nil {
		return nil, err
	}
	left := maxInstances
	if err := checkInstances(h, &left); err != nil {
		return nil, err
	}
	sortDependencies(h)
	return h, nil
}

// checkTree refuses what Helm's loader lets through and its renderer trips
// over.
func checkTree(h *helm.Chart) error {
	if h == nil || h.Metadata == nil {
		return errors.New("there is no Chart.yaml in it")
	}
	for i, d := range h.Metadata.Dependencies {
		if d == nil {
			return fmt.Errorf("chart %s: dependency %d is empty", h.Name(), i+1)
		}
	}
	for _, d := range h.Dependencies() {
		if err := checkTree(d); err != nil {
			return err
		}
	}
	return nil
}

// checkInstances counts every use of a dependency.
func checkInstances(h *helm.Chart, left *int) error {
	for _, d := range h.Dependencies() {
		for range dependencyNames(h, d.Name()) {
			if *left--; *left < 0 {
				return fmt.Errorf("its dependencies are used more than %d times", maxInstances)
			}
			if err := checkInstances(d, left); err != nil {
				return err
			}
		}
	}
	return nil
}

// budget is what remains of the limits.
type budget struct {
	size   int64
	files  int
	parsed int64
}

var (
	errTooLarge = fmt.Errorf("decompresses to more than %d MiB", maxChartSize>>20)
	errTooMuch  = fmt.Errorf("its values and the like hold more than %d MiB", maxParsed>>20)
	errTooMany  = fmt.Errorf("holds more than %d files", maxChartFiles)
)

// check walks the archive before Helm does.
func (b *budget) check(archive []byte, depth int) error {
	if len(archive) > MaxArchive {
		return &ArchiveError{Err: fmt.Errorf("larger than %d MiB", MaxArchive>>20)}
	}
	return b.walk(bytes.NewReader(archive), depth)
}

// walk is check for an archive that need not be in memory: one within another
// decompresses as far as the budget goes.
func (b *budget) walk(archive io.Reader, depth int) error {
	zr, err := gzip.NewReader(archive)
	if err != nil {
		return &ArchiveError{Err: fmt.Errorf("not a gzip file: %w", err)}
	}
	// The padding and headers of the tar stream count too, with room to spare.
	stream := &limitedReader{r: zr, left: b.size + int64(b.files)*2048}
	tr := tar.NewReader(stream)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &ArchiveError{Err: err}
		}
		if err := b.checkEntry(tr, h, depth); err != nil {
			return err
		}
	}
}

func (b *budget) checkEntry(r io.Reader, h *tar.Header, depth int) error {
	fail := func(err error) error { return &ArchiveError{Entry: h.Name, Err: err} }
	if b.files--; b.files < 0 { // folders too: a chart has no more of them than files
		return fail(errTooMany)
	}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
	default:
		return fail(fmt.Errorf("is no regular file (type %q)", h.Typeflag))
	}
	if b.size -= h.Size; b.size < 0 || h.Size < 0 {
		return fail(errTooLarge)
	}
	if strings.ContainsFunc(h.Name, unicode.IsControl) {
		return fail(errors.New("its name has a control character"))
	}
	name := strings.ReplaceAll(h.Name, `\`, "/")
	if path.IsAbs(name) || strings.Contains("/"+name+"/", "/../") {
		return fail(errors.New("leads out of the chart"))
	}
	if isParsed(path.Base(name)) {
		if b.parsed -= h.Size; b.parsed < 0 {
			return fail(errTooMuch)
		}
	}
	if path.Ext(name) != ".tgz" || path.Base(path.Dir(name)) != "charts" {
		return nil
	}
	if depth == maxNesting {
		return fail(fmt.Errorf("archives nest deeper than %d", maxNesting))
	}
	if base := path.Base(name); base[0] == '_' || base[0] == '.' {
		return nil // Helm does not open it either
	}
	if err := b.walk(r, depth+1); err != nil {
		return fail(err)
	}
	return nil
}

// isParsed tells whether a file of that name is read as YAML when a chart is loaded.
func isParsed(base string) bool {
	switch base {
	case "Chart.yaml", "Chart.lock", "values.yaml", "requirements.yaml", "requirements.lock":
		return true
	}
	return false
}

// limitedReader fails, unlike io.LimitedReader, when there is more to read.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}

// pack writes the chart as helm package would, but the same bytes every time:
// entries in a fixed order, all with the same time.
func pack(h *helm.Chart) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	if err := packChart(tw, h, h.Name()); err != nil {
		return nil, fmt.Errorf("package chart %s: %w", h.Name(), err)
	}
	if err := tw.Close(); err != nil {
		return nil, fmt.Errorf("package chart %s: %w", h.Name(), err)
	}
	if err := zw.Close(); err != nil {
		return nil, fmt.Errorf("package chart %s: %w", h.Name(), err)
	}
	return buf.Bytes(), nil
}

func packChart(tw *tar.Writer, h *helm.Chart, dir string) error {
	if n := h.Name(); n == "" || n != path.Base(n) || n == "." || n == ".." {
		return fmt.Errorf("%q is not a chart name", n)
	}
	files, err := headFiles(h)
	if err != nil {
		return err
	}
	for _, group := range [][]*helm.File{h.Templates, h.Files} {
		sorted := append([]*helm.File(nil), group...)
		sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
		files = append(files, sorted...)
	}
	for _, f := range files {
		err := tw.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(dir, f.Name), Mode: 0o644,
			Size: int64(len(f.Data)), ModTime: time.Unix(0, 0),
		})
		if err != nil {
			return err
		}
		if _, err := tw.Write(f.Data); err != nil {
			return err
		}
	}
	names := map[string]int{}
	for _, d := range h.Dependencies() {
		names[d.Name()]++
	}
	for _, d := range h.Dependencies() {
		sub := d.Name()
		if names[sub] > 1 { // two versions of one chart, used under aliases
			sub += "-" + d.Metadata.Version
		}
		if err := packChart(tw, d, path.Join(dir, "charts", sub)); err != nil {
			return err
		}
	}
	return nil
}

// headFiles are the files that Helm writes first, from what it parsed:
// Chart.yaml, Chart.lock, values.yaml and values.schema.json.
func headFiles(h *helm.Chart) ([]*helm.File, error) {
	md := *h.Metadata
	if md.APIVersion == helm.APIVersionV1 {
		md.Dependencies = nil // they stand in requirements.yaml
	}
	meta, err := yaml.Marshal(&md)
	if err != nil {
		return nil, err
	}
	files := []*helm.File{{Name: "Chart.yaml", Data: meta}}
	if h.Lock != nil && md.APIVersion == helm.APIVersionV2 {
		lock, err := yaml.Marshal(h.Lock)
		if err != nil {
			return nil, err
		}
		files = append(files, &helm.File{Name: "Chart.lock", Data: lock})
	}
	for _, f := range h.Raw {
		if f.Name == "values.yaml" {
			files = append(files, f)
		}
	}
	if h.Schema != nil {
		files = append(files, &helm.File{Name: "values.schema.json", Data: h.Schema})
	}
	return files, nil
}

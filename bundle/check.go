package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bundle/bundle/internal/check"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/words"
	"bundle/bundle/reports"
)

// CheckOptions say in which registry to look.
type CheckOptions struct {
	Registry        Registry
	Stdin           io.Reader // what the path "-" stands for
	Jobs            int       // questions at once; 0: DefaultJobs
	RegistryOptions RegistryOptions
}

// Bounds of manifests, in bytes and in files.
const (
	maxManifests = 256 << 20
	maxFiles     = 100_000
)

// Check asks a registry for what path names: the images of rendered manifests (a
// file, a folder, or - for standard input), or what the receipt of an import says
// was put there. What is not as it should be is in the report, and the error is an
// *reports.IncompleteError beside it.
func Check(ctx context.Context, path string, o CheckOptions) (*reports.Check, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	report := &reports.Check{Registry: o.Registry.String()}
	files, err := readManifests(ctx, path, o.Stdin)
	if err != nil {
		return nil, err
	}
	if receipt, ok := emit.ParseReceipt([]byte(files[path])); ok {
		report.Receipt, report.Images = true, check.Receipt(receipt, o.Registry)
	} else {
		report.Images, report.Unresolved = check.Manifests(files)
	}
	if len(report.Images) == 0 {
		return nil, &fault.UsageError{
			What:   path + ": no image is named in it",
			Advice: "want rendered manifests, as helm template prints them, or the receipt of an import",
		}
	}
	if err := check.Ask(ctx, client, o.Registry, report.Images, o.Jobs); err != nil {
		return nil, err
	}
	return report, notAsNeeded(report)
}

// A checkError lists what is not as it should be.
type checkError struct {
	registry string
	items    []fault.Item
}

func (e *checkError) Error() string {
	lines := make([]string, len(e.items))
	for i, it := range e.items {
		lines[i] = it.Subject + ": " + it.Reason
		if it.Where != "" {
			lines[i] += ": " + it.Where
		}
	}
	return fmt.Sprintf("%s does not have all that is needed:\n  %s", e.registry, strings.Join(lines, "\n  "))
}

// Listed returns each name.
func (e *checkError) Listed() []fault.Item { return e.items }

// Fault says how to bring what is missing.
func (e *checkError) Fault() (fault.Kind, string) {
	return fault.Incomplete, "import the bundle again: it sends what is not there; for what is outside, see bundle values"
}

func notAsNeeded(r *reports.Check) error {
	e := &checkError{registry: r.Registry}
	for _, im := range r.Images {
		it := fault.Item{Subject: im.Reference, State: string(im.State)}
		switch im.State {
		case words.Present:
			continue
		case words.Changed:
			it.Reason = fmt.Sprintf("changed: it is %s, not %s", im.Now, im.Digest)
		case words.Outside:
			it.Reason = "outside of " + r.Registry
		default:
			it.Reason = string(im.State)
		}
		if len(im.Found) > 0 {
			it.Where = im.Found[0].Where()
		}
		e.items = append(e.items, it)
	}
	if len(e.items) == 0 {
		return nil
	}
	return e
}

// readManifests reads a file, standard input, or what a folder holds as YAML or
// JSON.
func readManifests(ctx context.Context, path string, stdin io.Reader) (map[string]string, error) {
	if path == "-" {
		b, err := io.ReadAll(io.LimitReader(stdin, maxManifests+1))
		if err == nil && len(b) > maxManifests {
			err = fmt.Errorf("more than %d MiB", maxManifests>>20)
		}
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return map[string]string{"-": string(b)}, nil
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Input(path, errors.New("no such file or folder"), fault.HintPath)
	}
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		b, err := input.File(ctx, path, maxManifests)
		return map[string]string{path: string(b)}, err
	}
	files, total := make(map[string]string), 0
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(name)
		if err != nil || !d.Type().IsRegular() || ext != ".yaml" && ext != ".yml" && ext != ".json" {
			return err
		}
		b, err := input.File(ctx, name, maxManifests)
		if total += len(b); err == nil && (total > maxManifests || len(files) == maxFiles) {
			err = &fault.UsageError{What: fmt.Sprintf("%s: more than %d MiB or %d files", path, maxManifests>>20, maxFiles)}
		}
		files[name] = string(b)
		return err
	})
	return files, err
}

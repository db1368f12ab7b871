package bundle

import (
	"context"
	"fmt"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/history"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/words"
	"bundle/bundle/reports"
)

// StatusOptions say which registry is asked.
type StatusOptions struct {
	Registry        Registry
	Jobs            int // questions at once; 0: DefaultJobs
	RegistryOptions RegistryOptions
	Progress        Progress
}

// Status tells from the records in a registry what was imported, by whom it was
// signed, and whether all of it is still there. Where something is not, the error is
// a *reports.IncompleteError beside the report.
func Status(ctx context.Context, o StatusOptions) (*reports.Status, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	pr := progress.OrSilent(o.Progress)
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	pr.Phase("asking the registry", 0)
	defer pr.End()
	store := history.Store{Client: client, Registry: o.Registry}
	past, err := store.Read(ctx)
	if err != nil {
		return nil, err
	}
	r := &reports.Status{Registry: o.Registry.String(), Imports: past.Imports, More: past.More, Warnings: unread(store, past)}
	if r.Names, r.Lost, err = store.Check(ctx, past, o.Jobs); err != nil {
		return nil, err
	}
	return r, lacking(r)
}

func lacking(r *reports.Status) error {
	e := &fault.IncompleteError{
		Summary: "not all that was imported is there:",
		Advice:  "import the bundle again: it sends what is missing",
	}
	for _, n := range r.Names {
		switch n.State {
		case words.Missing:
			e.Items = append(e.Items, fmt.Sprintf("%s: missing, was %s of bundle %s", n.Name.Name, n.Digest, n.By.Bundle.ID))
		case words.Changed:
			e.Items = append(e.Items, fmt.Sprintf("%s: changed, was %s of bundle %s, is %s", n.Name.Name, n.Digest, n.By.Bundle.ID, n.Now))
		}
	}
	for _, l := range r.Lost {
		what := "blob"
		if l.Manifest {
			what = "manifest"
		}
		e.Items = append(e.Items, fmt.Sprintf("%s: %s %s is missing", l.Repository, what, l.Digest))
	}
	if len(e.Items) == 0 {
		return nil
	}
	return e
}

// unread says of documents that say nothing.
func unread(s history.Store, past history.Past) (lines []string) {
	for _, u := range past.Unread {
		lines = append(lines, fmt.Sprintf("the record of an import, %s:%s, is left out: %v", s.Repository(), u.Tag, u.Err))
	}
	return lines
}

package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newStatus() *cobra.Command {
	var (
		o        bundle.StatusOptions
		reg      registryFlags
		registry string
	)
	cmd := &cobra.Command{
		Use:   "status --registry HOST[:PORT][/PREFIX]",
		Short: "Say what was imported into a registry, and whether all of it is still there",
		Long: `Say what was imported into a registry, when and signed by whom, and whether all of
it is still there. Each import leaves a record in the registry; what it names is
asked for, and nothing is downloaded but the records.

The exit code is 6 where a name is missing or stands for something else, or where
the registry lost something that a name needs: an import of the bundle mends that.`,
		Example: `  bundle status --registry registry.plant.local:5000/apps
  bundle status --registry registry.plant.local:5000/apps --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Registry, err = asked(registry); err != nil {
				return err
			}
			o.Progress = newProgress(cmd)
			if o.RegistryOptions, err = reg.at(cmd, o.Registry.Host, o.Progress); err != nil {
				return err
			}
			report, err := bundle.Status(cmd.Context(), o)
			if report == nil {
				return err
			}
			return output(cmd, statusJSON(report, err), func(v view) { printStatus(v, report) }, func(w io.Writer) {
				for _, n := range report.Names {
					fmt.Fprintln(w, report.Registry+"/"+n.Name.Name)
				}
			}, err)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&registry, "registry", "", "ask the registry `HOST[:PORT][/PREFIX]`")
	o.Jobs = bundle.DefaultJobs
	fl.Var(jobs(&o.Jobs), "jobs", "`NUMBER` of questions at once")
	reg.add(cmd, "the registry")
	return cmd
}

func printStatus(v view, r *reports.Status) {
	if len(r.Imports) == 0 {
		fmt.Fprintf(v.out, "no import has left a record in %s\n", r.Registry)
	}
	var rows [][]string
	for _, im := range r.Imports {
		by := "not checked"
		if len(im.Signers) > 0 {
			by = im.Signers[0].Fingerprint
			if n := len(im.Signers); n > 1 {
				by += fmt.Sprintf(" and %d more", n-1)
			}
		}
		rows = append(rows, []string{im.Finished.Format(time.RFC3339), im.Bundle.ID, im.Bundle.Created.Format(time.RFC3339), strconv.Itoa(len(im.Names)), by})
	}
	v.out.table([]string{"IMPORTED", "BUNDLE", "CREATED", "NAMES", "SIGNED BY"}, rows)
	if r.More {
		fmt.Fprintln(v.out, "there are older imports, which were not read")
	}
	rows = nil
	for _, n := range r.Names {
		rows = append(rows, []string{n.Name.Name, short(n.Digest.String()), n.By.Bundle.ID, string(n.State)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(v.out)
	}
	v.out.table([]string{"NAME", "DIGEST", "BUNDLE", "STATE"}, rows)
	for _, text := range r.Warnings {
		fmt.Fprintf(v.err, "warning: %s\n", text)
	}
}

// A jsonStatus is the report of bundle status.
type jsonStatus struct {
	Registry string           `json:"registry"`
	Complete bool             `json:"complete"` // all that was imported is there
	Imports  []jsonPastImport `json:"imports"`  // newest first
	More     bool             `json:"more"`     // there are older ones, which were not read
	Images   []jsonStanding   `json:"images"`   // names in the registry, charts and referrers among them
	Lost     []jsonLost       `json:"lost"`     // what they need, and the registry does not have
	Warnings []string         `json:"warnings"`
}

// A jsonPastImport is one import of the past.
type jsonPastImport struct {
	Finished         time.Time    `json:"finished"`
	Bundle           jsonBundle   `json:"bundle"`
	Signers          []jsonSigner `json:"signers"`
	SignatureSkipped bool         `json:"signatureSkipped"`
	Names            int          `json:"names"` // how many it has put there, or found there
	Tool             string       `json:"tool"`  // name and version of the program that imported
}

// A jsonStanding is a name in the registry, and what stands under it.
type jsonStanding struct {
	Reference string        `json:"reference"` // at its source
	Target    string        `json:"target"`    // its name in the registry
	Digest    string        `json:"digest"`    // that the last import put there
	State     reports.State `json:"state"`     // present, changed, missing
	Now       string        `json:"now,omitempty"`
	Bundle    string        `json:"bundle"` // id of that import's bundle
}

// A jsonLost is a manifest or blob that a name needs, and that is not there.
type jsonLost struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Size       int64  `json:"size"`
	Manifest   bool   `json:"manifest"`
}

func statusJSON(r *reports.Status, err error) *jsonStatus {
	j := &jsonStatus{Registry: r.Registry, Complete: err == nil, More: r.More, Warnings: r.Warnings}
	for _, im := range r.Imports {
		j.Imports = append(j.Imports, jsonPastImport{
			Finished:         im.Finished,
			Bundle:           jsonBundle{ID: im.Bundle.ID, Created: im.Bundle.Created, Serial: im.Bundle.Serial, Sums: im.Bundle.Sums.String()},
			Signers:          jsonSigners(im.Signers, true),
			SignatureSkipped: im.SignatureSkipped,
			Names:            len(im.Names),
			Tool:             im.Tool,
		})
	}
	for _, n := range r.Names {
		j.Images = append(j.Images, jsonStanding{
			n.Source, r.Registry + "/" + n.Name.Name, n.Digest.String(), n.State, n.Now.String(), n.By.Bundle.ID,
		})
	}
	for _, l := range r.Lost {
		j.Lost = append(j.Lost, jsonLost{r.Registry + "/" + l.Repository, l.Digest.String(), l.Size, l.Manifest})
	}
	return j
}

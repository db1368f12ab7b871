package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// A jsonCheck is the report of bundle check.
type jsonCheck struct {
	Complete   bool          `json:"complete"` // false: exit code 6
	Registry   string        `json:"registry"`
	Images     []jsonChecked `json:"images"` // charts of a receipt among them
	Unresolved []jsonFinding `json:"unresolved"`
}

// A jsonChecked is a name, and whether the registry has it.
type jsonChecked struct {
	Reference string        `json:"reference"`        // in full
	Digest    string        `json:"digest,omitempty"` // that it should have; in manifests without digests: that it has
	Now       string        `json:"now,omitempty"`    // that it has, where that is another
	State     reports.State `json:"state"`            // present, missing, changed, outside
	Found     []jsonFinding `json:"found"`
}

func newCheck() *cobra.Command {
	var (
		o        bundle.CheckOptions
		reg      registryFlags
		registry string
	)
	cmd := &cobra.Command{
		Use:   "check FOLDER|FILE|- --registry HOST[:PORT][/PREFIX]",
		Short: "Ask a registry whether it has all that manifests, or a receipt, name",
		Long: `Ask a registry whether it has every image that rendered manifests name: a file, a
folder, or - for what helm template prints. What is not there, or points to another
registry, is named, with exit code 6.

With the receipt of an import, ask whether all that was imported is still there,
with the same content. Nothing is fetched and nothing written.`,
		Example: `  helm template app ./chart -f values.yaml | bundle check - --registry registry.plant.local:5000/apps
  bundle check rendered/ --registry registry.plant.local:5000/apps
  bundle check receipt.json --registry registry.plant.local:5000/apps`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Registry, err = asked(registry); err != nil {
				return err
			}
			if args[0] == "-" && reg.passwordStdin {
				return &bundle.UsageError{What: "--password-stdin and - both want standard input", Advice: "put the manifests into a file"}
			}
			if o.RegistryOptions, err = reg.at(cmd, o.Registry.Host, nil); err != nil {
				return err
			}
			o.Stdin = cmd.InOrStdin()
			report, err := bundle.Check(cmd.Context(), args[0], o)
			if report == nil {
				return err
			}
			return output(cmd, checkJSON(report, err), func(v view) { printCheck(v.out, report) },
				func(w io.Writer) {
					for _, im := range report.Images {
						if im.State != "present" {
							fmt.Fprintln(w, im.Reference)
						}
					}
				}, err)
		},
	}
	cmd.Flags().StringVar(&registry, "registry", "", "ask `HOST[:PORT][/PREFIX]`")
	reg.add(cmd, "the registry")
	return cmd
}

func checkJSON(r *reports.Check, err error) *jsonCheck {
	j := &jsonCheck{Complete: err == nil, Registry: r.Registry, Unresolved: jsonFindings(r.Unresolved)}
	for _, im := range r.Images {
		c := jsonChecked{Reference: im.Reference, Digest: cmp.Or(im.Digest.String(), im.Now.String()), State: im.State, Found: jsonFindings(im.Found)}
		if im.State == "changed" {
			c.Now = im.Now.String()
		}
		j.Images = append(j.Images, c)
	}
	return j
}

func printCheck(p paper, r *reports.Check) {
	var rows [][]string
	for _, im := range r.Images {
		where := ""
		if len(im.Found) > 0 {
			where = im.Found[0].Where()
		}
		rows = append(rows, []string{im.Reference, string(im.State), orDash(where)})
	}
	if r.Receipt {
		for i := range rows {
			rows[i] = rows[i][:2]
		}
		p.table([]string{"NAME", "STATE"}, rows)
	} else {
		p.table([]string{"IMAGE", "STATE", "SEEN IN"}, rows)
	}
	for _, f := range r.Unresolved {
		fmt.Fprintf(p, "no image as it stands: %s (%s) in %s\n", f.Raw, f.Confidence, f.Where())
	}
}

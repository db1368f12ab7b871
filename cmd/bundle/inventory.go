package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newInventory() *cobra.Command {
	var (
		o        bundle.InventoryOptions
		reg      registryFlags
		registry string
		key      string
	)
	cmd := &cobra.Command{
		Use:   "inventory --registry HOST[:PORT][/PREFIX] -o FILE --key FILE",
		Short: "Write down what a registry has, so that it need not travel again",
		Long: `Write down which blobs a registry has, with digest and size. Carried to where bundles
are made, the file lets bundle export --base leave out what is there already.

What to ask for comes from the records that imports left in the registry; where there
are none, name repositories with --repository, or take all with --catalog, if the
registry answers that. Each blob is asked for, and nothing is downloaded but records
and manifests.

The signature goes into FILE.sig, for its own purpose (namespace bundle-inventory): it
is none of a bundle. --digests-only leaves out the names of the registry and of what
it holds.`,
		Example: `  bundle inventory --registry registry.plant.local:5000/apps -o site.inventory --key inside-key
  bundle inventory --registry registry.plant.local:5000 --repository acme/app --digests-only -o site.inventory --key inside-key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := without(cmd, [][]string{{"unsigned", "key"}, {"catalog", "repository"}}); err != nil {
				return err
			}
			var err error
			if o.Registry, err = asked(registry); err != nil {
				return err
			}
			if o.Output == "" {
				return &bundle.UsageError{What: "no file to write to", Advice: "give -o FILE"}
			}
			o.Progress = newProgress(cmd)
			if o.RegistryOptions, err = reg.at(cmd, o.Registry.Host, o.Progress); err != nil {
				return err
			}
			if key != "" {
				if o.Signer, err = bundle.LoadSigner(cmd.Context(), key, keyOptions(cmd.Context(), cmd.ErrOrStderr(), key)); err != nil {
					return err
				}
			}
			o.Tool = toolName()
			report, err := bundle.Inventory(cmd.Context(), o)
			if err != nil {
				return err
			}
			return output(cmd, inventoryJSON(report), func(v view) { printInventory(v.err, report) }, func(io.Writer) {}, nil)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&registry, "registry", "", "ask the registry `HOST[:PORT][/PREFIX]`")
	fl.StringVarP(&o.Output, "output", "o", "", "write the inventory to `FILE`, and its signature to FILE.sig")
	fl.StringVar(&key, "key", "", "sign with this OpenSSH private key `FILE`, or with a .pub whose private key the ssh-agent holds")
	fl.BoolVar(&o.Unsigned, "unsigned", false, "write an inventory that nobody vouches for")
	fl.StringArrayVar(&o.Repositories, "repository", nil, "ask for what the tags of `PATH` below the registry lead to, in place of the records (repeatable)")
	fl.BoolVar(&o.Catalog, "catalog", false, "ask for what the tags of all repositories lead to that the registry lists")
	fl.BoolVar(&o.DigestsOnly, "digests-only", false, "write digests and sizes, and no names")
	o.Jobs = bundle.DefaultJobs
	fl.Var(jobs(&o.Jobs), "jobs", "`NUMBER` of questions at once")
	reg.add(cmd, "the registry")
	return cmd
}

func printInventory(w paper, r *reports.Inventory) {
	by := "the records of imports"
	if !r.Recorded {
		by = "tags"
	}
	where := fmt.Sprintf("%d repositories", r.Repositories)
	if r.Repositories == 1 {
		where = "1 repository"
	}
	fmt.Fprintf(w, "%s has %s (%s) in %s, by %s\n", r.Registry, count(r.Blobs, "blob"), size(r.Bytes), where, by)
	for _, text := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "warning: %s named there and gone: not listed, and to travel again\n", count(r.Lost, "blob"))
		if r.Recorded {
			fmt.Fprintln(w, "  bundle status names what is lost")
		}
	}
	if r.Fingerprint != "" {
		printFingerprint(w, "signed with ", r.Fingerprint)
	}
	fmt.Fprintf(w, "  %s (id %s)\n", r.Path, r.ID)
	if r.Signature != "" {
		fmt.Fprintf(w, "  %s\n", r.Signature)
	}
}

// A jsonInventory is the report of bundle inventory.
type jsonInventory struct {
	Path         string       `json:"path"`
	Registry     string       `json:"registry"`
	ID           string       `json:"id"` // names the content
	Created      time.Time    `json:"created"`
	Signers      []jsonSigner `json:"signers"`
	DigestsOnly  bool         `json:"digestsOnly"`  // it carries no names
	Recorded     bool         `json:"recorded"`     // what to ask for came from records of imports; false: from tags
	Repositories int          `json:"repositories"` // that were asked
	Blobs        int          `json:"blobs"`        // that are there
	Bytes        jsonBytes    `json:"bytes"`        // present: what they weigh
	LostBlobs    int          `json:"lostBlobs"`    // that are named, and are not there
	Warnings     []string     `json:"warnings"`
}

func inventoryJSON(r *reports.Inventory) *jsonInventory {
	j := &jsonInventory{
		Path: r.Path, Registry: r.Registry, ID: r.ID, Created: r.Created, DigestsOnly: r.DigestsOnly, Recorded: r.Recorded,
		Repositories: r.Repositories, Blobs: r.Blobs, Bytes: jsonBytes{Total: r.Bytes, Present: r.Bytes}, LostBlobs: r.Lost, Warnings: r.Warnings,
	}
	if r.Fingerprint != "" {
		j.Signers = []jsonSigner{{Fingerprint: r.Fingerprint, KeyType: r.KeyType, Signature: r.Signature}}
	}
	return j
}

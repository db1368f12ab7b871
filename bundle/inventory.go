package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/history"
	"bundle/bundle/internal/inventory"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/stock"
	"bundle/bundle/reports"
)

// InventoryOptions say which registry is asked, for what, and what is written.
type InventoryOptions struct {
	Registry     Registry
	Repositories []string // below the prefix; empty: what the records of imports name
	Catalog      bool     // all repositories below the prefix, as the registry lists them
	Output       string   // file; its signature goes beside it, with .sig
	Signer       *Signer
	Unsigned     bool   // there need be no Signer
	DigestsOnly  bool   // write no names
	Tool         string // name and version of the calling program

	Jobs            int // questions at once; 0: DefaultJobs
	RegistryOptions RegistryOptions
	Progress        Progress
}

// Inventory writes down which blobs a registry has, each of them asked for, so that
// an export can leave out what need not travel again.
func Inventory(ctx context.Context, o InventoryOptions) (*reports.Inventory, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	pr := progress.OrSilent(o.Progress)
	pr.Phase("asking the registry", 0)
	defer pr.End()
	inv := &inventory.Inventory{Tool: o.Tool, Created: time.Now(), Registry: o.Registry.String()}
	r := &reports.Inventory{
		Path: o.Output, Registry: inv.Registry, DigestsOnly: o.DigestsOnly,
		Recorded: !o.Catalog && len(o.Repositories) == 0,
	}
	found, err := takeStock(ctx, &o, r, stock.Asker{Client: client, Registry: o.Registry, Jobs: o.Jobs})
	if err != nil {
		return nil, err
	}
	if inv.Blobs = found.Blobs; o.DigestsOnly {
		inv = inv.WithoutNames()
	}
	if err := inv.Write(o.Output, o.Signer); err != nil {
		return nil, err
	}
	r.ID, r.Created, r.Blobs, r.Bytes = inv.ID, inv.Created, len(inv.Blobs), inv.Size()
	r.Repositories, r.Lost = found.Repositories, found.Lost
	r.Warnings = append(r.Warnings, found.LeftOut...)
	if o.Signer != nil {
		r.Fingerprint, r.KeyType, r.Signature = o.Signer.Fingerprint(), o.Signer.Key.PublicKey().Type(), o.Output+".sig"
	}
	return r, nil
}

// takeStock finds out what there is.
func takeStock(ctx context.Context, o *InventoryOptions, r *reports.Inventory, a stock.Asker) (*stock.Found, error) {
	if !r.Recorded {
		repos := o.Repositories
		if o.Catalog {
			var err error
			if repos, err = a.All(ctx); err != nil && ctx.Err() == nil {
				return nil, fault.WithHint(err, "many registries list their repositories to administrators only: name them with --repository")
			}
			if err != nil {
				return nil, err
			}
		}
		return a.Tagged(ctx, repos, o.Catalog)
	}
	store := history.Store{Client: a.Client, Registry: o.Registry}
	past, err := store.Read(ctx)
	if err != nil {
		return nil, err
	}
	r.Warnings = unread(store, past)
	if len(past.Imports) == 0 {
		return nil, fault.WithHint(fmt.Errorf("no import has left a record in %s", r.Registry),
			"name what it has with --repository, or take all that it lists with --catalog")
	}
	if past.More {
		r.Warnings = append(r.Warnings, fmt.Sprintf("only the newest %d imports are looked at", history.MaxImports))
	}
	return a.Recorded(ctx, past)
}

// check refuses what could not be written in the end.
func (o *InventoryOptions) check() error {
	if o.Signer == nil && !o.Unsigned {
		return &fault.UsageError{
			What:   "nobody would vouch for the inventory",
			Advice: "give --key FILE to sign it, or --unsigned; `bundle keygen` makes a key",
		}
	}
	if o.Catalog && len(o.Repositories) > 0 {
		return &fault.UsageError{What: "--catalog lists all repositories, and --repository names some", Advice: "drop the one or the other"}
	}
	for _, repo := range o.Repositories {
		if _, err := place.ParseRegistry(o.Registry.Host + "/" + repo); err != nil || repo == "" {
			return &fault.UsageError{What: fmt.Sprintf("repository %q is no path below %s", repo, o.Registry), Advice: "for example acme/app, without host and tag"}
		}
	}
	if st, err := os.Stat(o.Output); err == nil && !st.Mode().IsRegular() {
		return &fault.UsageError{What: "inventory " + o.Output + " is not a regular file"}
	}
	err := disk.CheckWritable(o.Output)
	if errors.Is(err, fs.ErrNotExist) {
		return &fault.UsageError{What: fmt.Sprintf("inventory %s: no folder %s", o.Output, filepath.Dir(o.Output))}
	}
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	return nil
}

package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/inventory"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
)

// A base is one with who vouches for it.
type base struct {
	plan.Base
	signer string
}

// loadBases reads what says what the other side has. Without a Trust a base is a
// hint: one that is forged makes a delta too small, and an import finds that out
// before it changes anything.
func loadBases(ctx context.Context, paths []string, t *trust.Trust) ([]base, error) {
	var all []base
	for _, path := range paths {
		b, err := loadBase(ctx, path, t)
		if err != nil {
			return nil, fmt.Errorf("base: %w", err)
		}
		all = append(all, b)
	}
	return all, nil
}

func loadBase(ctx context.Context, path string, t *trust.Trust) (base, error) {
	if isDocument(path) {
		return documentBase(ctx, path, t)
	}
	if t == nil {
		t = trust.TrustAnyone()
	}
	known := *t
	known.AllowExpired = true // it was imported in its time
	b, err := open.Head(ctx, path, &known)
	if err != nil {
		return base{}, err
	}
	defer b.Close()
	stock, err := b.Stock(func(string) bool { return true })
	if err != nil {
		return base{}, err
	}
	all := base{Base: plan.Base{
		Base: record.Base{ID: b.Record.ID, Kind: record.BaseBundle, Created: b.Record.Created},
		Path: path, Blobs: make(map[digest.Digest]plan.Held, len(stock)),
	}}
	for d, s := range stock {
		all.Blobs[d] = plan.Held(s)
	}
	if len(b.Signers) > 0 {
		all.signer = b.Signers[0].Fingerprint
	}
	return all, nil
}

// isDocument tells JSON from what may be a bundle.
func isDocument(path string) bool {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() {
		return false
	}
	if !st.Mode().IsRegular() {
		return true // bundles are not read from pipes
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, 64)
	n, _ := io.ReadFull(f, begin)
	return bytes.HasPrefix(bytes.TrimSpace(begin[:n]), []byte("{"))
}

// inventoryBase takes what a registry said that it has.
func inventoryBase(ctx context.Context, path string, t *trust.Trust) (base, error) {
	inv, vouched, err := inventory.Read(ctx, path, t)
	if err != nil {
		return base{}, err
	}
	b := base{Base: plan.Base{
		Base: record.Base{ID: inv.ID, Kind: record.BaseInventory, Created: inv.Created},
		Path: path, Blobs: make(map[digest.Digest]plan.Held, len(inv.Blobs)),
	}}
	if t != nil && len(vouched.Signers) > 0 {
		b.signer = vouched.Signers[0].Fingerprint
	}
	for _, blob := range inv.Blobs {
		held := plan.Held{Size: blob.Size}
		for _, repo := range blob.Repositories {
			held.Repositories = append(held.Repositories, inv.Registry+"/"+repo)
		}
		b.Blobs[blob.Digest] = held
	}
	return b, nil
}

// documentBase reads an inventory, or the receipt of an import.
func documentBase(ctx context.Context, path string, t *trust.Trust) (base, error) {
	doc, err := input.File(ctx, path, emit.MaxReceipt)
	if err != nil {
		return base{}, err
	}
	if inventory.Is(doc) {
		return inventoryBase(ctx, path, t)
	}
	r, ok := emit.ParseReceipt(doc)
	if !ok {
		return base{}, &fault.UsageError{
			What:   path + " is neither a bundle nor the receipt of an import nor an inventory",
			Advice: "give an earlier bundle, a part or the .head of one, or what `bundle import --receipt FILE` or `bundle inventory` wrote",
		}
	}
	b := base{Base: plan.Base{
		Base: record.Base{ID: record.Printable(r.Bundle.ID), Kind: record.BaseReceipt, Created: r.Bundle.Created.UTC()},
		Path: path, Blobs: make(map[digest.Digest]plan.Held, len(r.Layers)),
	}}
	if t != nil {
		if b.signer, err = emit.CheckReceipt(ctx, path, doc, t); err != nil {
			return base{}, err
		}
	}
	if len(r.Layers) == 0 {
		return base{}, &fault.UsageError{What: path + " lists no layers that arrived", Advice: "give the bundle that was imported instead"}
	}
	for _, l := range r.Layers {
		if err := (record.Layer{Digest: l.Digest, Size: l.Size, Repositories: l.Repositories}).Check(); err != nil {
			return base{}, fault.Input("receipt "+path, err, "")
		}
		b.Blobs[l.Digest] = plan.Held{Size: l.Size, Repositories: l.Repositories}
	}
	return b, nil
}

// baseReports says for each base how much stays out since it is the first to have it.
func baseReports(bases []base, r *record.Requires) []reports.Base {
	var all []reports.Base
	told := make(map[string]bool)
	for _, b := range bases {
		rep := reports.Base{Path: b.Path, ID: b.ID, Kind: b.Kind, Created: b.Created, Fingerprint: b.signer}
		if r != nil && !told[b.ID] {
			rep.Layers, rep.Bytes = r.Of(b.ID)
		}
		told[b.ID] = true
		all = append(all, rep)
	}
	return all
}

// Package check asks a registry whether it has what is needed of it: the images
// that rendered manifests name, or what an import has put there.
//
// The contract: nothing is fetched and nothing written, only asked; each name is
// asked for once. What a manifest names in another registry is outside, whether or
// not it is there.
//
//	names := check.Manifests(files)
//	results, err := check.Ask(ctx, client, registry, names, jobs)
package check

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/words"
)

// A Result is one name, and whether the registry has it.
type Result struct {
	Reference string           // as it was named, in full
	Digest    digest.Digest    // that it should have; empty: any
	Now       digest.Digest    // that it has; empty: it is not there
	State     words.State      // present, missing, changed, outside
	Found     []record.Finding // where it was named; empty in a receipt
}

// Manifests lists the images that manifests name, by the name of their file, and
// what is no image as it stands.
func Manifests(files map[string]string) (images []Result, unresolved []record.Finding) {
	at := make(map[string]int)
	for _, f := range chart.ReadManifests(files).Findings() {
		where := record.Finding{
			Raw: record.Printable(f.Raw), Template: record.Printable(f.Template), Kind: record.Printable(f.Kind),
			Path: record.Printable(f.Path.String()), Chart: "manifests", Confidence: string(f.Confidence),
		}
		ref, err := name.Parse(f.Raw)
		if err != nil || f.Confidence != name.Image {
			unresolved = append(unresolved, where)
			continue
		}
		i, known := at[ref.String()]
		if !known {
			i = len(images)
			at[ref.String()] = i
			images = append(images, Result{Reference: ref.String(), Digest: ref.Digest})
		}
		images[i].Found = append(images[i].Found, where)
	}
	slices.SortFunc(images, func(a, b Result) int { return cmp.Compare(a.Reference, b.Reference) })
	return images, unresolved
}

// Receipt lists what an import put into a registry, under the names that it has in
// another to which it was copied.
func Receipt(r *emit.Receipt, registry place.Registry) []Result {
	var all []Result
	add := func(target string, d digest.Digest) {
		rest, below := strings.CutPrefix(target, r.Registry+"/")
		if !below {
			return
		}
		all = append(all, Result{Reference: registry.String() + "/" + rest, Digest: d})
	}
	for _, im := range r.Images {
		if im.State != words.Refused {
			add(im.Target, im.Digest)
		}
	}
	for _, c := range r.Charts {
		if c.State != "" && c.State != words.Refused {
			add(strings.TrimPrefix(c.Target, "oci://")+":"+record.Tag(c.Version), c.Digest)
		}
	}
	return all
}

// Ask fills in what the registry has.
func Ask(ctx context.Context, client *remote.Client, registry place.Registry, all []Result, jobs int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i := range all {
		g.Go(func() error { return all[i].ask(ctx, client, registry) })
	}
	return g.Wait()
}

func (r *Result) ask(ctx context.Context, client *remote.Client, registry place.Registry) error {
	ref, err := name.Parse(r.Reference)
	if err != nil {
		return err
	}
	if ref.Host != registry.Host || registry.Prefix != "" && !strings.HasPrefix(ref.Path, registry.Prefix+"/") {
		r.State = words.Outside
		return nil
	}
	what := ref.Tag
	if ref.Digest != "" {
		what = ref.Digest.String() // a node pulls it by that, whatever the tag says
	}
	d, ok, err := client.HasManifest(ctx, ref.Repository(), what)
	switch {
	case err != nil:
		return err
	case !ok:
		r.State = words.Missing
	case r.Digest != "" && d != r.Digest:
		r.State, r.Now = words.Changed, d
	default:
		r.State, r.Now = words.Present, d
	}
	return nil
}

package main

import (
	"bundle/bundle/reports"
)

// A jsonDiff is the report of bundle diff: of two bundles, or of one and a registry.
type jsonDiff struct {
	Different  bool               `json:"different"`
	Verified   bool               `json:"verified"`           // signatures were checked against trusted keys; false: all below is what the files claim
	Old        *jsonBundle        `json:"old,omitempty"`      // absent where a registry is compared
	Bundle     jsonBundle         `json:"bundle"`             // the newer one
	Registry   string             `json:"registry,omitempty"` // that is compared
	Charts     []jsonChangedChart `json:"charts"`             // that differ
	Images     []jsonChangedImage `json:"images"`             // that differ; of a registry, names in it
	SameCharts int                `json:"sameCharts"`
	SameImages int                `json:"sameImages"`
	Referrers  jsonCounts         `json:"referrers"`      // signatures, SBOMs and the like
	Bytes      jsonBytes          `json:"bytes"`          // of layers: of the newer bundle, that are new, that the older has; of a registry, as a dry run of import
	Lack       *jsonLack          `json:"lack,omitempty"` // of a delta and a registry: required layers that are not there; absent: none
	FullSize   int64              `json:"fullSize,omitempty"`
	DeltaSize  int64              `json:"deltaSize,omitempty"` // about what the newer one weighs without the layers of the older
}

// A jsonLack is how much is missing.
type jsonLack struct {
	Layers int   `json:"layers"`
	Bytes  int64 `json:"bytes"` // of those layers
}

// A jsonCounts is how many there are of what is not listed.
type jsonCounts struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Same    int `json:"same"`
}

// A jsonChangedChart is a chart that differs.
type jsonChangedChart struct {
	Name               string             `json:"name"`
	State              reports.State      `json:"state"` // added, removed, changed
	Version            string             `json:"version,omitempty"`
	PreviousVersion    string             `json:"previousVersion,omitempty"`
	AppVersion         string             `json:"appVersion,omitempty"`
	PreviousAppVersion string             `json:"previousAppVersion,omitempty"`
	Digest             string             `json:"digest,omitempty"` // of its OCI manifest
	Previous           string             `json:"previous,omitempty"`
	Inputs             []jsonChangedValue `json:"inputs"`   // release, namespace and the like
	Given              []jsonChangedValue `json:"given"`    // values given at export
	Defaults           []jsonChangedValue `json:"defaults"` // of the chart and its dependencies
	Short              bool               `json:"short"`    // dependencies have too many defaults to be compared
}

// A jsonChangedValue is a setting that differs.
type jsonChangedValue struct {
	Key      string        `json:"key"`   // as helm's --set writes it
	State    reports.State `json:"state"` // added, removed, changed
	Value    any           `json:"value,omitempty"`
	Previous any           `json:"previous,omitempty"`
}

// A jsonChangedImage is a name that stands for something else.
type jsonChangedImage struct {
	Reference    string        `json:"reference"`          // in full, at its source
	Target       string        `json:"target,omitempty"`   // its name in the registry that is compared
	State        reports.State `json:"state"`              // added, removed, changed; of a registry: would push, would replace
	Instead      string        `json:"instead,omitempty"`  // of one that is added: the only one of its repository that is gone
	Digest       string        `json:"digest,omitempty"`   // that the newer bundle has
	Previous     string        `json:"previous,omitempty"` // that the older one has, or the registry
	Size         int64         `json:"size,omitempty"`
	PreviousSize int64         `json:"previousSize,omitempty"`
	NewLayers    int64         `json:"newLayers,omitempty"` // bytes of layers that the older bundle does not have
	Platforms    []string      `json:"platforms"`
}

func changedValues(all []reports.ValueChange) []jsonChangedValue {
	list := make([]jsonChangedValue, len(all))
	for i, v := range all {
		list[i] = jsonChangedValue(v)
	}
	return list
}

func diffJSON(r *reports.Diff) *jsonDiff {
	old, c := aboutBundle(r.Old.Bundle, 0), r.Changes
	w := c.Weight
	j := &jsonDiff{
		Different: r.Err() != nil, Verified: r.Old.Checked && r.New.Checked,
		Old: &old, Bundle: aboutBundle(r.New.Bundle, 0),
		SameCharts: c.SameCharts, SameImages: c.SameImages, Referrers: jsonCounts(c.Referrers),
		Bytes:    jsonBytes{Total: w.Layers.Bytes + w.Kept.Bytes, Moved: w.Layers.Bytes, Present: w.Kept.Bytes},
		FullSize: w.Full, DeltaSize: w.Delta,
	}
	for _, ch := range c.Charts {
		j.Charts = append(j.Charts, jsonChangedChart{
			Name: ch.Name, State: ch.State, Version: ch.Version, PreviousVersion: ch.PreviousVersion,
			AppVersion: ch.AppVersion, PreviousAppVersion: ch.PreviousAppVersion, Digest: ch.Digest.String(), Previous: ch.PreviousDigest.String(),
			Inputs: changedValues(ch.Inputs), Given: changedValues(ch.Given), Defaults: changedValues(ch.Defaults), Short: ch.Short,
		})
	}
	for _, im := range c.Images {
		j.Images = append(j.Images, jsonChangedImage{
			Reference: im.Reference, State: im.State, Instead: im.Instead, Digest: im.Digest.String(), Previous: im.Previous.String(),
			Size: im.Size, PreviousSize: im.PreviousSize, NewLayers: im.Moves, Platforms: im.Platforms,
		})
	}
	return j
}

func registryDiffJSON(r *reports.RegistryDiff) *jsonDiff {
	j := &jsonDiff{
		Different: r.Err() != nil, Verified: r.Bundle.Checked, Bundle: aboutBundle(r.Bundle.Bundle, 0), Registry: r.Registry,
		Bytes: jsonBytes{Total: r.Bytes.Sent + r.Bytes.Present, Moved: r.Bytes.Sent, Present: r.Bytes.Present},
	}
	if r.Lack != nil {
		j.Lack = &jsonLack{len(r.Lack.Layers), r.Lack.Bytes}
	}
	for _, im := range r.Images {
		switch {
		case !im.Pushed && im.IsChart():
			j.SameCharts++
		case !im.Pushed:
			j.SameImages++
		default:
			j.Images = append(j.Images, jsonChangedImage{
				Reference: im.Source, Target: im.Target, State: im.State(true), Digest: im.Digest, Previous: im.Replaces.String(),
			})
		}
	}
	return j
}

// Package words is the vocabulary in which commands tell programs what they
// did: the parts that their JSON, receipts and tables share, one word for one
// thing.
//
// The contract: a list is never null or absent, see [Complete]; what is said of
// an image or a chart is one of the [State] constants; names and texts come from
// a record, so they can be shown on a terminal.
//
//	images := words.Images(rec.Images)
//	words.Complete(r)
//	b, err := json.MarshalIndent(r, "", "  ")
package words

import (
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/record"
)

// SchemaVersion is the version of the JSON of all commands and receipts. It
// grows when a key changes its meaning or goes away, not when one is added.
const SchemaVersion = 1

// A State is what became of a name in a registry, or would.
type State string

// The states.
const (
	Present      State = "present"       // it was there, with this content
	Pushed       State = "pushed"        // it is new
	Replaced     State = "replaced"      // it was there with other content, see the old digest
	Refused      State = "refused"       // the registry did not take it, or it is not to be replaced
	Missing      State = "missing"       // it is not there
	Outside      State = "outside"       // it points to another registry
	WouldPush    State = "would push"    // in a dry run: it is not there
	WouldReplace State = "would replace" // in a dry run: it is there with other content
)

// Done is the state that a state of a dry run becomes.
func (s State) Done() State {
	switch s {
	case WouldPush:
		return Pushed
	case WouldReplace:
		return Replaced
	}
	return s
}

// Would is the opposite of Done.
func (s State) Would() State {
	switch s {
	case Pushed:
		return WouldPush
	case Replaced:
		return WouldReplace
	}
	return s
}

// A Bytes counts the bytes of blobs.
type Bytes struct {
	Total   int64 `json:"total"`   // all that the command is about, each blob once
	Moved   int64 `json:"moved"`   // of them, over the network; in a dry run: that would be
	Mounted int64 `json:"mounted"` // taken by the registry from another of its repositories
	Present int64 `json:"present"` // that were there: in the registry, or from an earlier run
}

// A Finding is one place where a reference was seen.
type Finding struct {
	Reference  string   `json:"reference"`  // as written there
	Chart      string   `json:"chart"`      // name-version; empty: named by the user
	Template   string   `json:"template"`   // chart/templates/x.yaml; empty: in Chart.yaml
	Kind       string   `json:"kind"`       // Deployment
	Path       string   `json:"path"`       // spec.template.spec.containers[0].image
	Confidence string   `json:"confidence"` // image, repository, placeholder
	Keys       []string `json:"keys"`       // values keys that move it
}

// Where says where the reference stands, in words for people.
func (f Finding) Where() string {
	return record.Finding{Chart: f.Chart, Template: f.Template, Kind: f.Kind, Path: f.Path}.Where()
}

// Findings are those of a record.
func Findings(all []record.Finding) []Finding {
	list := make([]Finding, len(all))
	for i, f := range all {
		list[i] = Found(f)
	}
	return list
}

// Found is a finding of a record.
func Found(f record.Finding) Finding {
	return Finding{Reference: f.Raw, Chart: f.Chart, Template: f.Template, Kind: f.Kind, Path: f.Path, Confidence: f.Confidence, Keys: f.Keys}
}

// An Image is an image or artifact in a bundle.
type Image struct {
	Reference    string        `json:"reference"`              // full
	Digest       digest.Digest `json:"digest"`                 // of what is in the bundle
	SourceDigest digest.Digest `json:"sourceDigest,omitempty"` // of what the registry has, where a choice of platforms changed it
	MediaType    string        `json:"mediaType"`
	Size         int64         `json:"size"`                  // bytes of all its blobs, manifests included
	Platforms    []string      `json:"platforms"`             // os/arch[/variant]
	Subject      digest.Digest `json:"subject,omitempty"`     // of a referrer: what it is attached to
	Destination  string        `json:"destination,omitempty"` // path:tag below the target registry, where the user chose it
	Found        []Finding     `json:"found"`
}

// Images are those of a record.
func Images(all []record.Image) []Image {
	list := make([]Image, len(all))
	for i, im := range all {
		list[i] = Image{
			Reference:    im.Reference,
			Digest:       im.Digest,
			SourceDigest: im.SourceDigest,
			MediaType:    im.MediaType,
			Size:         im.Size,
			Platforms:    im.Platforms,
			Subject:      im.Subject,
			Destination:  im.Destination,
			Found:        Findings(im.Found),
		}
	}
	return list
}

// A Chart is a chart in a bundle, and the inputs it was rendered with.
type Chart struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	AppVersion  string         `json:"appVersion,omitempty"`
	Source      string         `json:"source"` // as the user named it, or its repository
	Digest      digest.Digest  `json:"digest"` // of its OCI manifest
	Release     string         `json:"release"`
	Namespace   string         `json:"namespace"`
	KubeVersion string         `json:"kubeVersion"`
	APIVersions []string       `json:"apiVersions"`
	SkipTests   bool           `json:"skipTests"` // what only helm test runs was left out
	Given       map[string]any `json:"given"`     // values given at export, merged
	LeftOut     []string       `json:"leftOut"`   // keys of given values that do not travel; "*" for all
}

// Charts are those of a record.
func Charts(all []record.Chart) []Chart {
	list := make([]Chart, len(all))
	for i, c := range all {
		list[i] = Chart{
			Name:        c.Name,
			Version:     c.Version,
			AppVersion:  c.AppVersion,
			Source:      c.Source,
			Digest:      c.Digest,
			Release:     c.Release,
			Namespace:   c.Namespace,
			KubeVersion: c.KubeVersion,
			APIVersions: c.APIVersions,
			SkipTests:   c.SkipTests,
			Given:       c.Values,
			LeftOut:     c.LeftOut,
		}
	}
	return list
}

// A Bundle says which bundle a report is about.
type Bundle struct {
	Path    string        `json:"path"` // as the user named it; empty: none was written
	Size    int64         `json:"size"` // of the whole file; 0: none was written
	ID      string        `json:"id"`   // names the content: the same images and charts, with the same inputs, have the same
	Created time.Time     `json:"created"`
	Tool    string        `json:"tool"`           // name and version of the program that wrote it
	Sums    digest.Digest `json:"sums,omitempty"` // of SHA256SUMS, and so of everything
}

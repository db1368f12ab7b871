// Package record is the document that travels in a bundle and says what it
// holds: charts with the values they were rendered with, images with the places
// where they were seen (layout/SPEC.md, "Bundle record").
//
// The contract: [Parse] takes only what every reader understands alike (no key
// twice, no unknown field, limits on depth and number), and what [Record.Encode]
// writes it takes again. Texts in a record can be shown on a terminal.
//
//	rec, err := record.Parse(doc)
//	for _, im := range rec.Images { fmt.Println(im.Reference, im.Digest) }
package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/layout/strict"
)

// EntryName is how index.json calls the record.
func EntryName(r *Record) string { return name.LocalHost + "/record:" + r.ID }

// FormatVersion is the bundle format this package writes, and the newest it
// reads (layout/SPEC.md).
const FormatVersion = 1

// Type is the artifact type of the bundle record and the media type of
// its one layer.
const Type = "application/vnd.bundle.record.v1+json"

// MaxSize bounds a record's JSON, in bytes.
const MaxSize = 16 << 20

// MaxCharts bounds the charts of a record: each is unpacked and rendered, and one
// archive may stand for all of them.
const MaxCharts = 1000

// A Record says what a bundle holds and where each thing came from. It travels
// inside the bundle as an OCI artifact, under the signature like all the rest.
type Record struct {
	FormatVersion int       `json:"formatVersion"`
	Tool          string    `json:"tool"`             // name and version of the program that wrote the bundle
	Created       time.Time `json:"created"`          // whole seconds, UTC; also the mtime of every entry
	ID            string    `json:"id"`               // names the content: the same images, and charts with the same inputs, have the same id; a delta has one of its own
	Serial        int64     `json:"serial,omitempty"` // counts bundles, for who compares them and not their times; 0: none
	Expires       time.Time `json:"expires,omitzero"` // not to be used after, whole seconds, UTC

	Charts     []Chart   `json:"charts,omitempty"`
	Images     []Image   `json:"images,omitempty"`
	Referrers  []Image   `json:"referrers,omitempty"`  // signatures, SBOMs and the like, attached to images
	Unresolved []Finding `json:"unresolved,omitempty"` // seen in a chart, but not to be pulled as it stands
	Accepted   []Finding `json:"accepted,omitempty"`   // the same, but the user knows of it: with an answer, or ignored

	Requires *Requires `json:"requires,omitempty"` // of a delta: what it leaves out; nil: it is whole
}

// A Chart is one chart and the inputs it was rendered with; the far side
// renders with the same.
type Chart struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	AppVersion  string         `json:"appVersion,omitempty"`
	Source      string         `json:"source"`            // as the user named it
	Reference   string         `json:"reference"`         // its name in index.json
	Digest      digest.Digest  `json:"digest"`            // of its OCI manifest
	Values      map[string]any `json:"values,omitempty"`  // given by the user, merged
	Set         []string       `json:"set,omitempty"`     // those of them that a values file would change, as helm's --set
	LeftOut     []string       `json:"leftOut,omitempty"` // keys of given values that do not travel; "*" for all
	Release     string         `json:"release"`           // helm's release name
	Namespace   string         `json:"namespace"`         //
	KubeVersion string         `json:"kubeVersion"`       // v1.34.0
	APIVersions []string       `json:"apiVersions,omitempty"`
	SkipTests   bool           `json:"skipTests,omitempty"` // what only helm test runs was left out
}

// An Image is one image or artifact.
type Image struct {
	Reference    string        `json:"reference"`              // full, as in index.json
	Digest       digest.Digest `json:"digest"`                 // of what is in the bundle
	SourceDigest digest.Digest `json:"sourceDigest,omitempty"` // of what the registry has, where a platform choice changed it
	MediaType    string        `json:"mediaType"`
	Size         int64         `json:"size"` // bytes of all its blobs, manifests included
	Platforms    []string      `json:"platforms,omitempty"`
	Subject      digest.Digest `json:"subject,omitempty"`     // of a referrer: what it is attached to
	Destination  string        `json:"destination,omitempty"` // path:tag below the target registry, where the user chose it
	SignedBy     []string      `json:"signedBy,omitempty"`    // fingerprints of the public keys by whose signatures the export took it, sha256:HEX of the DER form
	Found        []Finding     `json:"found,omitempty"`
}

// A Finding is one place where a reference was seen.
type Finding struct {
	Raw        string   `json:"raw"`                  // as written there
	Chart      string   `json:"chart,omitempty"`      // name-version; empty: named by the user
	Template   string   `json:"template,omitempty"`   // chart/templates/x.yaml
	Kind       string   `json:"kind,omitempty"`       // Deployment
	Path       string   `json:"path,omitempty"`       // spec.template.spec.containers[0].image
	Confidence string   `json:"confidence,omitempty"` // image, repository, placeholder
	Keys       []string `json:"keys,omitempty"`       // values keys that move it
	Answer     string   `json:"answer,omitempty"`     // of one that is accepted: the image that it becomes at run time
}

// Where says where the reference stands, in words for people.
func (f Finding) Where() string {
	switch {
	case f.Chart == "":
		return "named by the user"
	case f.Template == "":
		return f.Chart + ": Chart.yaml"
	}
	return f.Template + ": " + f.Kind + " " + f.Path
}

// Image is the image that the reference means, named in full; ok is false where it
// names none as it stands.
func (f Finding) Image() (full string, ok bool) {
	ref, err := name.Parse(f.Raw)
	return ref.String(), err == nil && f.Confidence == string(name.Image)
}

// Accepts reports whether the user knows of a reference in a chart, as it is
// written there, and that it is not to be pulled as it stands.
func (r *Record) Accepts(chart, raw string) bool {
	return slices.ContainsFunc(r.Accepted, func(f Finding) bool { return f.Chart == chart && f.Raw == raw })
}

// Encode returns the record as the JSON that travels: indented, keys in a
// fixed order, a newline at the end. Characters that cannot be printed are
// replaced, since charts may have them and readers refuse them. What readers would
// refuse otherwise, such as values nested beyond their limit, is an error.
func (r *Record) Encode() ([]byte, error) {
	r.texts(func(s *string) { *s = Printable(*s) })
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode bundle record: %w", err)
	}
	if err := rules.Check(b); err != nil {
		return nil, fmt.Errorf("encode bundle record: %w", err)
	}
	return append(b, '\n'), nil
}

// Parse reads what Encode wrote. A record of a newer format is a
// *VersionError.
func Parse(b []byte) (*Record, error) {
	if err := rules.Check(b); err != nil {
		return nil, fmt.Errorf("bundle record: %w", err)
	}
	var v struct {
		FormatVersion int `json:"formatVersion"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("bundle record: %w", err)
	}
	if v.FormatVersion != FormatVersion {
		return nil, &VersionError{Found: v.FormatVersion}
	}
	// A field that is not known would have a meaning that this program does not heed.
	r := new(Record)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("bundle record: %w", err)
	}
	var bad error
	r.texts(func(s *string) {
		if Printable(*s) != *s && bad == nil {
			bad = fmt.Errorf("bundle record: %q has a character that cannot be printed", *s)
		}
	})
	if bad != nil {
		return nil, bad
	}
	return r, nil
}

// rules are those for the JSON of a record. Its own parts nest a few levels deep;
// the user's values are as deep as a chart makes them, and in them case makes a
// difference.
var rules = strict.Rules{
	Bytes: MaxSize, Depth: 100, Values: 1_000_000, AnyCase: true, Free: "values",
}

// A VersionError is a bundle of a format this program does not know.
type VersionError struct{ Found int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("bundle format version %d is not known: this program reads version %d", e.Found, FormatVersion)
}

// Fault is a damaged bundle's: it cannot be read.
func (e *VersionError) Fault() (fault.Kind, string) {
	return fault.Damaged, "use the release of bundle that wrote it, or a newer one"
}

package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bundle/bundle/reports"
)

// What commands tell programs. One thing has one key in all of them; a list is
// never null or absent; what is empty otherwise is absent. The comments stand in
// report.schema.json, too.

// A jsonBundle says which bundle it is.
type jsonBundle struct {
	Path    string    `json:"path,omitempty"` // as it was named; absent where none was written
	Size    int64     `json:"size,omitempty"` // bytes of the whole file
	ID      string    `json:"id"`             // names the content
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`  // an import refuses it afterwards
	Serial  int64     `json:"serial,omitempty"`  // tells newer from older before the time does
	Tool    string    `json:"tool,omitempty"`    // name and version of the program that wrote it
	Sums    string    `json:"sums,omitempty"`    // digest of SHA256SUMS, and so of everything
	Entries int       `json:"entries,omitempty"` // files in it
}

// A jsonFile is a file beside a bundle, or one that a list of checksums names.
type jsonFile struct {
	Path     string        `json:"path"`
	Size     int64         `json:"size"` // bytes; 0 for one that is missing
	SHA256   string        `json:"sha256"`
	Platform string        `json:"platform,omitempty"` // of a program, OS/ARCH
	State    reports.State `json:"state"`              // present or missing
}

// A jsonSigner is somebody who signed.
type jsonSigner struct {
	Fingerprint string `json:"fingerprint"`          // SHA256:… of the key
	KeyType     string `json:"keyType"`              // such as ssh-ed25519
	Trusted     bool   `json:"trusted"`              // the signature was checked, and the key is one that the caller trusts
	Principals  string `json:"principals,omitempty"` // who that is, as far as allowed_signers says it
	Comment     string `json:"comment,omitempty"`    // of the trusted key
	Authority   string `json:"authority,omitempty"`  // fingerprint of the authority that certified the key
	KeyID       string `json:"keyID,omitempty"`      // what the authority calls the certificate
	Signature   string `json:"signature"`            // where it is: SHA256SUMS.sig in the bundle, or a file
}

// A jsonBytes counts the bytes of blobs.
type jsonBytes struct {
	Total   int64 `json:"total"`   // all that the command is about, each blob once
	Moved   int64 `json:"moved"`   // over the network; in a dry run: that would be
	Mounted int64 `json:"mounted"` // taken by the registry from another of its repositories
	Present int64 `json:"present"` // that were there: in the registry, or from an earlier run
}

// A jsonFinding is one place where a reference was seen.
type jsonFinding struct {
	Reference  string   `json:"reference"`            // as written there
	Chart      string   `json:"chart,omitempty"`      // name-version; absent where the user named it
	Template   string   `json:"template,omitempty"`   // chart/templates/x.yaml; absent for Chart.yaml
	Kind       string   `json:"kind,omitempty"`       // such as Deployment
	Path       string   `json:"path,omitempty"`       // spec.template.spec.containers[0].image
	Confidence string   `json:"confidence,omitempty"` // image, repository, placeholder
	Answer     string   `json:"answer,omitempty"`     // the image that it becomes at run time, as the user says
	Keys       []string `json:"keys"`                 // values keys that move it
}

// A jsonImage is an image or artifact.
type jsonImage struct {
	Reference    string        `json:"reference"`              // in full, at its source
	Digest       string        `json:"digest,omitempty"`       // of what is in the bundle
	SourceDigest string        `json:"sourceDigest,omitempty"` // of what the source has, where a choice of platforms changed it
	MediaType    string        `json:"mediaType,omitempty"`
	Size         int64         `json:"size,omitempty"`        // bytes of all its blobs, manifests included
	Platforms    []string      `json:"platforms"`             // os/arch[/variant]
	Subject      string        `json:"subject,omitempty"`     // digest of what it is attached to
	Destination  string        `json:"destination,omitempty"` // path:tag below the target registry, where the user chose it
	SignedBy     []string      `json:"signedBy"`              // fingerprints of the keys by whose signatures an export took it, see --verify-images
	Found        []jsonFinding `json:"found"`
}

// A jsonPlaced is an image, and what became of it in a registry.
type jsonPlaced struct {
	Reference    string        `json:"reference"` // in full, at its source
	Target       string        `json:"target"`    // its name in the registry
	Digest       string        `json:"digest"`
	SourceDigest string        `json:"sourceDigest,omitempty"` // of what the source has, where a choice of platforms changed it
	State        reports.State `json:"state"`                  // present, pushed, replaced, refused; in a dry run: would push, would replace
	Previous     string        `json:"previous,omitempty"`     // digest that the name stood for before, where that was another
	Reason       string        `json:"reason,omitempty"`       // why it was refused
}

// A jsonChart is a chart in a bundle, and what it was rendered with.
type jsonChart struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	AppVersion  string         `json:"appVersion,omitempty"`
	Source      string         `json:"source,omitempty"` // as the user named it, or its repository
	Digest      string         `json:"digest,omitempty"` // of its OCI manifest
	Release     string         `json:"release"`
	Namespace   string         `json:"namespace"`
	KubeVersion string         `json:"kubeVersion"`
	APIVersions []string       `json:"apiVersions"`
	SkipTests   bool           `json:"skipTests"` // what only helm test runs was left out
	Given       map[string]any `json:"given"`     // values given at export
	LeftOut     []string       `json:"leftOut"`   // keys of given values that do not travel; "*" for all
}

// A jsonMovedChart is a chart whose references point to a registry.
type jsonMovedChart struct {
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	Target   string         `json:"target,omitempty"` // oci:// reference without version, where the registry has it
	Digest   string         `json:"digest,omitempty"` // of its OCI manifest there
	State    reports.State  `json:"state,omitempty"`  // as of an image; absent where it is not pushed
	Previous string         `json:"previous,omitempty"`
	Archive  string         `json:"archive,omitempty"` // its file, where the registry does not have it
	Files    []string       `json:"files"`             // values files for helm, in order
	Values   map[string]any `json:"values"`            // those that move the references
	Keys     []string       `json:"keys"`              // the keys in them
	Moved    int            `json:"moved"`             // references proved to point to the registry
	Left     []jsonLeft     `json:"left"`              // references that values do not move
	Excluded []jsonFinding  `json:"excluded"`          // references that stay outside because the user says so
	Named    []string       `json:"named"`             // settings that still name a source registry, but pull nothing by it
	Changed  []string       `json:"changed"`           // what else the values change: checksums, labels and the like
	Short    bool           `json:"short"`             // the search ended at its bound: other values may move more
	Renders  int            `json:"renders"`           // of the chart, until they were found and proved
	GitOps   []string       `json:"gitOps"`            // files for GitOps
	Altered  []string       `json:"altered"`           // objects, containers, arguments and settings that they add, remove or change
	Unlocked []string       `json:"unlocked"`          // those of keys that only make the chart accept other images
	Remarks  []string       `json:"remarks"`           // what programs fetch while they run, and resources whose operators choose images
	Warnings []string       `json:"warnings"`
	Commands []string       `json:"commands"` // that install it, in order

	OutsideHelm3 []string `json:"outsideHelm3"` // references that these leave outside with Helm 3
	OutsideHelm4 []string `json:"outsideHelm4"` // and with Helm 4
	Stuck        []string `json:"stuck"`        // references that no way moves
	Kustomize    string   `json:"kustomize,omitempty"`

	Secrets     int      `json:"secrets"`     // pods proved to name the pull secret
	SecretsLeft []string `json:"secretsLeft"` // pods that do not, and why
}

// A jsonLeft is a reference that values do not move.
type jsonLeft struct {
	jsonFinding
	Reason string   `json:"reason"`
	Target string   `json:"target,omitempty"` // where it should point
	Needs  []string `json:"needs"`            // what moves it all the same
}

// A jsonDisabled appears when a component that is off is switched on.
type jsonDisabled struct {
	jsonFinding
	Switch []string `json:"switch"` // values keys to set true together
}

// A jsonRequires says what a delta leaves out. Absent where a bundle is whole.
type jsonRequires struct {
	Layers int        `json:"layers"`
	Bytes  int64      `json:"bytes"` // of those layers
	Bases  []jsonBase `json:"bases"`
}

// A jsonBase is what says that the other side has them.
type jsonBase struct {
	Path        string           `json:"path,omitempty"` // as it was named at export
	ID          string           `json:"id"`
	Kind        reports.BaseKind `json:"kind"` // bundle, receipt, inventory
	Created     time.Time        `json:"created"`
	Fingerprint string           `json:"fingerprint,omitempty"` // of the trusted key that signed it; absent where it was taken as a hint
	Layers      int              `json:"layers"`                // that it is the first to have
	Bytes       int64            `json:"bytes"`
}

// A jsonExport is the report of bundle export.
type jsonExport struct {
	DryRun     bool                 `json:"dryRun"`
	Complete   bool                 `json:"complete"` // false: exit code 6
	Bundle     jsonBundle           `json:"bundle"`
	Signers    []jsonSigner         `json:"signers"`
	Requires   *jsonRequires        `json:"requires,omitempty"`
	Bytes      jsonBytes            `json:"bytes"`
	Blobs      int                  `json:"blobs"`           // that move
	Count      int                  `json:"count,omitempty"` // parts of the whole bundle, where it is in parts
	Parts      []reports.Written    `json:"parts"`           // that are on their media
	Removed    []string             `json:"removed"`         // files of another bundle in parts that was replaced
	Charts     []jsonChart          `json:"charts"`
	Images     []jsonImage          `json:"images"`
	Referrers  []jsonImage          `json:"referrers"`  // signatures, SBOMs and the like
	Unresolved []jsonFinding        `json:"unresolved"` // seen in a chart, but not to be pulled as it stands
	Accepted   []jsonFinding        `json:"accepted"`   // the same, but the user knows of it
	Lacking    []reports.Lacking    `json:"lacking"`    // images without some of the platforms asked for
	LeftBehind []reports.LeftBehind `json:"leftBehind"` // attestations that their registry does not serve
	Elsewhere  []reports.Elsewhere  `json:"elsewhere"`  // layers that may lie elsewhere, and travel
	Unasked    []reports.Unasked    `json:"unasked"`    // registries that did not answer for signatures
	Fetched    []reports.Fetched    `json:"fetched"`    // charts that came over the network
	Warnings   []string             `json:"warnings"`
	Moved      []jsonMoved          `json:"moved"`  // references that mean something else than when the run began that this one went on with
	Beside     []jsonFile           `json:"beside"` // with --with-tool: programs for the far side and what belongs to them; of a dry run, missing
}

// A jsonMoved is a reference that means something else than before.
type jsonMoved struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Previous  string `json:"previous"`
}

// A jsonImport is the report of bundle import.
type jsonImport struct {
	Missing          *reports.MissingError `json:"missing,omitempty"` // parts that are still to be brought, with exit code 7
	Parts            *jsonParts            `json:"parts,omitempty"`   // absent for a bundle in one file
	DryRun           bool                  `json:"dryRun"`
	Complete         bool                  `json:"complete"` // false: exit code 6
	Bundle           jsonBundle            `json:"bundle"`
	Requires         *jsonRequires         `json:"requires,omitempty"`
	Signers          []jsonSigner          `json:"signers"`
	SignatureSkipped bool                  `json:"signatureSkipped"` // nobody's signature was checked, as the user wanted
	Registry         string                `json:"registry"`
	Bytes            jsonBytes             `json:"bytes"`
	Shard            *jsonShard            `json:"shard,omitempty"` // what was pushed with --blobs-only; images and charts are empty then
	Images           []jsonPlaced          `json:"images"`
	Charts           []jsonMovedChart      `json:"charts"`
	Excluded         []string              `json:"excluded"` // references inside that were left out
	Warnings         []string              `json:"warnings"`
	OutputDir        string                `json:"outputDir,omitempty"` // absent after a dry run
	Receipt          string                `json:"receipt,omitempty"`   // where it was written
	Kept             []string              `json:"kept"`                // files of an earlier import that somebody changed
}

// A jsonShard is one machine's share of a bundle.
type jsonShard struct {
	Index  int `json:"index"` // from 1
	Of     int `json:"of"`
	Blobs  int `json:"blobs"`  // in it
	Total  int `json:"total"`  // blobs in all shares
	Pushed int `json:"pushed"` // that the registry lacked; in a dry run: that would be
}

// A jsonVerify is the report of bundle verify.
type jsonVerify struct {
	Missing          *reports.MissingError `json:"missing,omitempty"` // parts that are still to be brought, with exit code 7
	Parts            *jsonParts            `json:"parts,omitempty"`   // absent for a bundle in one file
	Bundle           jsonBundle            `json:"bundle"`
	Requires         *jsonRequires         `json:"requires,omitempty"`
	Signers          []jsonSigner          `json:"signers"`
	SignatureSkipped bool                  `json:"signatureSkipped"`
	Bytes            jsonBytes             `json:"bytes"`
	Files            []jsonFile            `json:"files"` // of a list of checksums, not a bundle: what it names
}

// A jsonInspect is the report of bundle inspect.
type jsonInspect struct {
	Parts         *jsonParts    `json:"parts,omitempty"` // absent for a bundle in one file
	Verified      bool          `json:"verified"`        // the signature was checked against trusted keys; false: all below is what the file claims
	FormatVersion int           `json:"formatVersion"`
	Bundle        jsonBundle    `json:"bundle"`
	Requires      *jsonRequires `json:"requires,omitempty"`
	Signers       []jsonSigner  `json:"signers"`
	Charts        []jsonChart   `json:"charts"`
	Images        []jsonImage   `json:"images"`
	Referrers     []jsonImage   `json:"referrers"`
	Unresolved    []jsonFinding `json:"unresolved"`
	Accepted      []jsonFinding `json:"accepted"`
}

// A jsonParts says what is there of a bundle in parts.
type jsonParts struct {
	Count    int      `json:"count"`
	Missing  []int    `json:"missing"`  // numbers from 1 on
	Files    []string `json:"files"`    // that are read
	Problems []string `json:"problems"` // with files that were found
	Parity   int      `json:"parity"`   // how many parts may be lost
	Spare    int      `json:"spare"`    // how many more, after those that are
}

func jsonPartsOf(p *reports.PartsReport) *jsonParts {
	if p == nil {
		return nil
	}
	return &jsonParts{p.Count, p.Missing, p.Files, p.Problems, p.Parity, p.Spare}
}

// A jsonSign is the report of bundle sign.
type jsonSign struct {
	Bundle  jsonBundle   `json:"bundle"`
	Signers []jsonSigner `json:"signers"` // the one who signed first
	Already bool         `json:"already"` // that signature was there before
}

// A jsonImages is the report of bundle images.
type jsonImages struct {
	Images     []jsonImage    `json:"images"`
	Unresolved []jsonFinding  `json:"unresolved"` // not to be pulled as it stands
	Disabled   []jsonDisabled `json:"disabled"`   // what appears when a component is switched on
	Failed     []string       `json:"failed"`     // switches with which the chart does not render
	Untried    int            `json:"untried"`    // switches beyond what is tried
	Warnings   []string       `json:"warnings"`
}

// A jsonValues is the report of bundle values.
type jsonValues struct {
	Complete bool             `json:"complete"` // false: exit code 6
	Registry string           `json:"registry"`
	Charts   []jsonMovedChart `json:"charts"`
	Warnings []string         `json:"warnings"`
}

// A jsonKeygen is the report of bundle keygen.
type jsonKeygen struct {
	Private     string `json:"private"` // file
	Public      string `json:"public"`  // file
	Fingerprint string `json:"fingerprint"`
}

func jsonSigners(all []reports.Voucher, trusted bool) []jsonSigner {
	list := make([]jsonSigner, len(all))
	for i, v := range all {
		list[i] = jsonSigner{v.Fingerprint, v.KeyType, trusted, v.Principals, v.Comment, v.Authority, v.KeyID, v.Signature}
	}
	return list
}

func jsonFindings(all []reports.Finding) []jsonFinding {
	list := make([]jsonFinding, len(all))
	for i, f := range all {
		list[i] = jsonFinding{f.Raw, f.Chart, f.Template, f.Kind, f.Path, f.Confidence, f.Answer, f.Keys}
	}
	return list
}

func jsonImageList(all []reports.ImageRecord) []jsonImage {
	list := make([]jsonImage, len(all))
	for i, im := range all {
		list[i] = jsonImage{
			Reference:    im.Reference,
			Digest:       im.Digest.String(),
			SourceDigest: im.SourceDigest.String(),
			MediaType:    im.MediaType,
			Size:         im.Size,
			Platforms:    im.Platforms,
			Subject:      im.Subject.String(),
			Destination:  im.Destination,
			SignedBy:     im.SignedBy,
			Found:        jsonFindings(im.Found),
		}
	}
	return list
}

func jsonCharts(all []reports.ChartRecord) []jsonChart {
	list := make([]jsonChart, len(all))
	for i, c := range all {
		list[i] = jsonChart{
			Name:        c.Name,
			Version:     c.Version,
			AppVersion:  c.AppVersion,
			Source:      c.Source,
			Digest:      c.Digest.String(),
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

// byReference groups findings by the image that they mean: in full, sorted.
func byReference(found []reports.Finding) (images []jsonImage, unresolved []jsonFinding) {
	at := make(map[string]int)
	for _, f := range found {
		full, ok := f.Image()
		if !ok {
			unresolved = append(unresolved, jsonFindings([]reports.Finding{f})...)
			continue
		}
		i, known := at[full]
		if !known {
			i = len(images)
			at[full] = i
			images = append(images, jsonImage{Reference: full})
		}
		images[i].Found = append(images[i].Found, jsonFindings([]reports.Finding{f})...)
	}
	slices.SortFunc(images, func(a, b jsonImage) int { return cmp.Compare(a.Reference, b.Reference) })
	return images, unresolved
}

func jsonMovedCharts(all []reports.ImportChart) []jsonMovedChart {
	list := make([]jsonMovedChart, len(all))
	for i, c := range all {
		m := jsonMovedChart{
			Name: c.Name, Version: c.Version, Target: c.Target, Archive: c.Archive,
			Files: c.Files, Values: c.Set, Keys: c.Keys, Moved: c.Moved,
			Excluded: jsonFindings(c.Excluded), Named: c.Named, Changed: c.Changed, Warnings: c.Warnings,
			Altered: c.Altered, Unlocked: c.Unlocked, Remarks: c.Remarks,
			Commands: c.Commands, OutsideHelm3: c.Outside3, OutsideHelm4: c.Outside4, Stuck: c.Stuck, Kustomize: c.Kustomize,
			Short: c.Short, Renders: c.Renders, GitOps: c.GitOps,
			Secrets: c.Secrets, SecretsLeft: c.SecretsLeft,
		}
		for _, l := range c.Left {
			m.Left = append(m.Left, jsonLeft{jsonFindings([]reports.Finding{l.Finding})[0], l.Reason, l.Target, l.Needs})
		}
		list[i] = m
	}
	return list
}

// jsonPlaces parts images from charts, which are told of with their values.
func jsonPlaces(r *reports.Import, charts []jsonMovedChart) []jsonPlaced {
	var images []jsonPlaced
	for _, im := range r.Images {
		state := im.State(r.DryRun)
		if at := slices.IndexFunc(charts, func(c jsonMovedChart) bool {
			return im.IsChart() && "oci://"+im.Target == c.Target+":"+strings.ReplaceAll(c.Version, "+", "_")
		}); at >= 0 {
			charts[at].Digest, charts[at].State, charts[at].Previous = im.Digest, state, im.Replaces.String()
			continue
		}
		images = append(images, jsonPlaced{im.Source, im.Target, im.Digest, im.SourceDigest, state, im.Replaces.String(), im.Refused})
	}
	return images
}

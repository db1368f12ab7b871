package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	semver "github.com/Masterminds/semver/v3"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// A NotThereError is a chart, or a version of one, that a registry does not have.
type NotThereError struct {
	Chart   string   // oci://HOST/PATH
	Version string   // as it was asked for; empty: any
	There   []string // tags that there are, the newest first
	Err     error    // what the registry said, or nil
}

func (e *NotThereError) Error() string {
	switch {
	case len(e.There) == 0 && e.Version == "":
		return fmt.Sprintf("chart %s: there is no such repository, or nothing in it", e.Chart)
	case e.Version == "":
		return fmt.Sprintf("chart %s: none of its %d tags is a stable version", e.Chart, len(e.There))
	}
	return fmt.Sprintf("chart %s: there is no version %s", e.Chart, e.Version)
}

// Unwrap returns what the registry said.
func (e *NotThereError) Unwrap() error { return e.Err }

// Fault names versions that there are.
func (e *NotThereError) Fault() (fault.Kind, string) {
	if len(e.There) == 0 {
		if strings.Contains(e.Chart, "/charts/") {
			return fault.Failed, "check host and path"
		}
		folder := e.Chart[:strings.LastIndexByte(e.Chart, '/')]
		return fault.Failed, "check host and path; charts often stand under " + folder + "/charts/"
	}
	const shown = 10
	if len(e.There) > shown {
		return fault.Failed, fmt.Sprintf("there is: %s and %d more", strings.Join(e.There[:shown], ", "), len(e.There)-shown)
	}
	return fault.Failed, "there is: " + strings.Join(e.There, ", ")
}

// resolveChart finds the manifest of oci://host/path/name[:version][@digest] as
// Helm does. A version is a tag, whether or not it is strict SemVer, and no list
// is asked for; a constraint, or none, chooses from the list of tags. Where there
// is no such tag, the same version under another spelling will do (1.2 is 1.2.0,
// v1.2.0 is 1.2.0).
func resolveChart(ctx context.Context, c *remote.Client, raw, version string) (ref name.Reference, root ocispec.Descriptor, manifest []byte, err error) {
	ref, fixed, err := parseChart(raw, version)
	if err != nil {
		return ref, root, nil, err
	}
	_, notExact := semver.NewVersion(version)
	switch {
	case fixed:
		if err := checkTag(ctx, c, ref, version); err != nil {
			return ref, root, nil, err
		}
		ref, root, manifest, err = getManifest(ctx, c, ref)
		if isNotFound(err) && ref.Digest == "" {
			_, err = missing(ctx, c, ref, ref.Tag, err)
		}
		return ref, root, manifest, err
	case notExact == nil:
		ref.Tag = record.Tag(version)
		ref, root, manifest, err = getManifest(ctx, c, ref)
		if !isNotFound(err) {
			return ref, root, manifest, err
		}
		if ref, err = otherSpelling(ctx, c, ref, version, err); err != nil {
			return ref, root, nil, err
		}
	default:
		if ref, err = newest(ctx, c, ref, version); err != nil {
			return ref, root, nil, err
		}
	}
	return getManifest(ctx, c, ref)
}

// parseChart reads the reference of a chart; fixed when it has a tag or a digest
// by itself.
func parseChart(raw, version string) (ref name.Reference, fixed bool, err error) {
	named := strings.TrimPrefix(raw, "oci://")
	if host, _, _ := strings.Cut(named, "/"); strings.Contains(host, "@") {
		return ref, false, &fault.UsageError{
			What:   "chart oci://" + named[strings.LastIndexByte(host, '@')+1:] + ": a user name and password do not belong into a reference",
			Advice: "log in with docker login, podman login or helm registry login",
		}
	}
	// Helm writes the + of a version as _ in a tag.
	if repository, _, digest := name.Cut(named); digest == "" {
		named = repository + record.Tag(named[len(repository):])
	}
	if ref, err = name.Parse(named); err != nil {
		return ref, false, &fault.UsageError{What: "chart " + raw + ": " + err.Error(), Advice: "want oci://HOST/PATH/NAME[:VERSION]"}
	}
	tagged := strings.HasSuffix(named, ":"+ref.Tag)
	if tagged && ref.Digest == "" && version != "" && ref.Tag != record.Tag(version) {
		return ref, false, &fault.UsageError{What: fmt.Sprintf("chart %s: --version %s contradicts the reference", raw, version)}
	}
	return ref, tagged || ref.Digest != "", nil
}

// checkTag makes sure that a version beside a digest is not another chart. It
// need not be there.
func checkTag(ctx context.Context, c *remote.Client, ref name.Reference, version string) error {
	if ref.Digest == "" || version == "" {
		return nil
	}
	got, ok, err := c.HasManifest(ctx, ref.Repository(), record.Tag(version))
	if err == nil && ok && got != ref.Digest {
		return &fault.UsageError{What: fmt.Sprintf("chart %s: its version %s is another, %s", ref, version, got)}
	}
	return nil
}

// getManifest fetches the manifest of a chart; of an index, that of the one chart
// in it, as Helm does.
func getManifest(ctx context.Context, c *remote.Client, ref name.Reference) (name.Reference, ocispec.Descriptor, []byte, error) {
	root, b, err := c.Resolve(ctx, ref.Pull())
	if err != nil || root.MediaType != ocispec.MediaTypeImageIndex {
		return ref, root, b, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return ref, root, nil, fmt.Errorf("chart %s: index: %w", ref, err)
	}
	const enough = 100
	if len(index.Manifests) > enough {
		return ref, root, nil, notChart(ref, root.MediaType)
	}
	for _, d := range index.Manifests {
		child, err := c.Manifest(ctx, ref.Repository(), d)
		if err != nil {
			return ref, root, nil, err
		}
		if _, err := chartManifest(ref, d, child); err == nil {
			if ref.Digest != "" {
				ref.Digest = d.Digest
			}
			return ref, ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, child, nil
		}
	}
	return ref, root, nil, notChart(ref, root.MediaType)
}

// isNotFound reports whether a registry does not have something.
func isNotFound(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && e.Kind == remote.NotFound
}

// otherSpelling finds the tag of a version that is spelled in another way.
func otherSpelling(ctx context.Context, c *remote.Client, ref name.Reference, version string, refusal error) (name.Reference, error) {
	tags, refusal := missing(ctx, c, ref, version, refusal)
	want, err := semver.NewVersion(version)
	if err != nil {
		return ref, refusal
	}
	for _, t := range tags {
		v, err := semver.NewVersion(untag(t))
		if err == nil && v.Equal(want) && v.Metadata() == want.Metadata() {
			ref.Tag = t
			return ref, nil
		}
	}
	return ref, refusal
}

// missing says what there is in the place of a version that a registry does not
// have. One that does not list its tags leaves it at its refusal.
func missing(ctx context.Context, c *remote.Client, ref name.Reference, version string, refusal error) ([]string, error) {
	chart := "oci://" + ref.Repository()
	tags, err := c.Tags(ctx, ref.Repository())
	switch {
	case ctx.Err() != nil:
		return nil, err
	case isNotFound(err) || err == nil && len(tags) == 0:
		return nil, &NotThereError{Chart: chart, Err: refusal}
	case err != nil:
		return nil, refusal
	}
	return tags, &NotThereError{Chart: chart, Version: version, There: newestFirst(tags), Err: refusal}
}

// newest finds the tag of the highest version that satisfies a constraint; without
// one, of the highest that is not a pre-release. As with Helm, only tags that are
// strict SemVer count.
func newest(ctx context.Context, c *remote.Client, ref name.Reference, constraint string) (name.Reference, error) {
	wanted, err := semver.NewConstraint(cmp.Or(constraint, "*"))
	if err != nil {
		return ref, &fault.UsageError{What: fmt.Sprintf("chart oci://%s: version %q is neither a version nor a constraint: %v", ref.Repository(), constraint, err)}
	}
	chart := "oci://" + ref.Repository()
	tags, err := c.Tags(ctx, ref.Repository())
	if isNotFound(err) || err == nil && len(tags) == 0 {
		return ref, &NotThereError{Chart: chart, Err: err}
	}
	if err != nil {
		var e *remote.Error
		if errors.As(err, &e) && remote.Refused(err) {
			return ref, fault.WithHint(err, "name the version with --version: it needs no list")
		}
		return ref, err
	}
	if ref.Tag = pick(tags, wanted, constraint); ref.Tag == "" {
		return ref, &NotThereError{Chart: chart, Version: constraint, There: newestFirst(tags)}
	}
	return ref, nil
}

// pick returns the tag of the highest version that satisfies a constraint, or the
// one that is spelled like it; empty for none. Among versions that differ in
// their build alone, it is the one that Helm's sorting puts first.
func pick(tags []string, wanted *semver.Constraints, constraint string) string {
	var versions []*semver.Version
	for _, t := range tags {
		if v, err := semver.StrictNewVersion(untag(t)); err == nil {
			versions = append(versions, v)
		}
	}
	sort.Sort(sort.Reverse(semver.Collection(versions)))
	for _, fits := range []func(*semver.Version) bool{
		func(v *semver.Version) bool { return v.String() == constraint },
		wanted.Check,
	} {
		if i := slices.IndexFunc(versions, fits); i >= 0 {
			return record.Tag(versions[i].Original())
		}
	}
	return ""
}

// newestFirst sorts tags by the version that they are; what is none comes last, and
// signatures and the like do not count.
func newestFirst(tags []string) []string {
	version := func(tag string) *semver.Version {
		v, err := semver.NewVersion(untag(tag))
		if err != nil {
			return new(semver.Version)
		}
		return v
	}
	tags = slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return strings.HasPrefix(t, string(digest.SHA256)+"-") })
	slices.SortStableFunc(tags, func(a, b string) int { return version(b).Compare(version(a)) })
	for i, t := range tags {
		tags[i] = untag(t)
	}
	return tags
}

// untag is the version that a tag stands for.
func untag(tag string) string { return strings.ReplaceAll(tag, "_", "+") }

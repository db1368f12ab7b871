package bundle

import (
	"context"
	"io"
	"path/filepath"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout/parts"
)

// What goes into a bundle, and what one holds.
type (
	ChartSpec = source.ChartSpec // a chart and the inputs to render it with
	Config    = source.Config    // what --config takes
	Platform  = image.Platform   // os/arch[/variant]
	Bundle    = open.Bundle      // an open bundle, checked but for its layers
)

// How registries are reached, and where things land in one.
type (
	Registry        = place.Registry
	Naming          = place.Naming
	RegistryOptions = remote.Options
	Retry           = remote.Retry
	Credential      = remote.Credential
)

// Bundles that are cut into parts.
type (
	SetOptions = transfer.SetOptions // how a bundle is cut, and where its parts go
	PartSize   = transfer.PartSize
	Swap       = media.Swap    // a change of media in one drive
	Outline    = media.Outline // what people should know before
)

// Who signs, and whom to believe.
type (
	Signer     = trust.Signer
	KeyOptions = trust.KeyOptions
	Trust      = trust.Trust
)

// What an import is told besides, and whom it tells what it does.
type (
	Secrets        = emit.Secrets // which Secrets --render leaves out
	ReceiptOptions = emit.ReceiptOptions
	Progress       = progress.Reporter // receives what happens while bytes move
)

// Errors: package reports names those that carry more.
type (
	Kind       = fault.Kind
	UsageError = fault.UsageError
)

// The kinds of errors, see [KindOf].
const (
	Failed      = fault.Failed
	Usage       = fault.Usage
	Untrusted   = fault.Untrusted
	Damaged     = fault.Damaged
	Refused     = fault.Refused
	Incomplete  = fault.Incomplete
	NeedsMore   = fault.NeedsMore
	Interrupted = fault.Interrupted
)

// What stands in options for itself.
const (
	StreamOutput  = transfer.StreamOutput // as Output of an export: ExportOptions.Stream
	AllRegistries = "*"                   // in NoReferrers: every host

	KeepSecrets   = emit.KeepSecrets
	OmitGenerated = emit.OmitGenerated
	OmitAll       = emit.OmitAll

	NamesFull = place.Full // how paths become paths in the target registry
	NamesHost = place.Host
	NamesFlat = place.Flat
)

// What holds where nobody says anything else.
const (
	DefaultJobs        = 6                        // transfers at once
	DefaultKubeVersion = chart.DefaultKubeVersion // the Kubernetes version that charts are rendered for
	FormatVersion      = record.FormatVersion     // of bundles that are written, and the newest that is read (layout/SPEC.md)
)

// NameOf is the name of the bundle that a file is, or is a part of.
func NameOf(path string) string { return parts.Stem(filepath.Base(path)) }

// PartSizes are the sizes of parts that have a name: those of media.
func PartSizes() map[string]PartSize { return transfer.Presets }

// Child is the first thing in the main function of a program that shall render charts
// in processes of its own, which may die of what a template asks for: in such a process
// it serves renders and returns the code to exit with, otherwise ok is false. Without
// it, charts are rendered in the process that asks for it, and one that asks for
// terabytes at once ends it.
//
//	if code, ok := bundle.Child(); ok {
//		os.Exit(code)
//	}
func Child() (code int, ok bool) { return chart.Child() }

// KindOf sorts err by what the caller can do about it; not for nil.
func KindOf(err error) Kind { return fault.KindOf(err) }

// Hint returns what the user can do next about err, or nothing.
func Hint(err error) string { return fault.Hint(err) }

// Items are the things that err is about, one by one: images that are missing,
// repositories that refuse. Empty where it is about one.
func Items(err error) []reports.Item { return fault.Items(err) }

// Open checks the head of the bundle at path and whose it is. It may be a part of
// one, or a folder with parts; more are further paths. The caller closes it.
func Open(ctx context.Context, path string, t *Trust, more ...string) (*Bundle, error) {
	return open.File(ctx, path, t, more...)
}

// LoadSigner reads an OpenSSH private key, or finds the other half of a public
// one or a certificate in the ssh-agent.
func LoadSigner(ctx context.Context, path string, o KeyOptions) (*Signer, error) {
	return trust.LoadSigner(ctx, path, o)
}

// LoadTrust reads public key files and, where named, an OpenSSH
// allowed_signers file.
func LoadTrust(ctx context.Context, keyFiles []string, allowedSigners string) (*Trust, error) {
	return trust.LoadTrust(ctx, keyFiles, allowedSigners)
}

// DefaultSigners is the allowed_signers file of the user, whether or not there
// is one; or, where there is no home, its name in words.
func DefaultSigners() string { return trust.DefaultSigners() }

// TrustAnyone skips the signature: checksums still hold, but say only that a
// bundle is whole, not whose it is.
func TrustAnyone() *Trust { return trust.TrustAnyone() }

// Keygen writes a new OpenSSH Ed25519 key pair to path and path.pub, and
// returns its fingerprint. Existing files are never replaced: that is found out before
// the passphrase is asked for, of which nil or an empty one is none.
func Keygen(path, comment string, passphrase func() ([]byte, error)) (fingerprint string, err error) {
	return trust.Keygen(path, comment, passphrase)
}

// WriteFile puts content under path, whole or not at all, and on the disk before it
// returns, as this package writes everything.
func WriteFile(path string, content []byte) error { return disk.WriteFile(path, content) }

// LoadConfig reads a configuration file. Paths in it are relative to its
// folder.
func LoadConfig(ctx context.Context, path string) (*Config, error) {
	return source.LoadConfig(ctx, path)
}

// WriteList writes charts and images for hauler, for zarf, or as plain text.
func WriteList(kind string, r *reports.Images, images []string) ([]byte, error) {
	return source.WriteList(kind, r.Charts, images)
}

// LoadList reads a list of images: one reference a line, # begins a comment; or the
// manifest of hauler, or the package definition of zarf, of which it names what is
// not taken.
func LoadList(ctx context.Context, path string) (images, notTaken []string, err error) {
	return source.LoadList(ctx, path)
}

// ParsePlatform reads os/arch[/variant].
func ParsePlatform(s string) (Platform, error) { return image.ParsePlatform(s) }

// ParseNaming reads full, host or flat.
func ParseNaming(s string) (Naming, error) { return place.ParseNaming(s) }

// ParseRegistry reads HOST[:PORT][/PREFIX].
func ParseRegistry(s string) (Registry, error) { return place.ParseRegistry(s) }

// TargetName is the name that an image gets in a registry.
func TargetName(raw string, r Registry, n Naming) string {
	return place.NewNames(new(record.Record), r, n).Target(raw)
}

// PostRender is a Helm post-renderer: it reads manifests, rewrites the
// references of the map file, and writes the result. unused are lines of the map
// that matched nothing.
func PostRender(ctx context.Context, in io.Reader, out io.Writer, mapFile string) (unused []string, err error) {
	return emit.PostRender(ctx, in, out, mapFile)
}

package image

import (
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
)

// A Platform is os/arch or os/arch/variant, as --platform takes it.
type Platform struct{ OS, Architecture, Variant string }

// ParsePlatform reads os/arch[/variant].
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Platform{}, &fault.UsageError{
			What:   fmt.Sprintf("platform %q: want os/arch or os/arch/variant", s),
			Advice: "for example --platform linux/amd64 --platform linux/arm/v7",
		}
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func (p Platform) String() string {
	if p.Variant == "" {
		return p.OS + "/" + p.Architecture
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant
}

// matches says whether an image for q serves a request for p: a request
// without a variant takes all of them, and arm64 is arm64/v8.
func (p Platform) matches(q Platform) bool {
	if p.OS != q.OS || p.Architecture != q.Architecture {
		return false
	}
	return p.Variant == "" || p.Variant == q.Variant ||
		p.Architecture == "arm64" && p.Variant == "v8" && q.Variant == ""
}

func platformOf(p *ocispec.Platform) (Platform, bool) {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return Platform{}, false
	}
	return Platform{p.OS, p.Architecture, p.Variant}, true
}

package place

import (
	"fmt"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// A Naming is how the path of an image becomes one below the target registry.
type Naming string

// The namings. Flat is for registries that limit the depth of paths: it makes one
// part of host and path, so that no two images share a name.
//
//	Full  ghcr.io/acme/plugins/kv:1  →  HOST/PREFIX/acme/plugins/kv:1
//	Host  ghcr.io/acme/plugins/kv:1  →  HOST/PREFIX/ghcr.io/acme/plugins/kv:1
//	Flat  ghcr.io/acme/plugins/kv:1  →  HOST/PREFIX/ghcr.io--acme--plugins--kv:1
const (
	Full Naming = "full"
	Host Naming = "host"
	Flat Naming = "flat"
)

// ParseNaming reads the name of a naming; empty is Full.
func ParseNaming(s string) (Naming, error) {
	switch n := Naming(s); n {
	case "":
		return Full, nil
	case Full, Host, Flat:
		return n, nil
	}
	return "", &fault.UsageError{
		What:   fmt.Sprintf("names %q: want full, host or flat", s),
		Advice: "full keeps the path, host puts the source's host before it, flat makes one part of both, for registries that limit the depth",
	}
}

// target is the name of raw below registry. What is there already stays.
func (n Naming) target(raw, registry string) string {
	if n != Flat || strings.HasPrefix(raw, registry+"/") {
		return written.Target(raw, registry, n != Full && n != "")
	}
	ref, err := name.Parse(raw)
	if err != nil {
		return written.Target(raw, registry, true) // no name of an image: whoever takes it will say so
	}
	repository, _, _ := name.Cut(raw)
	return registry + "/" + flatten(ref.Host, ref.Path) + raw[len(repository):]
}

// flatten makes one part of a host and a path. No two of them become the same: a
// slash is written as two dashes, and more than one dash as one more.
func flatten(host, path string) string {
	var b strings.Builder
	b.WriteString(strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-' // before a port, and in IPv6 addresses
	}, strings.ToLower(host)), "-"))
	dashes := 0
	for _, r := range "/" + path {
		if r == '-' {
			dashes++
			continue
		}
		b.WriteString(run(dashes))
		dashes = 0
		if r == '/' {
			b.WriteString("--")
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// run writes n dashes of a path, which ends with none.
func run(n int) string {
	if n > 1 {
		n++
	}
	return strings.Repeat("-", n)
}

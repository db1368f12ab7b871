package hostile

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// theLayer is the one layer of the image.
var theLayer = []byte("a layer, which need not be one")

// A leaving is a delta with something wrong: blobs that are left out, and what the
// record says of that.
func leaving(out []digest.Digest, edit func(requires map[string]any)) func() Content {
	return attack{
		blobs: func(b blobs) {
			for _, d := range out {
				b[d] = nil
			}
		},
		record: func(r map[string]any) {
			requires := map[string]any{
				"bases":  []any{map[string]any{"id": "fedcba9876543210", "kind": "bundle", "created": modTime}},
				"layers": []any{required(digest.FromBytes(theLayer), len(theLayer))},
			}
			edit(requires)
			r["requires"] = requires
		},
	}.make()
}

func required(d digest.Digest, size int) map[string]any {
	return map[string]any{"digest": d, "size": size, "base": "fedcba9876543210", "repositories": []any{"ghcr.io/acme/app"}}
}

// delta is one that leaves its layer out, with its requirement edited.
func delta(edit func(requires map[string]any)) func() Content {
	return leaving([]digest.Digest{digest.FromBytes(theLayer)}, edit)
}

func leftOut(field string, value any) func() Content {
	return delta(func(r map[string]any) { first(r, "layers")[field] = value })
}

func base(field string, value any) func() Content {
	return delta(func(r map[string]any) { first(r, "bases")[field] = value })
}

// more requires further things.
func more(list string, items ...any) func(map[string]any) {
	return func(r map[string]any) { r[list] = append(r[list].([]any), items...) }
}

func deltas() []Case {
	return []Case{
		{"delta", "layer that is inside all the same", Damaged, "it is inside, or nothing needs it", leaving(nil, func(map[string]any) {})},
		{"delta", "layer that nothing needs", Damaged, "it is inside, or nothing needs it", delta(more("layers", required(digest.FromString("x"), 1)))},
		{"delta", "another layer than is left out", Damaged, "not in the bundle", leftOut("digest", digest.FromString("x"))},
		{"delta", "config left out", Damaged, "missing", leaving([]digest.Digest{digest.FromBytes(theLayer), digest.FromBytes(imageConfig)},
			more("layers", required(digest.FromBytes(imageConfig), len(imageConfig))))},
		{"delta", "chart left out", Damaged, "more than a layer", leaving([]digest.Digest{digest.FromBytes(theLayer), digest.FromBytes(goodArchive())},
			more("layers", required(digest.FromBytes(goodArchive()), len(goodArchive()))))},
		{"delta", "another size", Damaged, "but its descriptor says", leftOut("size", len(theLayer)+1)},
		{"delta", "negative size", Damaged, "has -1 bytes", leftOut("size", -1)},
		{"delta", "size of more than 63 bits", Damaged, "cannot unmarshal", leftOut("size", 1e30)},
		{"delta", "twice", Damaged, "twice", delta(more("layers", required(digest.FromBytes(theLayer), len(theLayer))))},
		{"delta", "nothing", Damaged, "requires 0 layers", delta(func(r map[string]any) { r["layers"] = []any{} })},
		{"delta", "no digest", Damaged, "is no SHA-256 digest", leftOut("digest", "sha256:../../x")},
		{"delta", "sha512", Damaged, "is no SHA-256 digest", leftOut("digest", digest.SHA512.FromString("x"))},
		{"delta", "base that is not named", Damaged, "which it does not name", leftOut("base", "0123")},
		{"delta", "base twice", Damaged, "or there twice", delta(more("bases", map[string]any{"id": "fedcba9876543210", "kind": "bundle", "created": modTime}))},
		{"delta", "base without id", Damaged, "or there twice", base("id", "")},
		{"delta", "base of another kind", Damaged, `of kind "hearsay"`, base("kind", "hearsay")},
		{"delta", "base with terminal codes", Damaged, "cannot be printed", base("id", "\x1b[2J")},
		{"delta", "base that is the bundle itself and leaves out what nobody has", Damaged, "not in the bundle", delta(func(r map[string]any) {
			first(r, "bases")["id"], first(r, "layers")["base"] = "0123456789abcdef", "0123456789abcdef"
			first(r, "layers")["digest"] = digest.FromString("of the next one")
		})},
		{"delta", "repository with a tag", Damaged, "is no repository", leftOut("repositories", []any{"ghcr.io/acme/app:1"})},
		{"delta", "repository outside", Damaged, "invalid reference", leftOut("repositories", []any{"ghcr.io/../../app"})},
		{"delta", "nine repositories", Damaged, "more than 8", leftOut("repositories", strings.Fields(strings.Repeat("ghcr.io/acme/app ", 9)))},
		{"delta", "unknown field", Damaged, "unknown field", leftOut("urls", []any{"https://evil.example/layer"})},
		{"delta", "eighty thousand layers", Damaged, "it is inside, or nothing needs it", delta(func(r map[string]any) {
			list := must(json.Marshal(r["layers"]))
			list = list[:len(list)-1]
			for i := range 80_000 {
				list = fmt.Appendf(list, `,{"base":"fedcba9876543210","digest":"sha256:%064x","size":%d}`, i, i)
			}
			r["layers"] = json.RawMessage(append(list, ']'))
		})},
	}
}

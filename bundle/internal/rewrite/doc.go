// Package rewrite replaces image references in rendered manifests, wherever
// discovery (package chart) finds them: as a value, as a word of an argument or a
// text, spread over sibling keys (registry, repository, tag; also X_IMAGE_REPOSITORY
// and X_IMAGE_TAG), inside YAML or JSON that stands in a string, inside the base64
// of a Secret.
//
// The contract: only the bytes of what is replaced change. Comments, order, quotes,
// block styles and line ends stay, since the text is edited at the places that the
// parser names and never written anew. Each document is read again afterwards, and
// one that does not read as intended is left as it was. An empty map changes
// nothing, whatever the text.
//
// A reference is replaced where it stands alone: ghcr.io/a/b:1 does not match inside
// mirror/ghcr.io/a/b:1 or ghcr.io/a/b:1.2. One without registry, path, tag and digest
// is an ordinary word, and replaced only under a key or flag that names an image.
//
//	m, err := rewrite.Parse(text, "rewrite.map")
//	out, unused := m.Rewrite(manifests)
//
// # How it works
//
//	for each document of the stream:           // rewriter.go
//	    tree  = parse, with where each scalar stands   // yaml.go, json.go
//	    edits = for each mapping and list: references spread over keys  // spread.go
//	            for each scalar: the documents or the words in it       // words.go
//	    text' = text with the edits, translated from the scalar to its source  // scalar.go
//	    keep text' if it reads as tree with the new scalars
package rewrite

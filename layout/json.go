package layout

import "bundle/layout/strict"

// indexRules and manifestRules bound the memory that decoding takes: an index of
// 20,000 references has fewer values. An index is written by this program's kind
// and has no other keys; manifests are anybody's.
var (
	indexRules = strict.Rules{
		Bytes: MaxIndexSize, Depth: 32, Values: 200_000, Names: jsonNames, Free: "annotations", Closed: true,
	}
	manifestRules = strict.Rules{
		Bytes: MaxManifestSize, Depth: 32, Values: 200_000, Names: jsonNames, Free: "annotations",
	}
)

// jsonNames are the keys that have a meaning in indexes and manifests.
var jsonNames = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests",
	"subject", "annotations", "digest", "size", "urls", "data", "fsLayers",
	"platform", "architecture", "os", "os.version", "os.features", "variant",
}

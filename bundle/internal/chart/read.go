package chart

import (
	"maps"
	"slices"
)

// ReadManifests reads manifests that somebody has rendered, by the name of their
// file: what helm template printed, or a folder that is applied.
func ReadManifests(files map[string]string) *Output {
	o := new(Output)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var docs []*document
		for _, text := range splitDocuments(files[name]) {
			doc := parseDocument(text)
			if doc == nil {
				doc = &document{raw: text}
			}
			docs = append(docs, doc)
		}
		o.add(name, files[name], docs)
	}
	o.index()
	return o
}

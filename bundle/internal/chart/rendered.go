package chart

import (
	"maps"
	"slices"
)

// Rendered reads what another program rendered of a chart: the text of each template
// by its name, as helm template gives them. Of documents that hold nothing there are
// none.
func Rendered(texts map[string]string) *Output {
	o := &Output{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		var docs []*document
		for _, raw := range splitDocuments(texts[name]) {
			if d := parseDocument(raw); d != nil {
				docs = append(docs, d)
			}
		}
		o.add(name, texts[name], docs)
	}
	o.index()
	return o
}

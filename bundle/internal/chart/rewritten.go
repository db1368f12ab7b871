package chart

// Rewritten returns what was rendered with other texts for its manifests, as a
// post-renderer would hand it on: what stands at a position now is read by Lookup.
func (o *Output) Rewritten(text func(m *Manifest) string) *Output {
	again := &Output{Notes: o.Notes, annotated: o.annotated, texts: o.texts, hashes: o.hashes, byID: map[Document]*Manifest{}}
	for i := range o.Manifests {
		m := o.Manifests[i]
		if now := text(&m); now != m.Raw {
			m.Raw = now
			if m.doc = parseDocument(now); m.doc == nil {
				m.doc = &document{raw: now}
			}
		}
		again.Manifests = append(again.Manifests, m)
	}
	for i := range again.Manifests {
		m := &again.Manifests[i]
		again.byID[m.ID] = m
	}
	return again
}

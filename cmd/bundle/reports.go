package main

import (
	"path/filepath"
	"slices"

	"bundle/bundle/reports"
)

// The reports of package bundle in the words of words.go.

func aboutBundle(b reports.ReceiptBundle, entries int) jsonBundle {
	return jsonBundle{b.Path, b.Size, b.ID, b.Created, b.Expires, b.Serial, b.Tool, b.Sums.String(), entries}
}

func exportJSON(r *reports.Export, err error) *jsonExport {
	j := &jsonExport{
		DryRun:     r.DryRun,
		Complete:   err == nil,
		Bundle:     jsonBundle{Path: r.Output, Size: r.Size, ID: r.ID, Created: r.Created, Expires: r.Expires, Serial: r.Serial, Tool: r.Tool},
		Bytes:      jsonBytes{Total: r.Payload, Moved: r.Payload - r.Resumed, Present: r.Resumed},
		Blobs:      r.Blobs,
		Count:      r.Count,
		Parts:      r.Parts,
		Removed:    r.Removed,
		Charts:     jsonCharts(r.Charts),
		Images:     jsonImageList(r.Images),
		Referrers:  jsonImageList(r.Referrers),
		Unresolved: jsonFindings(r.Unresolved),
		Accepted:   jsonFindings(r.Accepted),
		Lacking:    r.Lacking,
		LeftBehind: r.LeftBehind,
		Elsewhere:  r.Elsewhere,
		Unasked:    r.Unasked,
		Fetched:    r.Fetched,
		Warnings:   slices.Concat(r.NotTaken, r.Collisions, r.Warnings),
		Beside:     besideJSON(r),
	}
	if len(r.Bases) > 0 {
		j.Requires = &jsonRequires{}
	}
	for _, b := range r.Bases {
		j.Requires.Layers += b.Layers
		j.Requires.Bytes += b.Bytes
		j.Requires.Bases = append(j.Requires.Bases, jsonBase(b))
	}
	if r.Fingerprint != "" {
		j.Signers = []jsonSigner{{Fingerprint: r.Fingerprint, KeyType: r.KeyType, Signature: "SHA256SUMS.sig"}}
	}
	for _, c := range r.Changed {
		j.Moved = append(j.Moved, jsonMoved{c.Reference, c.Now.String(), c.Was.String()})
	}
	return j
}

// requiresJSON is what the record of a delta says.
func requiresJSON(r *reports.Requires) *jsonRequires {
	if r == nil {
		return nil
	}
	j := &jsonRequires{Layers: len(r.Layers), Bytes: r.Bytes()}
	for _, b := range r.Bases {
		layers, bytes := r.Of(b.ID)
		j.Bases = append(j.Bases, jsonBase{ID: b.ID, Kind: b.Kind, Created: b.Created, Layers: layers, Bytes: bytes})
	}
	return j
}

func importJSON(r *reports.Import, err error) *jsonImport {
	j := &jsonImport{
		Parts:            jsonPartsOf(r.Parts),
		Missing:          r.Missing,
		DryRun:           r.DryRun,
		Requires:         requiresJSON(r.Requires),
		Complete:         err == nil,
		Bundle:           aboutBundle(r.Bundle, 0),
		Signers:          jsonSigners(r.Signers, true),
		SignatureSkipped: r.SignatureSkipped,
		Registry:         r.Registry,
		Bytes:            jsonBytes{r.Bytes.Sent + r.Bytes.Mounted + r.Bytes.Present, r.Bytes.Sent, r.Bytes.Mounted, r.Bytes.Present},
		Charts:           jsonMovedCharts(r.Charts),
		Excluded:         r.Excluded,
		Warnings:         r.Warnings,
		OutputDir:        r.OutputDir,
		Receipt:          r.Receipt,
		Kept:             r.Kept,
	}
	j.Images = jsonPlaces(r, j.Charts)
	for i := range j.Charts {
		c := &j.Charts[i]
		files := c.Files
		c.Files = nil
		for _, name := range files {
			c.Files = append(c.Files, filepath.Join(r.OutputDir, name))
		}
		if c.Archive != "" {
			c.Archive = filepath.Join(r.OutputDir, c.Archive)
		}
		if r.DryRun {
			c.Files, c.Commands = nil, nil // there is nothing to install yet
		}
	}
	return j
}

func blobsJSON(r *reports.Blobs, err error) *jsonImport {
	return &jsonImport{
		Parts:            jsonPartsOf(r.Parts),
		Missing:          r.Missing,
		DryRun:           r.DryRun,
		Complete:         err == nil,
		Bundle:           aboutBundle(r.Bundle, 0),
		Signers:          jsonSigners(r.Signers, true),
		SignatureSkipped: r.SignatureSkipped,
		Registry:         r.Registry,
		Bytes:            jsonBytes{r.Bytes.Sent + r.Bytes.Mounted + r.Bytes.Present, r.Bytes.Sent, r.Bytes.Mounted, r.Bytes.Present},
		Warnings:         r.Warnings,
		Shard:            &jsonShard{r.Index, r.Of, r.Blobs, r.Total, r.Lacks},
	}
}

// besideJSON is what lies beside a bundle, or would.
func besideJSON(r *reports.Export) (list []jsonFile) {
	for _, w := range r.Beside {
		list = append(list, jsonFile{w.Path, w.Size, w.SHA256, w.Platform, reports.Present})
	}
	if r.DryRun {
		for _, p := range r.Programs {
			list = append(list, jsonFile{p.Name, p.Size, p.SHA256(), p.Platform, reports.Missing})
		}
	}
	return list
}

// filesJSON is what a list of checksums names.
func filesJSON(all []reports.ListedFile) (list []jsonFile) {
	for _, f := range all {
		j := jsonFile{Path: f.Path, Size: f.Size, SHA256: f.SHA256, State: reports.Present}
		if f.Missing {
			j.State = reports.Missing
		}
		list = append(list, j)
	}
	return list
}

func verifyJSON(r *reports.Verify) *jsonVerify {
	return &jsonVerify{
		Files:            filesJSON(r.Files),
		Parts:            jsonPartsOf(r.Parts),
		Missing:          r.Missing,
		Bundle:           aboutBundle(r.Bundle, r.Entries),
		Requires:         requiresJSON(r.Requires),
		Signers:          jsonSigners(r.Signers, true),
		SignatureSkipped: r.SignatureSkipped,
		Bytes:            jsonBytes{Total: r.Bytes},
	}
}

func inspectJSON(r *reports.Inspect) *jsonInspect {
	j := &jsonInspect{
		Parts:         jsonPartsOf(r.Parts),
		Verified:      r.Checked,
		FormatVersion: r.FormatVersion,
		Bundle:        aboutBundle(r.Bundle, r.Entries),
		Requires:      requiresJSON(r.Requires),
		Signers:       jsonSigners(r.Claimed, false),
		Charts:        jsonCharts(r.Charts),
		Images:        jsonImageList(r.Images),
		Referrers:     jsonImageList(r.Referrers),
		Unresolved:    jsonFindings(r.Unresolved),
		Accepted:      jsonFindings(r.Accepted),
	}
	if r.Checked {
		j.Signers = jsonSigners(r.Signers, true)
	}
	return j
}

func signJSON(r *reports.Sign) *jsonSign {
	own := reports.Voucher{Fingerprint: r.Fingerprint, KeyType: r.KeyType, Signature: r.Signature}
	return &jsonSign{
		Bundle:  aboutBundle(r.Bundle, 0),
		Signers: jsonSigners(append([]reports.Voucher{own}, r.Others...), false),
		Already: r.Already,
	}
}

func imagesJSON(r *reports.Images) *jsonImages {
	j := &jsonImages{Failed: r.Failed, Untried: r.Untried, Warnings: r.NotTaken}
	j.Images, j.Unresolved = byReference(r.Found)
	for _, d := range r.Disabled {
		j.Disabled = append(j.Disabled, jsonDisabled{jsonFindings([]reports.Finding{d.Finding})[0], d.Switch})
	}
	return j
}

func valuesJSON(r *reports.Values, err error) *jsonValues {
	j := &jsonValues{Complete: err == nil, Registry: r.Registry}
	for _, c := range r.Charts {
		charts := jsonMovedCharts([]reports.ImportChart{c.ChartReport})
		charts[0].Commands = nil // they are for what an import has written
		j.Charts = append(j.Charts, charts...)
	}
	return j
}

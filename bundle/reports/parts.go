package reports

import (
	"bundle/bundle/internal/media"
	"bundle/layout/parts"
)

// A Protect says what was written beside a bundle.
type Protect struct {
	Path   string          `json:"path"`
	ID     string          `json:"id"`
	Data   int             `json:"data"`   // columns of data: parts, or slices of one file
	Parity int             `json:"parity"` // how many columns may be lost
	Parts  []media.Written `json:"parts"`

	Removed []string `json:"removed"` // files of another bundle in parts that was replaced
}

// A Repair says what was made again.
type Repair struct {
	Path   string         `json:"path"`
	ID     string         `json:"id"`
	Damage []parts.Damage `json:"damage,omitempty"` // what was lost
	Parts  []Repaired     `json:"parts,omitempty"`  // what was written in its place
}

// A Split says what a bundle was cut into.
type Split struct {
	Path  string          `json:"path"`
	ID    string          `json:"id"`
	Size  int64           `json:"size"`  // of the whole bundle
	Count int             `json:"count"` // parts
	Parts []media.Written `json:"parts"`

	Removed []string `json:"removed"` // files of another bundle in parts that was replaced
}

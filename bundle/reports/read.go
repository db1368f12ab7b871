package reports

import (
	"fmt"
	"strings"
	"time"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/nodes"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
)

// An Inspect shows a bundle without judging it, unless a Trust was
// given.
type Inspect struct {
	Bundle  emit.ReceiptBundle `json:"-"`
	Entries int                `json:"-"`
	Claimed []trust.Voucher    `json:"-"` // who signed, as far as the signature in the bundle says it; not checked
	Path    string             `json:"path"`
	Size    int64              `json:"size"`
	Signed  bool               `json:"signed"`
	Key     string             `json:"key,omitempty"` // fingerprint that the signature names
	KeyType string             `json:"keyType,omitempty"`
	Checked bool               `json:"checked"`           // signatures were checked against trusted keys
	Signers []trust.Voucher    `json:"signers,omitempty"` // those that were accepted
	Blobs   int                `json:"blobs"`
	Parts   *open.PartsReport  `json:"parts,omitempty"` // of a bundle in parts: what was there
	*record.Record
}

// A Serve says what is served where.
type Serve struct {
	Address     string // host:port that is listened on
	Scheme      string // http or https
	Fingerprint string // SHA-256 of a fresh certificate
	Certificate []byte // a fresh certificate, PEM
	Bundles     []Served
	NodeFiles   []nodes.File // by which nodes pull from here what they know by its source
}

// A Sign says what was signed.
type Sign struct {
	Bundle      emit.ReceiptBundle
	KeyType     string
	Path        string
	ID          string
	Created     time.Time
	Charts      []string // name-version
	Images      int
	Fingerprint string          // of the key that signed
	Signature   string          // where it is: a file, or SHA256SUMS.sig in the bundle
	Already     bool            // it was there before
	Others      []trust.Voucher // who else signed; whether to believe them was not asked
	Files       []ListedFile    // of a list of checksums, not a bundle: what it names
}

// A Verify says what was checked.
type Verify struct {
	Bundle emit.ReceiptBundle
	Path   string
	trust.Vouched
	ID      string
	Created time.Time
	Entries int

	Requires *record.Requires // of a delta: what it leaves out
	Lent     int              // layers of those that were read in other bundles

	Bytes int64 // content that was hashed

	Parts   *open.PartsReport // of a bundle in parts: what was there
	Missing *open.MissingError

	Files []ListedFile // of a list of checksums, not a bundle: what it names
}

// A ListedFile is one that a list of checksums names.
type ListedFile struct {
	Path    string // beside the list
	Size    int64  // 0: it is not there
	SHA256  string // by the list
	Missing bool   // it is not there; of what is there, the content is that of the list
}

// A ListError names files whose content is not what a list of checksums says.
type ListError struct {
	List  string
	Files []string
}

func (e *ListError) Error() string {
	return fmt.Sprintf("%s says other content: %s", e.List, strings.Join(e.Files, ", "))
}

// Fault tells the way out.
func (e *ListError) Fault() (fault.Kind, string) {
	return fault.Damaged, "fetch or carry these files again, and do not run them"
}

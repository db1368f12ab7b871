package layout

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The entries that every bundle begins with, in this order. The signature
// stands only in a signed bundle.
const (
	LayoutFile    = ocispec.ImageLayoutFile
	SumsFile      = "SHA256SUMS"
	SignatureFile = "SHA256SUMS.sig"
	IndexFile     = ocispec.ImageIndexFile
)

// MaxEntries is how many entries a bundle may have.
const MaxEntries = 200_000

const blobPrefix = ocispec.ImageBlobsDir + "/sha256/"

// LayoutContent returns the content of the oci-layout entry.
func LayoutContent() []byte {
	return []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)
}

// BlobName returns the name of the entry that holds the blob d. For anything
// but a valid sha256 digest the result is a name that no bundle can hold.
func BlobName(d digest.Digest) string {
	algorithm, encoded, _ := strings.Cut(d.String(), ":")
	return ocispec.ImageBlobsDir + "/" + algorithm + "/" + encoded
}

// BlobDigest is the inverse of [BlobName]; it reports false for a name that is
// not that of a blob.
func BlobDigest(name string) (digest.Digest, bool) {
	if _, ok := blobKey(name); !ok {
		return "", false
	}
	return digest.NewDigestFromEncoded(digest.SHA256, name[len(blobPrefix):]), true
}

// key is a SHA-256 digest in a form that is small in a map.
type key [32]byte

// blobKey reads the name of a blob.
func blobKey(name string) (k key, ok bool) {
	encoded, found := strings.CutPrefix(name, blobPrefix)
	if !found || len(encoded) != hex.EncodedLen(len(k)) || encoded != strings.ToLower(encoded) {
		return key{}, false
	}
	_, err := hex.Decode(k[:], []byte(encoded))
	return k, err == nil
}

// checkName says what is wrong with the form of an entry's name; "" is fine.
func checkName(name string) string {
	switch name {
	case LayoutFile, SumsFile, SignatureFile, IndexFile:
		return ""
	}
	if _, ok := blobKey(name); ok {
		return ""
	}
	lower := strings.ToLower(name)
	_, twin := blobKey(lower)
	switch {
	case name == "":
		return "empty name"
	case strings.HasPrefix(name, "/"):
		return "absolute path"
	case strings.Contains("/"+name+"/", "/../"):
		return "path with .."
	case twin:
		return "upper case in a digest"
	case lower == LayoutFile || lower == strings.ToLower(SumsFile) ||
		lower == strings.ToLower(SignatureFile) || lower == IndexFile:
		return "case twin of a known name"
	case strings.HasPrefix(name, blobPrefix):
		return "blob name that is not a sha256 digest of 64 lower-case hex digits"
	case strings.HasPrefix(name, ocispec.ImageBlobsDir+"/"):
		return "blob of an algorithm other than sha256"
	}
	return "name that a bundle does not have"
}

// sequence accepts the names of a bundle in their order, each once. It is the
// one definition of that order, for the plan and for the reader.
type sequence struct {
	count  int
	last   int // position in head of the last entry; len(head) once blobs began
	signed bool
	blobs  map[key]int32 // number of the entry
}

var head = [...]string{LayoutFile, SumsFile, SignatureFile, IndexFile}

func newSequence() *sequence {
	return &sequence{last: -1, blobs: make(map[key]int32)}
}

// next takes the next name and says what is wrong with it; "" is fine.
func (s *sequence) next(name string) string {
	if what := checkName(name); what != "" {
		return what
	}
	if s.count == MaxEntries {
		return fmt.Sprintf("more than %d entries", MaxEntries)
	}
	if k, ok := blobKey(name); ok {
		return s.nextBlob(k)
	}
	at := slices.Index(head[:], name)
	switch {
	case name == SignatureFile && s.last > at && !s.signed:
		return "out of order: it stands before " + IndexFile
	case at <= s.last:
		return "duplicate"
	case at == s.last+1, name == IndexFile && head[s.last+1] == SignatureFile:
	default:
		return "out of order: " + s.missing() + " is missing before it"
	}
	s.signed = s.signed || name == SignatureFile
	s.last = at
	s.count++
	return ""
}

func (s *sequence) nextBlob(k key) string {
	if s.last < len(head)-1 {
		return "out of order: " + s.missing() + " is missing before it"
	}
	if _, found := s.blobs[k]; found {
		return "duplicate"
	}
	s.last = len(head)
	s.blobs[k] = int32(s.count)
	s.count++
	return ""
}

// missing names the entry without which the bundle cannot end here; "" is
// none.
func (s *sequence) missing() string {
	switch {
	case s.last >= len(head)-1:
		return ""
	case head[s.last+1] == SignatureFile:
		return IndexFile
	}
	return head[s.last+1]
}

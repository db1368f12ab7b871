package written

import (
	"slices"
	"strings"
)

// keyWords splits a key like fooImageTag, FOO_IMAGE_TAG or foo-image.tag into
// lowercase words.
func keyWords(key string) []string {
	var list []string
	var cur []byte
	flush := func() {
		if len(cur) > 0 {
			list = append(list, strings.ToLower(string(cur)))
			cur = cur[:0]
		}
	}
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c >= 'A' && c <= 'Z':
			lowerBefore := i > 0 && (key[i-1] >= 'a' && key[i-1] <= 'z' || key[i-1] >= '0' && key[i-1] <= '9')
			lowerAfter := i+1 < len(key) && key[i+1] >= 'a' && key[i+1] <= 'z' && i > 0 && key[i-1] >= 'A' && key[i-1] <= 'Z'
			if lowerBefore || lowerAfter {
				flush()
			}
			cur = append(cur, c)
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			cur = append(cur, c)
		default:
			flush()
		}
	}
	flush()
	return list
}

// Strength tells how strongly a key says that its value is an image.
type Strength int

const (
	NoImage    Strength = iota
	MaybeImage          // has image among its words: RELATED_IMAGE_X
	SomeImage           // ends in image: sidecarImage, X_IMAGE, --init-image
	ExactImage          // image, imageName, imageRef, imageURL
)

// lastly are words that may follow "image" in a key without changing that the
// value is the image.
var lastly = []string{"name", "ref", "url", "uri", "reference", "fullname"}

// notImages are words in a key that make the value something about an image.
var notImages = []string{
	"pull", "policy", "secret", "secrets", "tag", "tags", "version", "digest", "registry", "registries", "repo",
	"repository", "prefix", "size", "type", "format", "credentials", "cred", "creds", "password", "username", "hash",
	"addr", "address", "port", "host", "endpoint", "dir", "path", "timeout",
}

// ImageKey says how strongly the words of a key speak of an image as its value.
func ImageKey(key string) Strength {
	w := keyWords(key)
	if len(w) == 0 || slices.ContainsFunc(w, func(s string) bool { return slices.Contains(notImages, s) }) {
		return NoImage
	}
	end := len(w)
	if end > 1 && slices.Contains(lastly, w[end-1]) {
		end--
	}
	last := w[end-1]
	oneWord := strings.HasPrefix(last, "image") && slices.Contains(lastly, last[len("image"):])
	switch {
	case end == 1 && (last == "image" || oneWord):
		return ExactImage
	case strings.HasSuffix(last, "image"), last == "images", oneWord:
		return SomeImage
	case slices.Contains(w, "image"), slices.Contains(w, "images"):
		return MaybeImage
	}
	return NoImage
}

// NamesImage tells whether a key says that its value is an image.
func NamesImage(key string) bool { return ImageKey(key) != NoImage }

// FollowsImage tells whether a key is one of those that hold an image where the key
// above them names one: image: {reference: …}.
func FollowsImage(key string) bool { return slices.Contains(lastly, strings.ToLower(key)) }

// A Part is the part of a reference that a key holds.
type Part int

// The parts, as the words of keys name them: JOB_IMAGE_REPOSITORY, imageTag, hub.
const (
	NoPart Part = iota
	RegistryPart
	RepositoryPart
	ImagePart // the whole of a reference, or its last part
	NamePart
	TagPart
	VersionPart
	DigestPart
)

var parts = map[string]Part{
	"registry": RegistryPart, "hub": RegistryPart,
	"repository": RepositoryPart, "repo": RepositoryPart,
	"image": ImagePart, "name": NamePart,
	"tag": TagPart, "version": VersionPart,
	"digest": DigestPart, "sha": DigestPart, "sha256": DigestPart,
}

// PartOf says which part of a reference a key holds, and to which group of keys it
// belongs: fooImageTag is the tag of group "foo", and so is FOO_TAG. named tells
// whether the key itself speaks of an image.
func PartOf(key string) (group string, p Part, named bool) {
	w := keyWords(key)
	if len(w) == 0 {
		return "", NoPart, false
	}
	last := w[len(w)-1]
	if n := len(w); n > 1 && last == "url" && (parts[w[n-2]] == RepositoryPart || parts[w[n-2]] == RegistryPart) {
		return strings.Join(w[:n-2], "_"), RegistryPart, false // MONGODB_REPO_URL: what stands before MONGODB_IMAGE
	}
	p = parts[last]
	w = w[:len(w)-1]
	if p == NoPart {
		for _, suffix := range []string{"registry", "repository", "tag", "digest", "name"} { // imagetag in one word
			if last == "image"+suffix {
				return strings.Join(w, "_"), parts[suffix], true
			}
		}
		return "", NoPart, false
	}
	if n := len(w); p == NamePart && n > 0 && w[n-1] == "image" {
		return strings.Join(w[:n-1], "_"), ImagePart, true
	}
	if n := len(w); p != ImagePart && n > 0 && w[n-1] == "image" {
		return strings.Join(w[:n-1], "_"), p, true
	}
	return strings.Join(w, "_"), p, p == ImagePart
}

package chart

// A Part is the part of a reference that a key holds.
type Part int

// The parts, as the words of keys name them: JOB_IMAGE_REPOSITORY, imageTag, hub.
const (
	NoPart         = Part(noRole)
	RegistryPart   = Part(registryRole)
	RepositoryPart = Part(repositoryRole)
	ImagePart      = Part(imageRole) // the whole of a reference, or its last part
	NamePart       = Part(nameRole)
	TagPart        = Part(tagRole)
	VersionPart    = Part(versionRole)
	DigestPart     = Part(digestRole)
)

// PartOf says which part of a reference a key holds, and to which group of keys it
// belongs: fooImageTag is the tag of group "foo", and so is FOO_TAG. named tells
// whether the key itself speaks of an image.
func PartOf(key string) (group string, part Part, named bool) {
	group, r, named := roleOf(key)
	return group, Part(r), named
}

// NamesImage tells whether a key says that its value is an image.
func NamesImage(key string) bool { return classifyKey(key) != noImage }

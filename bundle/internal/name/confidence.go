package name

// Confidence says how sure it is that a text which stands in the place of an image
// names one.
type Confidence string

// What a text may be; a record has these words.
const (
	// Image is a reference that can be pulled as it stands.
	Image Confidence = "image"
	// Repository is a reference without tag or digest, or one with blanks, that
	// some program completes at run time.
	Repository Confidence = "repository"
	// Placeholder stands in an image position but names no image: "auto",
	// nothing, or text that another program fills in.
	Placeholder Confidence = "placeholder"
)

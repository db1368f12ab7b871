// Package written knows how charts write images: references in any of their short
// forms, words of texts that may be some, what programs fill in at run time, and
// what the keys of values and variables say of what they hold.
//
// The contract: nothing is defaulted and nothing is lost; what [Cut] takes apart is the
// same text again, and a word keeps its number where a reference beside it is replaced.
// What a reference means when it is pulled is for package name.
//
//	r := written.Cut("quay.io/acme/app:1")          // Host, Path, Tag
//	_, part, _ := written.PartOf("SIDECAR_IMAGE_TAG") // written.TagPart
package written

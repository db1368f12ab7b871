package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// Sorted are findings by what becomes of them.
type Sorted struct {
	Pullable []record.Finding
	Open     []record.Finding // cannot be pulled as they stand
	Accepted []record.Finding // neither, but the user knows of them
}

// Sort parts findings. What the user ignores is accepted wherever a chart writes
// it, and so is what an image of the user's answers. A reference without a tag
// that is put together at run time is answered by any image of its repository.
func Sort(found []record.Finding, ignored []string, answers map[string]string) (Sorted, error) {
	var s Sorted
	var rest []record.Finding
	used := make(map[string]bool)
	repositories := make(map[string]bool)
	for _, f := range found {
		ref, err := name.Parse(f.Raw)
		answer, answered := answers[f.Raw]
		ignore := slices.IndexFunc(ignored, func(text string) bool { return means(text, f.Raw) })
		switch {
		case f.Chart != "" && answered:
			used[f.Raw] = true
			f.Answer = answer
			s.Accepted = append(s.Accepted, f)
		case f.Chart != "" && ignore >= 0:
			used[ignored[ignore]] = true
			s.Accepted = append(s.Accepted, f)
		case err != nil || f.Confidence != string(name.Image):
			rest = append(rest, f)
		default:
			s.Pullable = append(s.Pullable, f)
			repositories[ref.Repository()] = repositories[ref.Repository()] || f.Chart == ""
		}
	}
	for _, f := range rest {
		if ref, err := name.Parse(f.Raw); err != nil || !repositories[ref.Repository()] {
			s.Open = append(s.Open, f)
		}
	}
	for _, text := range ignored {
		if !used[text] {
			return s, &fault.UsageError{What: fmt.Sprintf("--ignore %s: no chart writes it", text), Advice: "see bundle images CHART; it has to be given as it is written there"}
		}
	}
	for text := range answers {
		if !used[text] {
			return s, &fault.UsageError{
				What:   fmt.Sprintf("--image %s=%s: no chart writes %s", text, answers[text], text),
				Advice: "see bundle images CHART; before = stands the text that the image answers, as it is written there",
			}
		}
	}
	return s, nil
}

// means reports whether a text of the user's is a reference as a chart writes it.
func means(text, raw string) bool {
	if record.Printable(text) == raw {
		return true
	}
	want, err := name.Parse(text)
	if err != nil {
		return false
	}
	got, err := name.Parse(raw)
	return err == nil && got == want
}

// Placeholders takes those texts out of refs that a chart writes where no image
// can be pulled: to leave out what is not taken anyway is to know of it.
func Placeholders(found []record.Finding, refs []string) (texts, rest []string) {
	for _, r := range refs {
		is := func(f record.Finding) bool {
			return f.Chart != "" && f.Confidence != string(name.Image) && record.Printable(r) == f.Raw
		}
		if slices.ContainsFunc(found, is) {
			texts = append(texts, r)
		} else {
			rest = append(rest, r)
		}
	}
	return texts, rest
}

// Why says why a reference cannot be pulled as it stands, and what to do about
// it.
func Why(f record.Finding) (reason, advice string) {
	if lower := strings.ToLower(f.Raw); lower != f.Raw && f.Confidence == string(name.Placeholder) {
		if ref, err := name.Parse(lower); err == nil && strings.ContainsAny(f.Raw, "/:@") {
			return "upper case in its name: registries take " + ref.Repository() + " only",
				"write the names of images in lower case, in the values (-f, --set) or in the chart;\nor say which image is meant with --image 'TEXT=REF'"
		}
	}
	return cmp.Or(f.Confidence, string(name.Placeholder)),
		"say what they become at run time with --image 'TEXT=REF', or that you know of them with --ignore TEXT"
}

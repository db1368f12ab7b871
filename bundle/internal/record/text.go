package record

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// texts calls visit for every text of the record that is shown to people.
func (r *Record) texts(visit func(*string)) {
	finding := func(f *Finding) {
		for _, s := range []*string{&f.Raw, &f.Chart, &f.Template, &f.Kind, &f.Path, &f.Confidence, &f.Answer} {
			visit(s)
		}
		for i := range f.Keys {
			visit(&f.Keys[i])
		}
	}
	visit(&r.Tool)
	visit(&r.ID)
	for i := range r.Charts {
		c := &r.Charts[i]
		for _, s := range []*string{&c.Name, &c.Version, &c.AppVersion, &c.Source, &c.Reference, (*string)(&c.Digest), &c.Release, &c.Namespace, &c.KubeVersion} {
			visit(s)
		}
		for _, list := range [][]string{c.APIVersions, c.Set, c.LeftOut} {
			for j := range list {
				visit(&list[j])
			}
		}
	}
	for _, list := range [][]Image{r.Images, r.Referrers} {
		for i := range list {
			im := &list[i]
			for _, s := range []*string{&im.Reference, &im.MediaType, &im.Destination, (*string)(&im.Digest), (*string)(&im.SourceDigest), (*string)(&im.Subject)} {
				visit(s)
			}
			for _, list := range [][]string{im.Platforms, im.SignedBy} {
				for j := range list {
					visit(&list[j])
				}
			}
			for j := range im.Found {
				finding(&im.Found[j])
			}
		}
	}
	r.Requires.texts(visit)
	for _, list := range [][]Finding{r.Unresolved, r.Accepted} {
		for i := range list {
			finding(&list[i])
		}
	}
}

// Printable replaces what could deceive a terminal or a log.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

func Printables(list []string) []string {
	clean := slices.Clone(list)
	for i := range clean {
		clean[i] = Printable(clean[i])
	}
	return clean
}

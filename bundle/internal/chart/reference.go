package chart

import (
	"slices"
	"strings"

	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
)

// A Reference is an image reference as charts write it: short names stay short
// and nothing is defaulted.
type Reference struct {
	Host   string // host[:port], empty for a short name
	Path   string
	Tag    string
	Digest string // algorithm:hex
}

// CutReference takes any text apart as if it were a reference, and String puts it
// together again. What stands before the first slash is the host where Docker
// takes it for one: when it has a dot or a port, or is localhost.
func CutReference(s string) Reference {
	r := Reference{Path: s}
	if first, rest, found := strings.Cut(s, "/"); found && isHost(first) && !strings.Contains(first, "@") {
		r.Host, r.Path = first, rest
	}
	r.Path, r.Tag, r.Digest = name.Cut(r.Path)
	return r
}

// CutHost parts the beginning of a reference, such as a value of a chart may
// hold, from its host. "quay.io" alone is one there, and so is "quay.io:5000":
// a tag of digits alone behind a name with a dot is read as a port.
func CutHost(s string) (host, rest string) {
	if first, rest, found := strings.Cut(s, "/"); found && isHost(first) && !strings.Contains(first, "@") {
		return first, rest
	}
	name, port, hasPort := strings.Cut(s, ":")
	named := name == "localhost" || strings.Contains(name, ".")
	if named && !strings.ContainsAny(s, "/@") && (!hasPort || isNumber(port)) {
		return s, ""
	}
	return "", s
}

const (
	pathPattern   = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*`
	tagPattern    = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
	digestPattern = `[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}`
)

var (
	hostRE   = lazy.Regexp(`^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?$`)
	tagRE    = lazy.Regexp(`^` + tagPattern + `$`)
	digestRE = lazy.Regexp(`^` + digestPattern + `$`)
	hexRE    = lazy.Regexp(`^[0-9a-f]{64}$`)
	pathRE   = lazy.Regexp(`^` + pathPattern + `$`)
)

const maxRef = 512

// parseRef takes s apart; ok is false when s is no reference. The grammar is that
// of distribution/reference, except that it is anchored and lowercase in the path.
func parseRef(s string) (r Reference, ok bool) {
	if s == "" || len(s) > maxRef {
		return Reference{}, false
	}
	r = CutReference(s)
	if r.Host != "" && !hostRE().MatchString(r.Host) || !pathRE().MatchString(r.Path) ||
		r.Tag != "" && !tagRE().MatchString(r.Tag) || r.Digest != "" && !digestRE().MatchString(r.Digest) {
		return Reference{}, false
	}
	return r, true
}

// isHost tells whether the first component of a reference is a host, as Docker
// decides it.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }

// pinned tells whether the reference has a tag or a digest.
func (r Reference) pinned() bool { return r.Tag != "" || r.Digest != "" }

// Repository is the reference without tag and digest.
func (r Reference) Repository() string {
	if r.Host == "" {
		return r.Path
	}
	return r.Host + "/" + r.Path
}

// Suffix is the tag and the digest, as they follow the repository.
func (r Reference) Suffix() string {
	s := ""
	if r.Tag != "" {
		s = ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// Short is the reference without its host.
func (r Reference) Short() string { return r.Path + r.Suffix() }

func (r Reference) String() string { return r.Repository() + r.Suffix() }

// registries are hosts that serve images and nothing else that looks like
// host/path, so that a name without a tag is a reference too. A leading dot
// matches any host below.
var registries = []string{
	"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com",
	"ghcr.io", "quay.io", "gcr.io", ".gcr.io", ".pkg.dev", "registry.k8s.io", "public.ecr.aws", ".azurecr.io",
	"mcr.microsoft.com", "nvcr.io", "registry.gitlab.com",
	"docker.elastic.co", "registry.access.redhat.com", "registry.redhat.io", "registry.connect.redhat.com",
	"icr.io", ".icr.io", "cgr.dev", "dhi.io", "lscr.io", "xpkg.upbound.io", "registry.suse.com",
	"container-registry.oracle.com", "registry.opensource.zalan.do", "docker.n8n.io", "ocir.io",
}

// strangers are hosts and domains that look like host/path:tag in manifests
// but never serve images: label and taint domains, source hosts, file names.
var strangers = []string{
	"kubernetes.io", ".kubernetes.io", "k8s.io", ".k8s.io", "github.com", "golang.org", "gopkg.in",
	"raw.githubusercontent.com", "json-schema.org", ".svc", ".local", ".internal.svc",
}

// fileSuffixes are last labels that make a file name of a host.
var fileSuffixes = []string{
	"yaml", "yml", "json", "conf", "cfg", "toml", "ini", "properties", "xml", "txt", "md", "log", "sock",
	"py", "js", "ts", "rb", "lua", "jar", "war", "go", "crt", "pem", "key", "cert", "tgz", "gz", "zip", "tar",
	"html", "css", "sql", "bak", "tmp", "tpl", "gotmpl",
}

func matchesHost(list []string, host string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		return host == p || p[0] == '.' && strings.HasSuffix(host, p)
	})
}

// isRegistry tells whether the host is a well-known image registry.
func isRegistry(host string) bool { return matchesHost(registries, host) || ecrRE().MatchString(host) }

// ecrRE matches private registries of AWS.
var ecrRE = lazy.Regexp(`^[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// plausibleHost tells whether a word's host may serve images at all. Hosts
// without a domain (localhost, addresses) need other evidence.
func plausibleHost(host string) bool {
	if isRegistry(host) {
		return true
	}
	name, _, _ := strings.Cut(host, ":")
	if name != strings.ToLower(name) || matchesHost(strangers, name) {
		return false
	}
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return false
	}
	last := name[i+1:]
	if len(last) < 2 || slices.Contains(fileSuffixes, last) {
		return false
	}
	return strings.Trim(last, "abcdefghijklmnopqrstuvwxyz") == "" || strings.HasPrefix(last, "xn--")
}

// apiVersionRE matches the version of an API group: acme.dev/v1beta1:Kind is no
// image.
var apiVersionRE = lazy.Regexp(`^v[0-9]+((alpha|beta)[0-9]+)?$`)

// taintEffects follow a colon after a label key and look like a tag.
var taintEffects = []string{"NoSchedule", "NoExecute", "PreferNoSchedule"}

// Schemes are prefixes of references that are not URLs of something else.
var Schemes = []string{"docker://", "oci://", "docker-pullable://", "containerd://", "registry://"}

// cutScheme removes such a prefix; ok is false for any other URL.
func cutScheme(s string) (rest string, ok bool) {
	if !strings.Contains(s, "://") {
		return s, true
	}
	for _, p := range Schemes {
		if rest, found := strings.CutPrefix(s, p); found && !strings.Contains(rest, "://") {
			return rest, true
		}
	}
	return "", false
}

// unrendered tells whether a text waits for a later program to fill it in.
func unrendered(s string) bool {
	return strings.Contains(s, "{{") || strings.Contains(s, "$(") || strings.Contains(s, "${") ||
		strings.HasPrefix(s, "$") || strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">")
}

// blankRE matches, at the beginning of a text, what a program fills in at run time.
var blankRE = lazy.Regexp(`^(?:%\([A-Za-z_][\w.-]*\)[sd]|%[svdq]|\$\([\w.-]+\)|\$\{[^{}\s]+\}|\$[A-Za-z_]\w*|\{\{[^{}\n]*\}\}|\{[A-Za-z_][\w.-]*\}|<[A-Za-z_][\w.-]*>)`)

// blankAt returns the length of the blank at i in a text, behind a word that began
// at start: only in a path, and where it is set off from what stands before it, so
// that "a/b:1{{ end }}" ends where it should.
func blankAt(s string, start, i int) int {
	if i == start || strings.IndexByte("%${<", s[i]) < 0 || strings.IndexByte("/:@-_.", s[i-1]) < 0 && s[i-1] != '}' && s[i-1] != ')' || !strings.Contains(s[start:i], "/") {
		return 0
	}
	return len(blankRE().FindString(s[i:min(len(s), i+maxRef)]))
}

// parseComposed takes a reference apart of which a program fills in parts, such as
// ghcr.io/acme/%(type)s:%(version)s, with something in their place. The host is
// never filled in.
func parseComposed(s string) (r Reference, ok bool) {
	if len(s) > maxRef || !strings.ContainsAny(s, "%${<") {
		return Reference{}, false
	}
	var b strings.Builder
	blanks := 0
	for i := 0; i < len(s); {
		if n := blankAt(s, 0, i); n > 0 {
			if blanks++; !strings.Contains(s[:i], "/") {
				return Reference{}, false
			}
			b.WriteByte('x')
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	if blanks == 0 {
		return Reference{}, false
	}
	return parseRef(b.String())
}

// A Word is a run of characters that a reference may consist of, and of blanks that
// a program fills in.
type Word struct {
	Text       string
	Start, End int // in the text, in bytes
}

func isWordByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '.', '_', ':', '/', '@', '+', '~', '-':
		return true
	}
	return false
}

// Words splits a text. Only separators decide where a word begins, never
// what it means, so a word keeps its number when a reference in the scalar is
// replaced by another one.
func Words(s string) []Word {
	var list []Word
	for i := 0; i < len(s); {
		if !isWordByte(s[i]) {
			i++
			continue
		}
		start, letters := i, false
		for i < len(s) {
			if n := blankAt(s, start, i); n > 0 {
				i += n
				continue
			}
			c := s[i]
			if !isWordByte(c) {
				break
			}
			i++
			letters = letters || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		}
		if letters {
			list = append(list, Word{s[start:i], start, i})
		}
	}
	return list
}

// reference is the word without a scheme and without what punctuation of the
// surrounding text sticks to its end.
func (w Word) reference() string {
	s, ok := cutScheme(w.Text)
	if !ok {
		return ""
	}
	return strings.TrimRight(s, ".:/@+~-_")
}

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

// imageKey tells how strongly a key says that its value is an image.
type imageKey int

const (
	noImage    imageKey = iota
	maybeImage          // has image among its words: RELATED_IMAGE_X
	someImage           // ends in image: sidecarImage, X_IMAGE, --init-image
	exactImage          // image, imageName, imageRef, imageURL
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

// classifyKey looks at the words of a key.
func classifyKey(key string) imageKey {
	w := keyWords(key)
	if len(w) == 0 || slices.ContainsFunc(w, func(s string) bool { return slices.Contains(notImages, s) }) {
		return noImage
	}
	end := len(w)
	if end > 1 && slices.Contains(lastly, w[end-1]) {
		end--
	}
	last := w[end-1]
	oneWord := strings.HasPrefix(last, "image") && slices.Contains(lastly, last[len("image"):])
	switch {
	case end == 1 && (last == "image" || oneWord):
		return exactImage
	case strings.HasSuffix(last, "image"), last == "images", oneWord:
		return someImage
	case slices.Contains(w, "image"), slices.Contains(w, "images"):
		return maybeImage
	}
	return noImage
}

// isNumber tells whether s is digits alone.
func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

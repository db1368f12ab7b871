package written

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

// Cut takes any text apart as if it were a reference, and String puts it
// together again. What stands before the first slash is the host where Docker
// takes it for one: when it has a dot or a port, or is localhost.
func Cut(s string) Reference {
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
	if named && !strings.ContainsAny(s, "/@") && (!hasPort || IsNumber(port)) {
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

// IsTag tells whether s can be a tag.
func IsTag(s string) bool { return tagRE().MatchString(s) }

// IsDigest tells whether s can be a digest: algorithm:hex.
func IsDigest(s string) bool { return digestRE().MatchString(s) }

// IsHex tells whether s is the hex of a SHA-256.
func IsHex(s string) bool { return hexRE().MatchString(s) }

// Parse takes s apart; ok is false when s is no reference. The grammar is that
// of distribution/reference, except that it is anchored and lowercase in the path.
func Parse(s string) (r Reference, ok bool) {
	if s == "" || len(s) > maxRef {
		return Reference{}, false
	}
	r = Cut(s)
	if r.Host != "" && !hostRE().MatchString(r.Host) || !pathRE().MatchString(r.Path) ||
		r.Tag != "" && !IsTag(r.Tag) || r.Digest != "" && !IsDigest(r.Digest) {
		return Reference{}, false
	}
	return r, true
}

// isHost tells whether the first component of a reference is a host, as Docker
// decides it.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }

// Pinned tells whether the reference has a tag or a digest.
func (r Reference) Pinned() bool { return r.Tag != "" || r.Digest != "" }

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

// IsRegistry tells whether the host is a well-known image registry.
func IsRegistry(host string) bool { return matchesHost(registries, host) || ecrRE().MatchString(host) }

// ecrRE matches private registries of AWS.
var ecrRE = lazy.Regexp(`^[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// PlausibleHost tells whether a word's host may serve images at all. Hosts
// without a domain (localhost, addresses) need other evidence.
func PlausibleHost(host string) bool {
	if IsRegistry(host) {
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

// NoImage tells whether what looks like a reference is a taint, or the version of an API.
func (r Reference) NoImage() bool {
	return slices.Contains(taintEffects, r.Tag) || !IsRegistry(r.Host) && apiVersionRE().MatchString(r.Path)
}

// Schemes are prefixes of references that are not URLs of something else.
var Schemes = []string{"docker://", "oci://", "docker-pullable://", "containerd://", "registry://"}

// CutScheme removes such a prefix; ok is false for any other URL.
func CutScheme(s string) (rest string, ok bool) {
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

// Unrendered tells whether a text waits for a later program to fill it in.
func Unrendered(s string) bool {
	return strings.Contains(s, "{{") || strings.Contains(s, "$(") || strings.Contains(s, "${") ||
		strings.HasPrefix(s, "$") || strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">")
}

// Composed takes a reference apart of which a program fills in parts, such as
// ghcr.io/acme/%(type)s:%(version)s, with something in their place. The host is
// never filled in.
func Composed(s string) (r Reference, ok bool) {
	if len(s) > maxRef || !strings.ContainsAny(s, "%${<") {
		return Reference{}, false
	}
	var b strings.Builder
	blanks := 0
	for i := 0; i < len(s); {
		if n := BlankAt(s, 0, i); n > 0 {
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
	return Parse(b.String())
}

// IsNumber tells whether s is digits alone.
func IsNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

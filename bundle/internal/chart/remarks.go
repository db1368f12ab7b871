package chart

import (
	"net/netip"
	"slices"
	"strings"

	"bundle/bundle/internal/lazy"
)

// A RemarkKind says what a Remark is about.
type RemarkKind string

const (
	// Download is a command or setting that has a program fetch something from the
	// internet while it runs, which fails where there is none.
	Download RemarkKind = "download"
	// Operator is a custom resource that asks for a version of something and names no
	// image: the program that serves it chooses one.
	Operator RemarkKind = "operator"
)

// A Remark is something in the manifests that no list of images shows.
type Remark struct {
	Position
	About RemarkKind
	Text  string // the command, or the setting as it stands there
	Test  bool   // only in a manifest that helm test runs
}

// maxRemarks limits how many one render gives.
const maxRemarks = 200

// Remarks lists what programs of the chart fetch while they run, as far as it can be
// read off commands, arguments, scripts and settings, and custom resources that may
// bring images along.
func (o *Output) Remarks() []Remark {
	var all []Remark
	for i := range o.Manifests {
		m := &o.Manifests[i]
		for _, r := range m.doc.allRemarks() {
			if len(all) == maxRemarks {
				return all
			}
			r.Document, r.Test = m.ID, m.Test()
			all = append(all, r)
		}
	}
	return all
}

func (d *document) allRemarks() []Remark {
	d.remarkOnce.Do(func() {
		if d.root == nil || d.kind == crdKind {
			return
		}
		r := &remarker{kind: d.kind}
		r.walk(d.root, Path{}, "")
		if len(d.findings()) == 0 {
			r.operator(d.root)
		}
		d.remarks = r.list
	})
	return d.remarks
}

type remarker struct {
	kind string
	list []Remark
}

func (r *remarker) add(kind RemarkKind, path Path, text string) {
	const most = 160
	if text = strings.Join(strings.Fields(text), " "); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	if !slices.ContainsFunc(r.list, func(x Remark) bool { return x.Path == path && x.Text == text }) {
		r.list = append(r.list, Remark{Position: Position{Path: path}, About: kind, Text: text})
	}
}

// notScripts are keys of texts that are for people, or for the API server.
var notScripts = lazy.Regexp(`(?i)^(annotations|labels|description|summary|message|notes?|runbook_?url|title|help)$|\.(md|html|txt|rst)$`)

func (r *remarker) walk(n *node, path Path, key string) {
	switch n.kind {
	case mappingNode:
		entry := entryName(n)
		for i, k := range n.keys {
			switch {
			case notScripts().MatchString(k):
				continue
			case entry != "" && k == "value":
				r.walk(n.items[i], path.Key(k), entry)
			default:
				r.walk(n.items[i], path.Key(k), k)
			}
		}
	case sequenceNode:
		r.walkList(n, path, key)
	default:
		if len(n.docs) == 0 {
			r.text(n.value, path, key)
			return
		}
		for i, d := range n.docs {
			r.walk(d, path.Into(n.form, i), key)
		}
	}
}

// walkList reads a list; the words of a command stand apart in one.
func (r *remarker) walkList(n *node, path Path, key string) {
	var words []string
	paths := itemPaths(n, path)
	for i, item := range n.items {
		if item.kind == scalarNode && len(item.docs) == 0 && !strings.Contains(item.value, "\n") {
			words = append(words, item.value)
			if strings.ContainsAny(item.value, " =") || !commandLists().MatchString(key) {
				r.text(item.value, paths[i], key)
			}
			continue
		}
		r.walk(item, paths[i], key)
	}
	if commandLists().MatchString(key) && len(words) > 1 {
		before := len(r.list)
		if r.text(strings.Join(words, " "), path, key); before > 0 && len(r.list) > before && r.list[before-1].Path.Parent() == path {
			r.list = r.list[:before] // an element of it said so
		}
	}
}

var commandLists = lazy.Regexp(`(?i)^(command|args|arguments|cmd|entrypoint)$`)

var (
	// fetches are commands that fetch from the address behind them.
	fetches = lazy.Regexp(`(?:^|[\s;&|("'$/` + "`" + `])(?:curl|wget|aria2c|git\s+(?:clone|pull|fetch|ls-remote|submodule)|helm\s+(?:repo\s+add|install|upgrade|pull|template|dependency)|kubectl\s+(?:apply|create|replace))\s[^\n;|&]*?((?:https?|ftp|oci|ssh|git)://[^\s"'` + "`" + `;|&)<>]+|git@[^\s"']+)`)
	// installs are commands that fetch from where they are set up to.
	installs = lazy.Regexp(`(?:^|[\s;&|("'$/` + "`" + `])(?:pip3?\s+(?:install|download)|python3?\s+-m\s+pip\s+install|apt(?:-get)?\s+(?:-\S+\s+)*(?:install|update|upgrade)|apk\s+(?:-\S+\s+)*(?:add|update|upgrade)|(?:yum|dnf|microdnf|tdnf|zypper)\s+(?:-\S+\s+)*install|npm\s+(?:install|i|ci)|npx|yarn\s+(?:add|install)|pnpm\s+(?:add|install)|gem\s+install|go\s+(?:install|get)|cargo\s+install|conda\s+install|composer\s+(?:install|require)|git\s+clone|helm\s+repo\s+(?:add|update)|grafana[- ]cli\s+(?:\S+\s+)*plugins\s+install|jenkins-plugin-cli\s[^\n]*--plugin[\w-]*|(?:elasticsearch|opensearch|rabbitmq)-plugins?\s+install|terraform\s+init|docker\s+pull|krew\s+install)(?:\s[^\n;|&]*|$)`)
	// indexes are addresses of lists of packages, charts and the like.
	indexes = lazy.Regexp(`https?://[^\s"'` + "`" + `<>,]+/(?:index\.(?:ya?ml|json)|simple)/?(?:$|[\s"',])`)
	// indexFlags are flags for them.
	indexFlags = lazy.Regexp(`--(?:extra-)?index-url[= ]+["']?(https?://[^\s"']+)`)
	// indexKeys are keys and names of env entries whose value is one.
	indexKeys = lazy.Regexp(`(?i)^(?:(?:helm|chart|plugins?|packages?|git)?[_-]?repo(?:sitory)?[_-]?url|(?:.*[_-])?index[_-]?url|pip_(?:extra_)?index_url|npm_config_registry|goproxy|.*update[_-]?cent(?:er|re)[_-]?url)$`)
	// pluginKeys are names of env entries that list what is installed at the start.
	pluginKeys = lazy.Regexp(`^(?:GF_INSTALL_PLUGINS|GF_PLUGINS_PREINSTALL(?:_SYNC)?|RABBITMQ_PLUGINS_URL)$`)
	// sources are kinds of resources whose addresses are fetched by their controllers.
	sources    = lazy.Regexp(`^(?:HelmRepository|GitRepository|HelmChart|OCIRepository|Application|ApplicationSet|CatalogSource)$`)
	sourceKeys = lazy.Regexp(`^(?:url|repo|repoURL|repository|address|chart)$`)
	address    = lazy.Regexp(`^(?:https?|oci|ssh|git)://|^git@`)
	worthwhile = lazy.Regexp(`://|git@|install|update|upgrade|npx|plugin|clone|add|pull|terraform|\bi\b|\bci\b|PLUGIN`)
)

// maxScript is the size of a script, in bytes, that no object in a cluster may have.
const maxScript = 4 << 20

// text looks for downloads in a scalar.
func (r *remarker) text(text string, path Path, key string) {
	if pluginKeys().MatchString(key) && strings.TrimSpace(text) != "" {
		r.add(Download, path, key+"="+text)
		return
	}
	if len(text) > maxScript || !worthwhile().MatchString(text) {
		return
	}
	if v := strings.TrimSpace(text); (indexKeys().MatchString(key) || sources().MatchString(r.kind) && sourceKeys().MatchString(key)) && address().MatchString(v) && outside(v) {
		r.add(Download, path, key+": "+v)
		return
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			continue
		}
		if m := fetches().FindStringSubmatch(line); m != nil {
			if outside(m[1]) {
				r.add(Download, path, line)
			}
			continue
		}
		m := indexFlags().FindStringSubmatch(line)
		switch {
		case m != nil:
			if outside(m[1]) {
				r.add(Download, path, line)
			}
		case installs().MatchString(line) && !strings.Contains(line, "--no-index"):
			r.add(Download, path, line)
		case indexes().MatchString(line) && outside(indexes().FindString(line)):
			r.add(Download, path, line)
		}
	}
}

// inside are ends of names of hosts that are not on the internet.
var inside = []string{".svc", ".local", ".internal", ".localhost", ".lan", ".home.arpa", ".invalid", ".test", ".example"}

// outside tells whether an address is on the internet, as far as one can see: not in
// the cluster, on the machine, in a private network, or known only at run time.
func outside(address string) bool {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		_, rest, _ = strings.Cut(address, "@") // git@host:path
	}
	host := rest
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	if strings.ContainsAny(host, "${}()%<>") {
		return false
	}
	if ip, err := netip.ParseAddrPort(host); err == nil {
		return public(ip.Addr())
	}
	host, _, _ = strings.Cut(host, ":")
	if ip, err := netip.ParseAddr(host); err == nil {
		return public(ip)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.Contains(host, ".") && !slices.ContainsFunc(inside, func(end string) bool { return strings.HasSuffix(host, end) })
}

func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}

var (
	versionKey   = lazy.Regexp(`^(version|[a-z][A-Za-z]*Version)$`)
	notVersions  = lazy.Regexp(`(?i)^(api|resource|schema|tls|min|max|http|protocol|format|config|template|policy|data|crd|oauth|saml|ip|client|metadata)`)
	versionValue = lazy.Regexp(`^v?[0-9]+(\.[0-9]+){0,3}([-+][0-9A-Za-z.+-]+)?$`)
)

// operator looks for a version in a custom resource that names no image.
func (r *remarker) operator(root *node) {
	group, _, ok := strings.Cut(root.text("apiVersion"), "/")
	if !ok || !strings.Contains(group, ".") || group == "k8s.io" || strings.HasSuffix(group, ".k8s.io") {
		return
	}
	r.versions(root.get("spec"), Path{}.Key("spec"), 0)
}

func (r *remarker) versions(n *node, path Path, depth int) {
	const deepest = 3
	if n == nil || n.kind != mappingNode || depth > deepest {
		return
	}
	for i, k := range n.keys {
		v := n.items[i]
		if v.kind == scalarNode && versionKey().MatchString(k) && !notVersions().MatchString(k) && versionValue().MatchString(v.value) {
			r.add(Operator, path.Key(k), k+": "+v.value)
		}
		r.versions(v, path.Key(k), depth+1)
	}
}

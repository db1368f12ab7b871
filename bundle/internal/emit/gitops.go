package emit

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/record"
)

// What objects for GitOps can be asked for.
const (
	Flux      = "flux"      // OCIRepository and HelmRelease
	ArgoCD    = "argocd"    // Application
	Kustomize = "kustomize" // the rendered folder, with an overlay for each environment
)

// CheckGitOps checks what objects are asked for, and for which environments.
func CheckGitOps(kinds, environments []string) error {
	for _, k := range kinds {
		if !slices.Contains([]string{Flux, ArgoCD, Kustomize}, k) {
			return &fault.UsageError{What: fmt.Sprintf("--gitops %q: there is no such kind", k), Advice: "want flux, argocd or kustomize, or several with commas"}
		}
	}
	if len(environments) > 0 && !slices.Contains(kinds, Kustomize) {
		return &fault.UsageError{What: "--environment is for overlays", Advice: "give --gitops kustomize too"}
	}
	for _, e := range environments {
		if !environmentName().MatchString(e) {
			return &fault.UsageError{What: fmt.Sprintf("environment %q is not up to 63 lower-case letters, digits and dashes", e)}
		}
	}
	return nil
}

func (o Options) gitOps(kind string) bool { return slices.Contains(o.GitOps, kind) }

// gitOpsFiles are the objects that were asked for, by name below the chart's folder.
func (c *Chart) gitOpsFiles(o Options) (map[string]disk.File, error) {
	files := make(map[string]disk.File)
	private := len(c.Record.Values) > 0
	if o.gitOps(Flux) && !c.beside {
		objects, err := c.flux(o)
		if err != nil {
			return nil, err
		}
		text, err := stream(c.fluxHead(o), objects)
		if err != nil {
			return nil, err
		}
		files[filepath.Join("flux", "release.yaml")] = disk.File{Content: text, Private: private}
	}
	if o.gitOps(ArgoCD) && !c.beside {
		app, err := c.argoApplication()
		if err != nil {
			return nil, err
		}
		text, err := stream(c.argoHead(o), []object{c.argoRepository(), app})
		if err != nil {
			return nil, err
		}
		files[filepath.Join("argocd", "application.yaml")] = disk.File{Content: text, Private: private}
	}
	if o.gitOps(Kustomize) && c.unbuildable == "" {
		for _, env := range o.environments() {
			text, err := overlay(env)
			if err != nil {
				return nil, err
			}
			files[filepath.Join("overlays", env, "kustomization.yaml")] = disk.File{Content: text, Seed: true}
		}
	}
	return files, nil
}

// gitOpsNames are the files' names, below the output folder.
func (c *Chart) gitOpsNames(o Options) (names []string) {
	files, err := c.gitOpsFiles(o)
	if err != nil {
		return nil // Write says so
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		names = append(names, filepath.Join(c.dir, name))
	}
	return names
}

// gitOpsWarnings say what the objects cannot do for this chart.
func (c *Chart) gitOpsWarnings(o Options) (all []string) {
	warn := func(format string, args ...any) { all = append(all, record.Printable(fmt.Sprintf(format, args...))) }
	if c.beside && (o.gitOps(Flux) || o.gitOps(ArgoCD)) {
		warn("no objects for Flux and Argo CD: the registry does not have the chart")
		return all
	}
	if o.gitOps(Flux) {
		if left := c.outsideOf(c.byFlux); len(left) > 0 {
			warn("Flux leaves outside: %s", strings.Join(left, ", "))
		}
		if paths := c.inexact(); len(paths) > 0 {
			warn("Flux reads these numbers as floats, give them as texts: %s", strings.Join(paths, ", "))
		}
	}
	if o.gitOps(ArgoCD) {
		if left := c.outsideOf(func(Left) bool { return false }); len(left) > 0 {
			warn("Argo CD knows no post-renderer, and leaves outside: %s", strings.Join(left, ", "))
		}
		if o.Access.Plain(o.Registry.Host) {
			warn("Argo CD fetches no charts by plain HTTP")
		}
	}
	if o.gitOps(Kustomize) && c.unbuildable != "" {
		warn("no overlays: %s", c.unbuildable)
	}
	return all
}

// outsideOf lists the references that something leaves outside.
func (c *Chart) outsideOf(moves func(Left) bool) (left []string) {
	for _, l := range c.Left {
		if l.Target != "" && !moves(l) {
			left = once(left, l.Raw)
		}
	}
	return left
}

// An object is one for Kubernetes.
type object map[string]any

// stream writes objects below a comment.
func stream(head []string, objects []object) ([]byte, error) {
	var b bytes.Buffer
	for _, line := range head {
		fmt.Fprintln(&b, strings.TrimRight("# "+strings.ReplaceAll(line, "\n", " "), " "))
	}
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o["kind"], err)
		}
		fmt.Fprintf(&b, "---\n%s", text)
	}
	return b.Bytes(), nil
}

// inline are all values of the chart, those given and those that move it. Numbers
// that are no longer the same as text are left to what follows, see exact.
func (c *Chart) inline() (map[string]any, error) {
	values, err := chart.MergeOnto(c.Record.Values, nil, []chart.ValuesFile{{Name: "emitted values", Data: c.Values}}, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("chart %s: values: %w", c.Record.Label(), err)
	}
	return values, nil
}

// exact parts the settings that only --set keeps as they are into paths and values.
func (c *Chart) exact() (pairs [][2]string) {
	for _, s := range c.Record.Set {
		i := strings.LastIndexByte(s, '=')
		pairs = append(pairs, [2]string{s[:i], s[i+1:]})
	}
	return pairs
}

// overlay is one environment over the rendered folder.
func overlay(env string) ([]byte, error) {
	head := []string{
		"The environment " + env + ": what differs from the others goes in here. An import leaves this",
		"file alone once it was changed. For a namespace of its own: namespace: NAME",
	}
	return stream(head, []object{{
		"apiVersion": "kustomize.config.k8s.io/v1beta1",
		"kind":       "Kustomization",
		"resources":  []string{"../../kustomize"},
		"labels":     []object{{"pairs": map[string]string{"environment": env}}},
	}})
}

// environments are those that overlays are written for.
func (o Options) environments() []string {
	if len(o.Environments) == 0 {
		return []string{"production", "staging"}
	}
	return o.Environments
}

// environmentName matches what an environment may be called: it becomes a folder and
// the value of a label.
var environmentName = lazy.Regexp(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// secretText is a Secret of Kubernetes.
func secretText(name, namespace string, labels map[string]string, data map[string]string) object {
	meta := object{"name": name, "namespace": namespace}
	if labels != nil {
		meta["labels"] = labels
	}
	return object{"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "stringData": data}
}

// argoApplication is the chart for Argo CD.
func (c *Chart) argoApplication() (object, error) {
	values, err := c.inline()
	if err != nil {
		return nil, err
	}
	helm := object{"releaseName": c.Record.Release, "valuesObject": values}
	if len(c.unread()) > 0 {
		helm["skipSchemaValidation"] = true
	}
	var parameters []object
	for _, p := range c.exact() {
		parameters = append(parameters, object{"name": p[0], "value": p[1]})
	}
	if parameters != nil {
		helm["parameters"] = parameters
	}
	repository, name := path.Split(c.Naming.Chart(c.Record.Name))
	return object{
		"apiVersion": "argoproj.io/v1alpha1",
		"kind":       "Application",
		"metadata":   object{"name": c.Record.Release, "namespace": argoNamespace},
		"spec": object{
			"project": "default",
			"source": object{
				"repoURL":        strings.TrimSuffix(repository, "/"),
				"chart":          name,
				"targetRevision": c.Record.Version,
				"helm":           helm,
			},
			"destination": object{"server": "https://kubernetes.default.svc", "namespace": c.Record.Namespace},
			"syncPolicy":  object{"syncOptions": []string{"CreateNamespace=true"}},
		},
	}, nil
}

// argoNamespace is where Argo CD runs, unless somebody changed that.
const argoNamespace = "argocd"

// argoRepository has Argo CD take the registry for one of charts.
func (c *Chart) argoRepository() object {
	repository, _ := path.Split(c.Naming.Chart(c.Record.Name))
	return secretText(c.Record.Release+"-charts", argoNamespace, map[string]string{"argocd.argoproj.io/secret-type": "repository"},
		map[string]string{"name": c.Record.Release + "-charts", "type": "helm", "url": strings.TrimSuffix(repository, "/"), "enableOCI": "true"})
}

func (c *Chart) argoHead(o Options) []string {
	head := []string{
		c.Record.Label() + " for Argo CD, with the values that move its images to " + c.Naming.Registry.String() + ".",
		"A registry that asks for a login wants username and password in the Secret too.",
	}
	if o.Access.CAFile != "" {
		head = append(head, "Its certificate authority goes into the ConfigMap argocd-tls-certs-cm, under "+o.Registry.Host+".")
	}
	for _, w := range c.gitOpsWarnings(Options{GitOps: []string{ArgoCD}, Access: o.Access, Registry: o.Registry}) {
		head = append(head, w+"; for that, put the rendered folder (--gitops kustomize, or --render) into Git.")
	}
	return head
}

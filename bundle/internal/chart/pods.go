package chart

import "slices"

// Pod is a pod specification in the output, or a ServiceAccount, which may
// carry pull secrets for the pods that use it.
type Pod struct {
	Position           // of the pod spec, or of the ServiceAccount itself
	Kind        string // Deployment, CronJob, …, or ServiceAccount
	Name        string // of the object
	PullSecrets []string
	// ServiceAccount is the account a pod runs under, "" for the namespace's
	// default one; for a ServiceAccount, its own name.
	ServiceAccount string
	Images         []string // of all containers, as written
	Test           bool     // only in a manifest that helm test runs
}

// podPaths lead to the pod spec of each workload kind.
var podPaths = map[string][]string{
	"Pod":                   {"spec"},
	"PodTemplate":           {"template", "spec"},
	"Deployment":            {"spec", "template", "spec"},
	"StatefulSet":           {"spec", "template", "spec"},
	"DaemonSet":             {"spec", "template", "spec"},
	"ReplicaSet":            {"spec", "template", "spec"},
	"ReplicationController": {"spec", "template", "spec"},
	"Job":                   {"spec", "template", "spec"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template", "spec"},
	"ServiceAccount":        {},
}

// Pods lists the pod specifications of all workloads, hooks included, and the
// ServiceAccounts, in the order of Manifests. Custom resources are not looked
// into.
func (o *Output) Pods() []Pod {
	var pods []Pod
	for i := range o.Manifests {
		m := &o.Manifests[i]
		if m.doc.root != nil {
			pods = m.pods(m.doc.root, Path{}, pods)
		}
	}
	return pods
}

func (m *Manifest) pods(n *node, path Path, pods []Pod) []Pod {
	kind := n.text("kind")
	if kind == "List" {
		if items := n.get("items"); items != nil && items.kind == sequenceNode {
			paths := itemPaths(items, path.Key("items"))
			for i, item := range items.items {
				pods = m.pods(item, paths[i], pods)
			}
		}
		return pods
	}
	steps, ok := podPaths[kind]
	if !ok {
		return pods
	}
	name := n.get("metadata").text("name")
	for _, s := range steps {
		if n = n.get(s); n == nil {
			return pods
		}
		path = path.Key(s)
	}
	p := Pod{
		Position: m.ID.At(path), Kind: kind, Name: name, Test: m.Test(),
		PullSecrets: names(n.get("imagePullSecrets"), "name"), ServiceAccount: n.text("serviceAccountName"),
	}
	if kind == "ServiceAccount" {
		p.ServiceAccount = name
	}
	for _, list := range containerLists {
		p.Images = append(p.Images, names(n.get(list), "image")...)
	}
	return append(pods, p)
}

// names collects one key of the maps in a list, each value once.
func names(list *node, key string) []string {
	if list == nil || list.kind != sequenceNode {
		return nil
	}
	var all []string
	for _, item := range list.items {
		if v := item.text(key); v != "" && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

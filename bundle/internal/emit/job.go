package emit

import (
	"fmt"
	"strconv"
	"strings"

	"bundle/bundle/internal/fault"
)

// A Job describes a Kubernetes Job in which several pods at once push a bundle, each
// its share of the blobs: https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode.
type Job struct {
	Name   string            // of the Job, and of what belongs to it
	Shares int               // pods
	Image  string            // of this program
	Claim  string            // PersistentVolumeClaim with the bundle
	Paths  []string          // of the bundle and its parts, below the volume
	Args   []string          // further arguments of import, files by their name below [Job.Folder]
	Files  map[string]string // public ones that they name: keys, certificates of authorities
	Secret string            // of type kubernetes.io/dockerconfigjson, for the registry; may be missing in the cluster
}

// Where pods find things.
const (
	jobVolume = "/bundle"
	jobFiles  = "/etc/bundle"
	jobLogin  = "/etc/registry"
)

// Folder is where the files of a Job are for its pods.
func (Job) Folder() string { return jobFiles }

// Manifest is the Job with its files, for kubectl.
func (j Job) Manifest() ([]byte, error) {
	switch {
	case j.Image == "":
		return nil, &fault.UsageError{What: "no image for the pods", Advice: "give --shard-job-image with an image of bundle that the cluster can pull"}
	case j.Shares < 1:
		return nil, &fault.UsageError{What: "a job needs at least one pod"}
	}
	args := []any{"import"}
	for _, p := range j.Paths {
		args = append(args, jobVolume+"/"+p)
	}
	args = append(args, "--blobs-only", "--shard", "$(JOB_COMPLETION_INDEX)/"+strconv.Itoa(j.Shares), "--progress", "plain")
	for _, a := range j.Args {
		args = append(args, strings.ReplaceAll(a, "$(", "$$(")) // no reference to a variable of the container
	}
	job := object{
		"apiVersion": "batch/v1",
		"kind":       "Job",
		"metadata":   object{"name": j.Name},
		"spec": object{
			"completionMode": "Indexed", "completions": j.Shares, "parallelism": j.Shares,
			"backoffLimitPerIndex": 3,
			"template":             object{"spec": j.pod(args)},
		},
	}
	objects := []object{job}
	if len(j.Files) > 0 {
		objects = []object{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": j.Name}, "data": j.Files}, job}
	}
	return stream([]string{
		fmt.Sprintf("Pushes a bundle with %d pods, each a share of its blobs. Nothing that a client can see", j.Shares),
		"changes: when the Job is complete, run the import without --blobs-only, which finishes.",
		fmt.Sprintf("The claim %q holds the bundle, and all nodes may mount it (ReadOnlyMany). Where the", j.Claim),
		"registry wants a login:",
		fmt.Sprintf("  kubectl create secret generic %s --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=config.json", j.Secret),
	}, objects)
}

func (j Job) pod(args []any) object {
	mounts := []any{
		object{"name": "bundle", "mountPath": jobVolume, "readOnly": true},
		object{"name": "login", "mountPath": jobLogin, "readOnly": true},
	}
	volumes := []any{
		object{"name": "bundle", "persistentVolumeClaim": object{"claimName": j.Claim, "readOnly": true}},
		object{"name": "login", "secret": object{
			"secretName": j.Secret, "optional": true,
			"items": []any{object{"key": ".dockerconfigjson", "path": "config.json"}},
		}},
	}
	if len(j.Files) > 0 {
		mounts = append(mounts, object{"name": "files", "mountPath": jobFiles, "readOnly": true})
		volumes = append(volumes, object{"name": "files", "configMap": object{"name": j.Name}})
	}
	return object{
		"restartPolicy": "Never",
		"containers": []any{object{
			"name": "bundle", "image": j.Image, "args": args,
			"env":          []any{object{"name": "DOCKER_CONFIG", "value": jobLogin}},
			"volumeMounts": mounts,
			"securityContext": object{
				"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
				"runAsNonRoot": true, "runAsUser": 65532,
				"capabilities": object{"drop": []any{"ALL"}},
			},
		}},
		"volumes": volumes,
	}
}

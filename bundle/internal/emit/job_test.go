package emit

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The published types, read strictly, refuse fields that do not exist.
func TestJob(t *testing.T) {
	j := Job{
		Name: "bundle-import", Shares: 4, Image: "registry.plant.local/bundle:1", Claim: "media", Paths: []string{"app.bundle.tar"},
		Args: []string{"--registry=registry.plant.local", "--exclude=$(X)"}, Files: map[string]string{"1-key": "ssh-ed25519 AAAA\n"}, Secret: "login",
	}
	text, err := j.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(string(text), "\n---\n")
	if len(docs) != 3 {
		t.Fatalf("%d objects:\n%s", len(docs), text)
	}
	var files corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(docs[1]), &files); err != nil || files.Kind != "ConfigMap" || files.Data["1-key"] != j.Files["1-key"] {
		t.Errorf("%+v, %v", files, err)
	}
	var job batchv1.Job
	if err := yaml.UnmarshalStrict([]byte(docs[2]), &job); err != nil || job.Kind != "Job" {
		t.Fatalf("%v\n%s", err, docs[2])
	}
	if s := job.Spec; *s.CompletionMode != batchv1.IndexedCompletion || *s.Completions != 4 || *s.Parallelism != 4 {
		t.Errorf("%+v", s)
	}
	c := job.Spec.Template.Spec.Containers[0]
	for _, want := range []string{"import", "/bundle/app.bundle.tar", "--blobs-only", "$(JOB_COMPLETION_INDEX)/4", "--registry=registry.plant.local", "--exclude=$$(X)"} {
		if !slices.Contains(c.Args, want) {
			t.Errorf("%q is not in %q", want, c.Args)
		}
	}
	for _, v := range job.Spec.Template.Spec.Volumes { // each is mounted, and the reverse
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name && m.ReadOnly }) {
			t.Errorf("%s is not mounted", v.Name)
		}
	}
	if n, m := len(job.Spec.Template.Spec.Volumes), len(c.VolumeMounts); n != 3 || m != n {
		t.Errorf("%d volumes, %d mounts", n, m)
	}
	j.Image = ""
	if _, err := j.Manifest(); err == nil {
		t.Error("a Job without an image")
	}
}

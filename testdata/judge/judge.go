// Package judge finds the programs from outside that judge our work: helm, crane,
// oras, kustomize, nodepull (what k3s pulls with) and OCI's conformance tests, which
// `make judges` builds into .bin, helm4 of `make helm4`, and what the operating system
// has, such as containerd. On a developer's machine a test whose judge is missing is
// skipped; with CI set in the environment it fails. What is asked of helm many times is
// asked of helms3 and helms4, which are the same in one process; see [Ask].
//
//	out, err := exec.Command(judge.Path(t, "helm"), "show", "chart", ref).Output()
package judge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir is where `make judges` puts what it builds.
func Dir() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../.bin")
}

// Find returns the path of a judge: in .bin at the top of the module, or where
// $PATH leads. It returns "" for a missing one, and an error for that in CI.
func Find(name string) (string, error) {
	built := filepath.Join(Dir(), name)
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case os.Getenv("CI") != "":
		return "", fmt.Errorf("%s is not installed, and in CI every judge has to be: %w", name, err)
	}
	return "", nil
}

// Path returns the path of a judge. Without it the test is skipped, in CI it fails.
func Path(t testing.TB, name string) string {
	t.Helper()
	path, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	if path == "" {
		t.Skipf("%s is not installed", name)
	}
	return path
}

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/testdata/regtest"
)

// printing are all commands, each as it prints to standard output: both with and without
// --json, text without it, json only with it. Names are those of printingSite.
const printing = `
both images operator
both values operator --registry registry.plant.local
both inspect a.tar
text inspect a.tar --html -
both diff a.tar ab.tar
text diff a.tar ab.tar --html -
both diff ab.tar DST
json verify a.tar --key key.pub
both export --image a:1 --dry-run PUB
json export --image a:1 --key key -o new.tar PUB
json export --image a:1 --key key --split-size 60k -o new/ PUB
json import a.tar --key key.pub --dry-run DST
json import a.tar --key key.pub --output-dir new DST
text import a.tar --key key.pub --shard-job 2 --shard-job-image registry.plant.local/bundle:1 DST
both check pod.yaml DST
both check receipt.json DST
both status DST
json inventory --key key -o new.inventory DST
json merge d.tar a.tar -o new.tar --key key
json split a.tar --split-size 60k -o new/
json protect whole --parity 1 -o new
json repair lost -o new
json sign a.tar --key other
json keygen new --no-passphrase
text postrender --map map
json serve a.tar --key key.pub --listen 127.0.0.1:0 --plain-http
text serve a.tar --key key.pub --listen 127.0.0.1:0 --plain-http --print-node-config
both version
text --version
text --help
text help
text help scripting
text help schema
text help export
text export --help
text completion bash
text completion zsh
text completion fish
text completion powershell
`

// What cannot be written to standard output is an error, whichever command it is, and a
// reader that has seen enough is nobody's fault. The commands run in this process: what
// the system does about a closed pipe of a process is in the script stdout.
func TestStdout(t *testing.T) {
	named := printingSite(t)
	tried := make(map[string]bool)
	for _, line := range strings.Split(strings.TrimSpace(printing), "\n") {
		form, line, _ := strings.Cut(line, " ")
		args := strings.Fields(named.Replace(line))
		tried[args[0]] = true
		var ways [][]string
		if form != "json" {
			ways = append(ways, args)
		}
		if form != "text" {
			ways = append(ways, append(args[:len(args):len(args)], "--json"))
		}
		for _, args := range ways {
			t.Run(strings.Join(args, "_"), func(t *testing.T) {
				full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					t.Skip("no /dev/full on this system:", err)
				}
				code, said := runTo(t, full, args...)
				if code != 1 || !strings.HasPrefix(said, "bundle: ") && !strings.Contains(said, "\nbundle: ") || !strings.Contains(said, "no space left on device") {
					t.Errorf("a full disk: exit code %d\n%s", code, said)
				}
			})
		}
		t.Run(strings.Join(ways[len(ways)-1], "_")+"_closed", func(t *testing.T) {
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			in.Close()
			code, said := runTo(t, out, ways[len(ways)-1]...)
			if code != 141 || strings.Contains(said, "bundle: ") {
				t.Errorf("a closed pipe: exit code %d\n%s", code, said)
			}
		})
	}
	for _, cmd := range newRoot(io.Discard).Commands() {
		if cmd.IsAvailableCommand() && !tried[cmd.Name()] {
			t.Errorf("%s is not tried", cmd.Name())
		}
	}
}

// runTo runs the program in this process, in the folder of printingSite, and returns
// its exit code and what it said on standard error.
func runTo(t *testing.T, out *os.File, args ...string) (code int, said string) {
	t.Helper()
	defer out.Close()
	for _, pattern := range []string{"new", "new.*", "a.tar.sig"} {
		left, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range left {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	errs, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	in, err := os.Open("pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	stdin, stdout, stderr := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = stdin, stdout, stderr }()
	os.Stdin, os.Stdout, os.Stderr = in, out, errs
	code = run(args)
	if _, err := errs.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(errs)
	if err != nil {
		t.Fatal(err)
	}
	return code, string(b)
}

// printingSite makes a folder with what the commands of printing name, changes into it,
// and returns what stands for PUB and DST.
func printingSite(t *testing.T) *strings.Replacer {
	t.Helper()
	chart, err := filepath.Abs("../../testdata/charts/operator")
	if err != nil {
		t.Fatal(err)
	}
	var hosts [2]string
	for i := range hosts {
		reg, err := regtest.Start(regtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		hosts[i] = reg.Host()
		for seed, ref := range []string{"library/a:1", "library/b:1"} {
			if i > 0 {
				break
			}
			im := regtest.Image{Layers: []regtest.Layer{{Size: 60_000, Seed: int64(seed)}}}
			if _, err := reg.PushImage(context.Background(), ref, im); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("HOME", dir)
	t.Setenv("SOURCE_DATE_EPOCH", "")
	t.Chdir(dir)
	if err := os.CopyFS("operator", os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"map":      "docker.io/library/a:1 registry.plant.local/a:1\n",
		"pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: '" + hosts[1] + "/apps/library/a:1'}]}\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	named := strings.NewReplacer(
		"PUB", "--registry-mirror docker.io="+hosts[0]+" --plain-http "+hosts[0],
		"DST", "--registry "+hosts[1]+"/apps --plain-http "+hosts[1])
	for _, line := range []string{
		"keygen key --no-passphrase",
		"keygen other --no-passphrase",
		"export --image a:1 --key key -o a.tar PUB",
		"export --image a:1 --image b:1 --key key -o ab.tar PUB",
		"export --image a:1 --image b:1 --base a.tar --key key -o d.tar PUB",
		"import a.tar --key key.pub DST --output-dir out --receipt receipt.json",
		"split ab.tar --split-size 60k -o whole/",
		"split ab.tar --split-size 60k -o lost/",
		"protect lost --parity 1",
	} {
		out, err := os.Create("printed")
		if err != nil {
			t.Fatal(err)
		}
		if code, said := runTo(t, out, strings.Fields(named.Replace(line))...); code != 0 {
			t.Fatalf("%s: exit code %d\n%s", line, code, said)
		}
	}
	if err := os.Remove("lost/ab.tar.002"); err != nil {
		t.Fatal(err)
	}
	return named
}

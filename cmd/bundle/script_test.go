package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bundle/bundle"
	"bundle/testdata/judge"
	"bundle/testdata/regtest"
)

func TestMain(m *testing.M) {
	if code, ok := bundle.Child(); ok { // of a command that runs in this process
		os.Exit(code)
	}
	if os.Getenv(standingEnv) != "" {
		os.Exit(stand())
	}
	testscript.Main(m, map[string]func(){"bundle": main})
}

// TestScripts runs the specifications of the command line: one script a
// behaviour, in testdata/scripts. They run the real program, in processes that have one
// command after the other (see testdata/relay), against real registries in this process.
// What they have beside testscript's own commands:
//
//	registry NAME [tls] [auth] [process] [cache=URL]  start a registry; $NAME is its host; with tls $NAME.pem its CA
//	repo NAME CHART.tgz… [auth]           start an HTTP chart repository; $NAME is its URL
//	image NAME REF [SIZE [SEED]]          push an image of one layer
//	index NAME REF PLATFORM…              push a multi-platform image that shares a base
//	odd NAME REF KIND                     push a Windows image with a layer that is foreign, has urls, or is absent
//	key NAME                              make the key pair NAME and NAME.pub, as bundle keygen does
//	fill NAME                             push everything that testdata/charts/operator needs
//	fault NAME CLASS KIND [SKIP]          make blobs, manifests or uploads of NAME go wrong, but for the first SKIP
//	heal NAME                             take all faults away
//	refuse NAME PATH                      refuse manifests whose path has PATH in it with 415
//	only NAME REPOSITORY…                 have these repositories exist only
//	deep NAME N                           refuse paths of more than N parts
//	attach NAME REF                       attach an SBOM to an image
//	collect NAME                          run the clean-up of docker-registry, of what has no tag too
//	requests NAME METHOD CLASS N          check how many requests arrived since the last check
//	exits CODE PROGRAM ARG…               run a program and check its exit code
//	program FILE PLATFORM                 write a program that has only notes, which say that it is this one
//	flip FILE OFFSET                      flip one bit
//	login NAME                            write what docker login would have into $DOCKER_CONFIG
//	serve NAME ARG…                       start bundle serve; $NAME is its address, NAME.pem its certificate, NAME.log what it says
//	containerd                            start containerd, as root; $CTR is its socket
//	ends NAME                             end it with SIGTERM, and require that it ends well
//	count PATTERN N                       the last stdout holds the text N times
//	public, private, guide                run a guide: see guide_test.go
//	validate                              the last stdout is JSON as bundle help schema says, without null
func TestScripts(t *testing.T) {
	r, err := startRelay()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close) // after the scripts, which run side by side
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/scripts",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			if err := setupScript(env); err != nil {
				return err
			}
			env.Setenv("PATH", r.dir+string(filepath.ListSeparator)+env.Getenv("PATH"))
			for name, value := range r.env() {
				env.Setenv(name, value)
			}
			return nil
		},
		Condition: hasProgram,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"registry": cmdRegistry,
			"repo":     cmdRepo,
			"image":    cmdImage,
			"index":    cmdIndex,
			"key":      cmdKey,
			"fill":     cmdFill,
			"odd":      cmdOdd,
			"fault":    cmdFault,
			"heal":     cmdHeal,
			"refuse":   cmdRefuse,
			"only":     cmdOnly,
			"deep":     cmdDeep,
			"attach":   cmdAttach,
			"collect":  cmdCollect,
			"requests": cmdRequests,
			"exits":    cmdExits,
			"program":  cmdProgram,
			"flip":     cmdFlip,
			"login":    cmdLogin,
			"count":    cmdCount,
			"validate": cmdValidate,
			"serve":    cmdServe,
			"ends":     cmdEnds,

			"containerd": cmdContainerd,
			"public":     cmdPublic,
			"private":    cmdPrivate,
			"guide":      cmdGuide,
		},
	})
}

// hasProgram is the condition of scripts that need a judge from outside. On a
// developer's machine a missing one skips the script; in CI it fails.
func hasProgram(name string) (bool, error) {
	program, ok := strings.CutPrefix(name, "has:")
	if program == "root" {
		return hasRoot()
	}
	if !ok {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	path, err := judge.Find(program)
	return path != "", err
}

// registries are those of one script.
type registries struct {
	mu   sync.Mutex
	byID map[string]*regtest.Registry
}

type registriesKey struct{}

func setupScript(env *testscript.Env) error {
	charts, err := filepath.Abs("../../testdata/charts")
	if err != nil {
		return err
	}
	env.Setenv("CHARTS", charts)
	env.Setenv("PATH", judge.Dir()+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("DOCKER_CONFIG", filepath.Join(env.WorkDir, ".docker"))
	env.Setenv("SOURCE_DATE_EPOCH", "")
	env.Setenv("PLATFORM", runtime.GOOS+"/"+runtime.GOARCH)
	env.Setenv("OSARCH", runtime.GOOS+"_"+runtime.GOARCH)
	env.Setenv("TOOL", "bundle-"+runtime.GOOS+"-"+runtime.GOARCH)
	regs := &registries{byID: make(map[string]*regtest.Registry)}
	env.Values[registriesKey{}] = regs
	var through *regtest.Network
	env.Values[networkKey{}] = &through
	env.Defer(func() {
		if through != nil {
			_ = through.Close()
		}
	})
	servers := make(map[string]*server)
	env.Values[serversKey{}] = servers
	env.Defer(func() {
		for _, s := range servers {
			_ = s.end()
		}
	})
	env.Defer(func() {
		for _, r := range regs.byID {
			r.Close()
		}
	})
	return nil
}

func regs(ts *testscript.TestScript) *registries {
	return ts.Value(registriesKey{}).(*registries)
}

func registry(ts *testscript.TestScript, name string) *regtest.Registry {
	r := regs(ts).byID[name]
	if r == nil {
		ts.Fatalf("no registry %s", name)
	}
	return r
}

const (
	testUser     = "alice"
	testPassword = "pa55-w0rd-secret"
)

func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	o := regtest.Options{}
	start := regtest.Start
	for _, a := range args[1:] {
		if of, ok := strings.CutPrefix(a, "cache="); ok {
			o.CacheOf = of
			continue
		}
		switch a {
		case "tls":
			o.TLS = true
		case "auth":
			o.Username, o.Password = testUser, testPassword
		case "token":
			o.Token = true
		case "referrers":
			start = regtest.StartReferrers
		case "process":
			start, o.Dir = regtest.StartProcess, ts.MkAbs(args[0]+".storage") // which collect needs
		default:
			ts.Fatalf("registry: %s?", a)
		}
	}
	r, err := start(o)
	ts.Check(err)
	addRegistry(ts, args[0], r)
	ts.Setenv(args[0], r.Host())
}

func addRegistry(ts *testscript.TestScript, name string, r *regtest.Registry) {
	regs(ts).mu.Lock()
	defer regs(ts).mu.Unlock()
	regs(ts).byID[name] = r
	if r.CA != nil {
		ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), r.CA, 0o644))
	}
}

func cmdRepo(ts *testscript.TestScript, neg bool, args []string) {
	var o regtest.Options
	var archives [][]byte
	for _, a := range args[1:] {
		if a == "auth" {
			o.Username, o.Password = testUser, testPassword
			continue
		}
		b, err := os.ReadFile(ts.MkAbs(a))
		ts.Check(err)
		archives = append(archives, b)
	}
	r, err := regtest.StartCharts(o, archives...)
	ts.Check(err)
	addRegistry(ts, args[0], r)
	ts.Setenv(args[0], r.URL())
}

func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	size, seed := int64(1000), int64(1)
	for i, p := range []*int64{&size, &seed} {
		if len(args) > 2+i {
			n, err := strconv.ParseInt(args[2+i], 10, 64)
			ts.Check(err)
			*p = n
		}
	}
	img := regtest.Image{Layers: []regtest.Layer{{Size: size, Seed: seed}}}
	for _, more := range args[min(4, len(args)):] { // further layers, by their seeds
		n, err := strconv.ParseInt(more, 10, 64)
		ts.Check(err)
		img.Layers = append(img.Layers, regtest.Layer{Size: size, Seed: n})
	}
	_, err := registry(ts, args[0]).PushImage(context.Background(), args[1], img)
	ts.Check(err)
}

func cmdIndex(ts *testscript.TestScript, neg bool, args []string) {
	ix := regtest.Index{Attestation: true}
	for i, p := range args[2:] {
		ix.Images = append(ix.Images, regtest.Image{Platform: p, Layers: []regtest.Layer{
			{Size: 5000, Seed: 1, Compressible: true}, {Size: 2000, Seed: int64(100 + i)},
		}})
	}
	_, err := registry(ts, args[0]).PushIndex(context.Background(), args[1], ix)
	ts.Check(err)
}

func cmdKey(ts *testscript.TestScript, neg bool, args []string) {
	_, err := bundle.Keygen(ts.MkAbs(args[0]), "bundle", nil)
	ts.Check(err)
}

func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	for i, ref := range []string{"library/nats:2.12.8-alpine", "acme/operator:2.7.0", "acme/gateway:2.7.0", "acme/host:2.7.0"} {
		cmdIndex(ts, false, []string{args[0], ref, "linux/amd64", "linux/arm64"}[:3+i%2])
	}
	for _, ref := range []string{"acme/plugins/key-value:1.3.0", "acme/plugins/blob-store:0.9.2"} {
		_, err := registry(ts, args[0]).PushArtifact(context.Background(), ref, regtest.Wasm([]byte("\x00asm"+ref)))
		ts.Check(err)
	}
}

func cmdOdd(ts *testscript.TestScript, neg bool, args []string) {
	urls := []string{"https://mcr.example.com/layer"}
	layer, ok := map[string]regtest.OddLayer{
		"foreign": {MediaType: regtest.ForeignLayer, URLs: urls, Content: "base"},
		"urls":    {URLs: urls, Content: "base"},
		"absent":  {MediaType: regtest.ForeignLayer, URLs: urls, Content: "absent", Absent: true},
	}[args[2]]
	if !ok {
		ts.Fatalf("odd: %s?", args[2])
	}
	_, err := registry(ts, args[0]).PushOdd(context.Background(), args[1], "windows/amd64", layer, regtest.OddLayer{Content: "app"})
	ts.Check(err)
}

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	do, ok := map[string]regtest.Injector{
		"corrupt":  regtest.Corrupt(100),
		"truncate": regtest.Truncate(10),
		"gone":     regtest.Status(404),
		"denied":   regtest.Status(403),
		"stall":    regtest.Stall(10),
	}[args[2]]
	if !ok {
		ts.Fatalf("fault: %s?", args[2])
	}
	method := "GET"
	if args[1] == "upload" {
		method = "POST"
	}
	skip := 0
	if len(args) > 3 {
		n, err := strconv.Atoi(args[3])
		ts.Check(err)
		skip = n
	}
	registry(ts, args[0]).Inject(regtest.Fault{Method: method, Class: regtest.Class(args[1]), Skip: skip, Do: do})
}

func cmdHeal(ts *testscript.TestScript, neg bool, args []string) { registry(ts, args[0]).ClearFaults() }

func cmdRefuse(ts *testscript.TestScript, neg bool, args []string) {
	registry(ts, args[0]).Inject(regtest.Fault{Method: "PUT", Class: regtest.Manifest, Path: args[1], Do: regtest.Says(415, "MANIFEST_INVALID", "media type")})
}

func cmdOnly(ts *testscript.TestScript, neg bool, args []string) {
	registry(ts, args[0]).Inject(regtest.OnlyRepositories(args[1:]...))
}

func cmdDeep(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	registry(ts, args[0]).Inject(regtest.MaxDepth(n, 401))
}

func cmdAttach(ts *testscript.TestScript, neg bool, args []string) {
	r := registry(ts, args[0])
	subject, _, err := r.Manifest(context.Background(), args[1])
	ts.Check(err)
	repo, _, _ := strings.Cut(args[1], ":")
	a := regtest.Wasm([]byte("sbom of " + args[1]))
	a.ArtifactType, a.Subject = "application/vnd.example.sbom", &subject
	_, err = r.PushArtifact(context.Background(), repo, a)
	ts.Check(err)
}

func cmdCollect(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(registry(ts, args[0]).GarbageCollect(context.Background(), true))
}

func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	method, class := args[1], regtest.Class(args[2])
	if method == "any" {
		method = ""
	}
	if args[2] == "any" {
		class = ""
	}
	want, err := strconv.Atoi(args[3])
	ts.Check(err)
	log := registry(ts, args[0]).Log
	if got := log.Count(method, class); got != want {
		for _, r := range log.Requests() {
			ts.Logf("%s %s %d", r.Method, r.Path, r.Status)
		}
		ts.Fatalf("%d requests %s %s, want %d", got, args[1], args[2], want)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	at, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	if at < 0 {
		st, err := f.Stat()
		ts.Check(err)
		at += st.Size()
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	ts.Check(err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	ts.Check(err)
}

func cmdLogin(ts *testscript.TestScript, neg bool, args []string) {
	host := registry(ts, args[0]).Host()
	dir := ts.Getenv("DOCKER_CONFIG")
	ts.Check(os.MkdirAll(dir, 0o700))
	auth := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, host, testUser, testPassword)
	ts.Check(os.WriteFile(filepath.Join(dir, "config.json"), []byte(auth), fs.FileMode(0o600)))
}

func cmdCount(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile("stdout"), args[0]); got != want {
		ts.Fatalf("%q stands %d times in stdout, want %d", args[0], got, want)
	}
}

func cmdValidate(ts *testscript.TestScript, neg bool, args []string) {
	out := ts.ReadFile("stdout")
	ts.Check(validate([]byte(out)))
	if strings.Contains(out, ": null") {
		ts.Fatalf("there is a null in it")
	}
}

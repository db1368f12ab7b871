package judge

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// A judge that is asked many times is one process, which ends with the tests.
type running struct {
	once    sync.Once
	mu      sync.Mutex
	asked   *json.Encoder
	answers *json.Decoder
	err     error
}

var helms = map[string]*running{"helms3": {}, "helms4": {}}

// Ask asks helms3 or helms4: arguments of helm's, such as template NAME CHART, with no
// configuration of whoever runs the tests and no network but this machine's own. It
// returns what helm writes, and its error. The first question starts the process.
func Ask(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	return AskWith(t, nil, name, args...)
}

// AskWith asks with more in the environment, for what helm looks up there when it is
// asked.
func AskWith(t testing.TB, env map[string]string, name string, args ...string) (string, error) {
	t.Helper()
	path := Path(t, name)
	r := helms[name]
	r.once.Do(func() { r.start(path) })
	if r.err != nil {
		t.Fatal(r.err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var answer struct{ Out, Err string }
	err := r.asked.Encode(struct {
		Args []string
		Env  map[string]string
	}{args, env})
	if err == nil {
		err = r.answers.Decode(&answer)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if answer.Err != "" {
		return answer.Out, errors.New(answer.Err)
	}
	return answer.Out, nil
}

func (r *running) start(path string) {
	cmd := exec.Command(path)
	cmd.Env = environment()
	var in io.Writer
	var out io.Reader
	if in, r.err = cmd.StdinPipe(); r.err != nil {
		return
	}
	if out, r.err = cmd.StdoutPipe(); r.err != nil {
		return
	}
	r.err = cmd.Start() // it ends when the tests do, with its input
	r.asked, r.answers = json.NewEncoder(in), json.NewDecoder(bufio.NewReader(out))
}

// environment leads to no configuration, and to no network: Go never sends what is for
// the machine itself through a proxy.
func environment() []string {
	const nobody = "http://127.0.0.1:1"
	nowhere := filepath.Join(Dir(), "nobody") // is not there
	env := []string{"HOME=" + nowhere, "KUBECONFIG=" + nowhere, "DOCKER_CONFIG=" + nowhere}
	for _, dir := range []string{"HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"} {
		env = append(env, dir+"="+nowhere)
	}
	for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		env = append(env, proxy+"="+nobody)
	}
	return env
}

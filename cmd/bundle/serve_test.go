package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// servers are the processes of one script.
type serversKey struct{}

type server struct {
	cmd *exec.Cmd
	log *os.File
}

// cmdServe starts bundle serve on a free port: serve NAME ARG…; $NAME is its address,
// NAME.pem its certificate, NAME.nodes a folder with its files for nodes, NAME.json its
// report, and NAME.log its standard error.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	log, err := os.Create(ts.MkAbs(args[0] + ".log"))
	ts.Check(err)
	program, err := exec.LookPath("bundle")
	ts.Check(err)
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--json", "--verbose"}, args[1:]...)...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), log
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	servers := ts.Value(serversKey{}).(map[string]*server)
	servers[args[0]] = &server{cmd, log}
	var report json.RawMessage
	var r jsonServe
	err = json.NewDecoder(out).Decode(&report)
	if err = errors.Join(err, json.Unmarshal(report, &r)); err != nil || r.Address == "" {
		_ = cmd.Wait()
		ts.Fatalf("serve: %v\n%s", err, ts.ReadFile(args[0]+".log"))
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // it ends with the process
	ts.Setenv(args[0], r.Address)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".json"), report, 0o644))
	for _, f := range r.NodeFiles {
		path := ts.MkAbs(filepath.Join(args[0]+".nodes", filepath.FromSlash(f.Path)))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(f.Content), 0o644))
	}
	if r.Certificate != "" {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), []byte(r.Certificate), 0o644))
	}
}

// cmdEnds ends a server as systemd does, and requires that it ends well.
func cmdEnds(ts *testscript.TestScript, neg bool, args []string) {
	servers := ts.Value(serversKey{}).(map[string]*server)
	s := servers[args[0]]
	delete(servers, args[0])
	ts.Check(s.end())
}

func (s *server) end() error {
	defer s.log.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(30*time.Second, func() { s.cmd.Process.Kill() }) //nolint:errcheck // it may have ended
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("bundle serve: %w", err)
	}
	return nil
}

//go:build unix

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A relay runs the commands of scripts in processes of the program that stay: what the
// scripts find as bundle hands its command on (testdata/relay says what, and when it
// runs the program itself). Each process has one command at a time.
type relay struct {
	dir      string // has the socket, and what the scripts find as bundle
	program  string
	listener *net.UnixListener
	served   sync.WaitGroup

	mu   sync.Mutex
	idle map[string][]*standing // by what of their environment they read but once
}

// standing is a process that waits for commands, or has one.
type standing struct {
	cmd  *exec.Cmd
	conn *net.UnixConn
	once string // with a NUL after each variable
}

// once are the beginnings of variables that a process reads but once: before main, or for
// its first connection or local time.
var once = []string{"GO", "TZ=", "SSL_CERT_", "HTTP_PROXY=", "HTTPS_PROXY=", "NO_PROXY=", "http_proxy=", "https_proxy=", "no_proxy="}

// standingEnv makes a process of the program wait for commands on its file 3.
const standingEnv = "BUNDLE_TEST_STANDING"

// maxRequest is beyond what a system takes as arguments and environment.
const maxRequest = 8 << 20

func startRelay() (*relay, error) {
	program, err := exec.LookPath("bundle")
	if err != nil {
		return nil, err
	}
	const source = "../../testdata/relay"
	if _, err := os.ReadFile(filepath.Join(source, "main.go")); err != nil { // so that a kept result depends on it
		return nil, err
	}
	dir, err := os.MkdirTemp("", "relay") // a short path, as names of sockets are
	if err != nil {
		return nil, err
	}
	r := &relay{dir: dir, program: program, idle: make(map[string][]*standing)}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "bundle"), source)
	if out, err := build.CombinedOutput(); err != nil {
		r.close()
		return nil, fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	if r.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: r.socket(), Net: "unix"}); err != nil {
		r.close()
		return nil, err
	}
	r.served.Go(r.accept)
	return r, nil
}

func (r *relay) socket() string { return filepath.Join(r.dir, "socket") }

// env is what a script needs, beside dir in its PATH.
func (r *relay) env() map[string]string {
	return map[string]string{"RELAY": r.socket(), "RELAY_PROGRAM": r.program}
}

func (r *relay) close() {
	if r.listener != nil {
		r.listener.Close()
	}
	r.served.Wait()
	for _, idle := range r.idle {
		for _, s := range idle {
			s.end()
		}
	}
	os.RemoveAll(r.dir)
}

func (r *relay) accept() {
	for {
		conn, err := r.listener.AcceptUnix()
		if err != nil {
			return
		}
		r.served.Go(func() {
			defer conn.Close()
			if err := r.serve(conn); err != nil { // the relay that asked says that it got no answer
				fmt.Fprintln(os.Stderr, "relay:", err)
			}
		})
	}
}

// serve hands one command on, its signals too, and answers with how it ended. A command
// whose relay is killed is killed.
func (r *relay) serve(client *net.UnixConn) error {
	request, streams, err := readRequest(client)
	if err != nil {
		return err
	}
	s, err := r.take(onceOf(request))
	if err != nil {
		closeAll(streams)
		return err
	}
	err = writeRequest(s.conn, request, streams)
	closeAll(streams)
	if err != nil {
		s.end()
		return err
	}
	var mu sync.Mutex
	var over, signalled bool
	var listening sync.WaitGroup
	listening.Go(func() {
		var b [1]byte
		for {
			_, err := client.Read(b[:])
			mu.Lock()
			if !over && err != nil {
				_ = s.cmd.Process.Kill()
			} else if !over {
				signalled = true
				_ = s.cmd.Process.Signal(syscall.Signal(b[0]))
			}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	var answer [2]byte // exit code and signal, as testdata/relay reads them
	_, err = io.ReadFull(s.conn, answer[:1])
	mu.Lock()
	over = true
	mu.Unlock()
	switch {
	case err != nil:
		answer = s.end()
	case signalled: // what it caught may have left something under way
		s.end()
	default:
		r.put(s)
	}
	_, err = client.Write(answer[:])
	client.Close()
	listening.Wait()
	return err
}

// onceOf is what of a request's environment a process has to start with.
func onceOf(request []byte) string {
	var b strings.Builder
	for field := range strings.SplitSeq(string(request), "\x00") {
		pair, ok := strings.CutPrefix(field, "e")
		if ok && slices.ContainsFunc(once, func(name string) bool { return strings.HasPrefix(pair, name) }) {
			b.WriteString(pair)
			b.WriteByte(0)
		}
	}
	return b.String()
}

func (r *relay) put(s *standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle[s.once] = append(r.idle[s.once], s)
}

func (r *relay) take(once string) (*standing, error) {
	r.mu.Lock()
	idle := r.idle[once]
	if n := len(idle); n > 0 {
		r.idle[once] = idle[:n-1]
		r.mu.Unlock()
		return idle[n-1], nil
	}
	r.mu.Unlock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(pair[0])
	unix.CloseOnExec(pair[1])
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(r.program)
	cmd.Env = append(strings.Split(once, "\x00"), standingEnv+"=1")
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	return &standing{cmd, conn.(*net.UnixConn), once}, nil
}

// end ends the process if it still is, and returns how it ended.
func (s *standing) end() (answer [2]byte) {
	s.conn.Close()
	_ = s.cmd.Wait()
	status := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		answer[1] = byte(status.Signal())
	} else {
		answer[0] = byte(status.ExitStatus())
	}
	return answer
}

// stand runs one command after the other, as the process that it is told to be.
func stand() int {
	conn, err := net.FileConn(os.NewFile(3, "commands"))
	if err != nil {
		return 125
	}
	for {
		request, streams, err := readRequest(conn.(*net.UnixConn))
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			return 125
		}
		args, err := become(request, streams)
		if err != nil {
			fmt.Fprintln(os.Stderr, "relay:", err)
			return 125
		}
		code := run(args)
		if err := leave(); err != nil {
			return 125
		}
		if _, err := conn.Write([]byte{byte(code)}); err != nil {
			return 125
		}
	}
}

// become takes over what a process has from its parent, and returns its arguments.
func become(request []byte, streams []int) (args []string, err error) {
	for to, from := range streams {
		if err := unix.Dup2(from, to); err != nil {
			return nil, err
		}
	}
	closeAll(streams)
	fields := strings.Split(strings.TrimSuffix(string(request), "\x00"), "\x00")
	if len(fields) < 2 {
		return nil, errors.New("no request")
	}
	if err := os.Chdir(fields[0]); err != nil {
		return nil, err
	}
	mask, err := strconv.ParseInt(fields[1], 8, 0)
	if err != nil {
		return nil, err
	}
	syscall.Umask(int(mask))
	os.Clearenv()
	args = []string{}
	for _, field := range fields[2:] {
		if arg, ok := strings.CutPrefix(field, "a"); ok {
			args = append(args, arg)
			continue
		}
		name, value, _ := strings.Cut(field[1:], "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// leave lets go of the standard streams, so that who reads from the command sees its end.
func leave() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for to := range 3 {
		if err := unix.Dup2(int(null.Fd()), to); err != nil {
			return err
		}
	}
	return nil
}

// readRequest reads a length, big endian, and as many bytes; with the first of them come
// the standard streams.
func readRequest(conn *net.UnixConn) (request []byte, streams []int, err error) {
	var length [4]byte
	rights := make([]byte, unix.CmsgSpace(3*4))
	n, nr, _, _, err := conn.ReadMsgUnix(length[:], rights)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(rights[:nr])
	if err == nil && len(messages) != 1 {
		err = errors.New("no standard streams")
	}
	if err != nil {
		return nil, nil, err
	}
	if streams, err = unix.ParseUnixRights(&messages[0]); err != nil {
		return nil, nil, err
	}
	for _, fd := range streams {
		unix.CloseOnExec(fd)
	}
	if _, err = io.ReadFull(conn, length[n:]); err == nil {
		size := binary.BigEndian.Uint32(length[:])
		if size > maxRequest {
			err = fmt.Errorf("a request of %d bytes", size)
		} else {
			request = make([]byte, size)
			_, err = io.ReadFull(conn, request)
		}
	}
	if err != nil {
		closeAll(streams)
		return nil, nil, err
	}
	return request, streams, nil
}

func writeRequest(conn *net.UnixConn, request []byte, streams []int) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(request)))
	n, _, err := conn.WriteMsgUnix(b, unix.UnixRights(streams...), nil)
	if err != nil || n < len(b) {
		return errors.Join(err, errors.New("the head of a request was cut"))
	}
	_, err = conn.Write(request)
	return err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

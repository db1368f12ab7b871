//go:build unix

// Command relay stands for the program in the scripts of cmd/bundle: it hands its
// command to a process of the program that runs already, and ends as that command ends.
// The scripts have more than a thousand, and most of what a short one takes is to start its
// process: Helm's packages prepare much before main. This one starts in a tenth of the
// time, which is why it needs package syscall alone.
//
// It passes its arguments, environment, working folder, umask, standard streams and
// signals on. Where there is more that a process takes over from its parent it runs the
// program itself in its place; a script asks for that with env RELAY=.
//
//	RELAY=/tmp/x/socket RELAY_PROGRAM=/tmp/x/bundle bundle version
package main

import (
	"encoding/binary"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if !passable() {
		run()
	}
	conn, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must("socket", err)
	must("connect", syscall.Connect(conn, &syscall.SockaddrUnix{Name: os.Getenv("RELAY")}))
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	must("send", send(conn, request()))
	go func() {
		for s := range signals {
			_, _ = syscall.Write(conn, []byte{byte(s.(syscall.Signal))})
		}
	}()
	end(receive(conn))
}

// passable reports whether all that this process was given can be passed on.
func passable() bool {
	if os.Getenv("RELAY") == "" {
		return false
	}
	for _, resource := range []int{syscall.RLIMIT_AS, syscall.RLIMIT_DATA, syscall.RLIMIT_FSIZE} {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(resource, &l); err != nil || l.Cur != syscall.RLIM_INFINITY&(1<<64-1) {
			return false
		}
	}
	if tty, err := syscall.Open("/dev/tty", syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0); err == nil {
		syscall.Close(tty)
		return false
	}
	for fd := 0; fd <= 2; fd++ { // what is closed
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) != nil {
			return false
		}
	}
	for _, arg := range os.Args {
		if strings.Contains(arg, "/dev/fd/") {
			return false
		}
	}
	return true
}

// run turns this process into the program.
func run() {
	must("run", syscall.Exec(os.Getenv("RELAY_PROGRAM"), append([]string{"bundle"}, os.Args[1:]...), os.Environ()))
}

// request is the working folder, the umask in octal, each argument after an "a" and each
// variable after an "e", all with a NUL at the end; before that its length, big endian.
func request() []byte {
	dir, err := os.Getwd()
	must("working folder", err)
	args := os.Args[1:]
	b := []byte{0, 0, 0, 0}
	add := func(s string) { b = append(append(b, s...), 0) }
	add(dir)
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	add(strconv.FormatInt(int64(mask), 8))
	for _, arg := range args {
		add("a" + arg)
	}
	for _, pair := range os.Environ() {
		add("e" + pair)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// send writes the request; its first bytes carry the standard streams.
func send(conn int, b []byte) error {
	n, err := syscall.SendmsgN(conn, b, syscall.UnixRights(0, 1, 2), nil, 0)
	for b = b[max(n, 0):]; err == nil && len(b) > 0; b = b[n:] {
		n, err = syscall.Write(conn, b)
	}
	return err
}

// receive waits for two bytes: the exit code, and the signal that ended the command.
func receive(conn int) (code int, by syscall.Signal) {
	var b [2]byte
	for got := 0; got < len(b); {
		n, err := syscall.Read(conn, b[got:])
		if err == syscall.EINTR {
			continue
		}
		must("receive", err)
		if n == 0 {
			must("receive", syscall.ECONNRESET)
		}
		got += n
	}
	return int(b[0]), syscall.Signal(b[1])
}

// end ends this process as the command ended.
func end(code int, by syscall.Signal) {
	if by != 0 {
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), by)
		select {} // until it arrives
	}
	os.Exit(code)
}

// must ends with an exit code that no command has.
func must(what string, err error) {
	if err != nil {
		os.Stderr.WriteString("relay: " + what + ": " + err.Error() + "\n")
		os.Exit(125)
	}
}

package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"bundle/bundle/internal/fault"
)

// ListenOptions say where and how to listen.
type ListenOptions struct {
	Address string            // host:port; a socket that systemd hands over goes before
	TLS     *tls.Config       // nil: without
	Most    int               // connections at once; 0 is 512
	Grace   time.Duration     // for what is under way at the end; 0 is ten seconds
	Ready   func(addr string) // told once, with the host:port that is listened on
	Tell    func(line string) // faults of connections; nil: nobody is told
}

const (
	headerTime = 10 * time.Second // until a request has been read
	idleTime   = 2 * time.Minute  // between two requests of a connection
	maxHeader  = 32 << 10
)

// Listen answers requests with h until ctx ends; then it waits for what is under way,
// and breaks off what takes longer. The end of ctx is no error.
func Listen(ctx context.Context, h http.Handler, o ListenOptions) error {
	l, err := listener(ctx, o.Address)
	if err != nil {
		return err
	}
	if o.Most == 0 {
		o.Most = 512
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	srv := &http.Server{
		Handler: h, TLSConfig: o.TLS,
		ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(lines(o.Tell), "", 0),
	}
	addr := l.Addr()
	l = &limited{Listener: l, room: make(chan struct{}, o.Most), closed: make(chan struct{})}
	ended := make(chan error, 1)
	notify("READY=1") // connections are queued from here on; the end is told after it
	stop := context.AfterFunc(ctx, func() {
		notify("STOPPING=1")
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
		defer cancel()
		if err := srv.Shutdown(late); err != nil {
			o.Tell("some responses took too long, and were broken off")
			srv.Close() //nolint:errcheck // nothing is left to lose
		}
		ended <- nil
	})
	if o.Ready != nil {
		o.Ready(addr.String())
	}
	if o.TLS != nil {
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", addr, err)
	}
	return <-ended
}

// listener is the socket that systemd handed over (sd_listen_fds(3)), or a new one.
func listener(ctx context.Context, address string) (net.Listener, error) {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err == nil && pid == os.Getpid() && os.Getenv("LISTEN_FDS") != "" {
		if n := os.Getenv("LISTEN_FDS"); n != "1" {
			return nil, &fault.UsageError{What: "systemd hands over " + n + " sockets: want one"}
		}
		f := os.NewFile(3, "socket of systemd")
		defer f.Close() // the listener has a copy
		return net.FileListener(f)
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	var bad *net.AddrError
	if errors.As(err, &bad) {
		return nil, &fault.UsageError{What: "--listen " + address + ": " + bad.Error(), Advice: "want HOST:PORT, for example 0.0.0.0:5000"}
	}
	return l, err
}

// notify tells systemd (sd_notify(3)). Whoever is not there need not hear it.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state)) //nolint:errcheck // see above
}

// limited accepts so many connections at once; others wait in the system's queue.
type limited struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &counted{Conn: c, done: func() { <-l.room }}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type counted struct {
	net.Conn
	once sync.Once
	done func()
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.done)
	return err
}

// lines is a writer of lines.
type lines func(string)

func (f lines) Write(b []byte) (int, error) {
	f(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

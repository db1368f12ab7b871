package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if code, ok := Main(testSession); ok {
		if stays {
			select {}
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// testSession does what requests say.
func testSession(setup string) (Session, error) {
	if setup == "bad" {
		return nil, errors.New("it does not open")
	}
	stays = setup == "stays"
	return func(request string, note func(string)) Answer {
		word, rest, _ := strings.Cut(request, " ")
		last := false
		switch word {
		case "echo":
			note("echoing")
		case "last":
			last = true
		case "memory":
			n, _ := strconv.Atoi(rest)
			note("taking")
			rest = fmt.Sprint(len(make([]byte, n)))
		case "stack":
			rest = fmt.Sprint(deeper(0, [64]int{}))
		case "sleep":
			note("sleeping")
			for i := int64(0); ; i++ {
				spun.Store(i)
			}
		case "exit":
			os.Exit(3)
		case "env":
			rest = strings.Join(os.Environ(), " ")
		case "pid":
			rest = strconv.Itoa(os.Getpid())
		case "noise":
			for range 10_000 {
				fmt.Fprintln(os.Stderr, "\x1b[31mnoise")
			}
		}
		return Answer{Body: func() []byte { return []byte(setup + ":" + rest) }, Last: last}
	}, nil
}

// stays is set in a child that does not end by itself.
var stays bool

// spun is what a loop without end has counted.
var spun atomic.Int64

func deeper(n int, a [64]int) int {
	if n < 0 { // never
		return 0
	}
	a[n%64] = n
	return deeper(n+1, a) + a[(n+1)%64]
}

func text() func(string) (any, error) {
	return func(body string) (any, error) {
		if strings.HasSuffix(body, ":nonsense") {
			return nil, errors.New("nonsense")
		}
		return body, nil
	}
}

func client(setup string) *Client {
	return &Client{Limits: Limits{Memory: 2 << 30, Stack: 16 << 20}, Setup: func() string { return setup }, Receive: text}
}

func TestAsk(t *testing.T) {
	c := client("one")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			want := strings.Repeat(strconv.Itoa(i), 100_000)
			if got, err := c.Ask(t.Context(), []byte("echo "+want), time.Minute); err != nil || got != "one:"+want {
				t.Errorf("%d bytes, %v", len(fmt.Sprint(got)), err)
			}
		}()
	}
	wg.Wait()
	if got, err := c.Ask(t.Context(), []byte("noise x"), time.Minute); err != nil || got != "one:x" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := c.Ask(t.Context(), []byte("env"), time.Minute); err != nil || strings.Contains(fmt.Sprint(got), "PATH=") {
		t.Errorf("environment %v, %v", got, err)
	}
}

// A child that dies is an error that says why, and the next request has another child.
func TestDeath(t *testing.T) {
	c := client("s")
	for _, tc := range []struct {
		request, note string
		cause         Cause
	}{
		{"memory 8000000000000", "taking", Memory},
		{"stack", "", Stack},
		{"exit", "", Crashed},
		{"echo nonsense", "", Crashed},
		{"sleep", "sleeping", Time},
	} {
		limit := time.Minute
		if tc.cause == Time {
			limit = time.Second
		}
		if got, err := c.Ask(t.Context(), []byte("noise x"), time.Minute); err != nil || got != "s:x" {
			t.Errorf("before %s: %v, %v", tc.request, got, err)
		}
		_, err := c.Ask(t.Context(), []byte(tc.request), limit)
		var dead *Error
		if !errors.As(err, &dead) || dead.Cause != tc.cause || dead.Note != tc.note {
			t.Errorf("%s: %#v", tc.request, err)
		}
		if got, err := c.Ask(t.Context(), []byte("last x"), time.Minute); err != nil || got != "s:x" {
			t.Errorf("after %s: %v, %v", tc.request, got, err)
		}
	}
	_, err := client("bad").Ask(t.Context(), []byte("echo x"), time.Minute)
	if err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("setup: %v", err)
	}
}

// A child that has said its last is not asked again, however long its end takes.
func TestLast(t *testing.T) {
	c := client("stays")
	before, err := c.Ask(t.Context(), []byte("pid"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"last x", "last nonsense"} {
		if got, err := c.Ask(t.Context(), []byte(request), time.Minute); (err == nil) != (got == "stays:x") {
			t.Errorf("%s: %v, %v", request, got, err)
		}
		after, err := c.Ask(t.Context(), []byte("pid"), time.Minute)
		if err != nil || after == before {
			t.Errorf("after %s: %v, which was there before, %v", request, after, err)
		}
		before = after
	}
}

// What ends with its context ends at once, and the child with it soon; other requests
// are asked again.
func TestInterrupt(t *testing.T) {
	c := client("s")
	before, err := c.Ask(t.Context(), []byte("pid"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Ask(ctx, []byte("sleep"), time.Hour)
		done <- err
	}()
	other, end := context.WithCancel(t.Context())
	go func() {
		_, err := c.Ask(other, []byte("sleep"), time.Hour)
		done <- err
	}()
	time.Sleep(10 * time.Millisecond)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for {
		after, err := c.Ask(t.Context(), []byte("pid"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if after != before {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	select {
	case err := <-done:
		t.Errorf("another request ended: %v", err)
	default:
	}
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A child that idles serves the next client, and ends by itself.
func TestIdle(t *testing.T) {
	defer func(old time.Duration) { maxIdle = old }(maxIdle)
	pids := map[any]bool{}
	for i := range 10 {
		pid, err := client("").Ask(t.Context(), []byte("pid"), time.Minute)
		if err != nil {
			t.Fatal(i, err)
		}
		pids[pid] = true
	}
	if len(pids) > 1 {
		t.Errorf("%d children for one client after the other", len(pids))
	}
	one, two := client("one"), client("two")
	pids = map[any]bool{}
	for range 4 {
		for _, c := range []*Client{one, two} {
			pid, err := c.Ask(t.Context(), []byte("pid"), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			pids[pid] = true
		}
	}
	// "one:PID" and "two:PID" of the same process, and once each of another
	if len(pids) > 2*maxAlive-1 {
		t.Errorf("two clients in turns: %v", pids)
	}
	maxIdle = time.Millisecond
	c := client("")
	if _, err := c.Ask(t.Context(), []byte("pid"), time.Minute); err != nil {
		t.Fatal(err)
	}
	<-c.p.gone
	if c.p.death != nil || !c.p.cmd.ProcessState.Success() {
		t.Errorf("it ended with %v, %v", c.p.cmd.ProcessState, c.p.death)
	}
}

// No message is taken for another, however it is cut or changed.
func FuzzFrame(f *testing.F) {
	var b strings.Builder
	_ = writeFrame(&b, answerFrame, 7, []byte("body"))
	f.Add([]byte(b.String()))
	f.Add([]byte("A\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := strings.NewReader(string(in))
		got, err := readFrame(r, 1<<20)
		if err != nil {
			return
		}
		var again strings.Builder
		if err := writeFrame(&again, got.kind, got.id, []byte(got.body)); err != nil || again.String() != string(in[:len(in)-r.Len()]) {
			t.Errorf("%q became %q", in, again.String())
		}
	})
}

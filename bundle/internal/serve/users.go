package serve

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"bundle/bundle/internal/fault"
)

// Users are those of an htpasswd file. They may be asked from many requests at once.
type Users struct {
	hashes map[string][]byte
	busy   chan struct{} // bcrypt is slow on purpose: not more at once than there are cores
	secret []byte

	mu    sync.Mutex
	known map[string][sha256.Size]byte // user → keyed hash of the password that was right
}

// ParseUsers reads an htpasswd file; name is what it is called in errors. Only
// bcrypt is taken, as htpasswd -B makes it: all else can be guessed.
func ParseUsers(name string, b []byte) (*Users, error) {
	u := &Users{hashes: make(map[string][]byte), known: make(map[string][sha256.Size]byte),
		busy: make(chan struct{}, runtime.GOMAXPROCS(0)), secret: make([]byte, 32)}
	rand.Read(u.secret) //nolint:errcheck // it never fails
	in := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		_, twice := u.hashes[user]
		_, err := bcrypt.Cost([]byte(hash))
		switch {
		case !ok || user == "":
			err = errors.New("want NAME:HASH")
		case twice:
			err = fmt.Errorf("%q is there twice", user)
		case err != nil:
			err = fmt.Errorf("the password of %q is no bcrypt hash", user)
		}
		if err != nil {
			return nil, fault.Input(name, fmt.Errorf("line %d: %w", n, err), "htpasswd -B makes what is wanted")
		}
		u.hashes[user] = []byte(hash)
	}
	if err := in.Err(); err != nil {
		return nil, fault.Input(name, err, "")
	}
	if len(u.hashes) == 0 {
		return nil, fault.Input(name, errors.New("no user in it"), "htpasswd -B makes what is wanted")
	}
	return u, nil
}

// nobody is compared with where a user is not known: it must not take less time.
var nobody = sync.OnceValue(func() []byte {
	b, _ := bcrypt.GenerateFromPassword([]byte("nobody"), bcrypt.DefaultCost)
	return b
})

// check reports whether a password is right. One that was right is known from then
// on, so that a pull of many layers does not take as many seconds.
func (u *Users) check(r *http.Request, user, password string) bool {
	mac := hmac.New(sha256.New, u.secret)
	mac.Write([]byte(password))
	sum := [sha256.Size]byte(mac.Sum(nil))
	u.mu.Lock()
	was, known := u.known[user]
	u.mu.Unlock()
	if known && hmac.Equal(was[:], sum[:]) {
		return true
	}
	select {
	case u.busy <- struct{}{}:
	case <-r.Context().Done():
		return false
	}
	defer func() { <-u.busy }()
	hash, exists := u.hashes[user]
	if !exists {
		hash = nobody()
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !exists {
		return false
	}
	u.mu.Lock()
	u.known[user] = sum
	u.mu.Unlock()
	return true
}

// allowed asks for a password where there are users, and answers who has none.
func (s *Server) allowed(w *response, r *http.Request) bool {
	if s.o.Users == nil {
		return true
	}
	user, password, given := r.BasicAuth()
	if given && s.o.Users.check(r, user, password) {
		w.user = user
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="bundle", charset="UTF-8"`)
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "user name and password are wanted")
	return false
}

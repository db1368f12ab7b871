package remote

import (
	"errors"
	"net/http"
	"testing"
)

// What a chart's author names stays away from this machine, whatever it is called;
// what the user names does not.
func TestGuard(t *testing.T) {
	c, err := New(Options{
		PlainHTTP: []string{"localhost:5000"}, InsecureSkipTLS: []string{"127.0.0.2"},
		Mirrors:     map[string]string{"quay.io": "127.0.0.3:5000/q"},
		Credentials: map[string]Credential{"LOCALHOST:6000": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for url, refused := range map[string]bool{
		"https://localhost/": true, "https://LocalHost./": true, "https://x.localhost:1/": true, "https://127.0.0.1:8443/": true,
		"https://127.9.9.9/": true, "https://[::1]/": true, "https://[::ffff:127.0.0.1]/": true, "https://0.0.0.0/": true, "https://[::]/": true,
		"https://169.254.169.254/latest/": true, "https://[fe80::1]/": true, "https://[fe80::1%25eth0]/": true, "https://224.0.0.1/": true,
		"https://10.0.0.1/": false, "https://192.168.1.1/": false, "https://charts.example.com/": false, "https://8.8.8.8/": false,
		"http://localhost:5000/": false, "https://127.0.0.2/": false, "https://127.0.0.3:5000/": false, "https://localhost:6000/": false,
		"https://127.0.0.5:77/": false,
	} {
		req, err := http.NewRequestWithContext(Guard(t.Context(), "127.0.0.5:77"), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := c.transport.choose(req, access{})
		if errors.Is(err, errLocal) != refused || err != nil && !refused {
			t.Errorf("%s: %v", url, err)
		}
		req = req.WithContext(t.Context())
		if other, err := c.transport.choose(req, access{}); err != nil || pool != nil && pool == other && url == "https://8.8.8.8/" {
			t.Errorf("%s, not guarded: the same connections, or %v", url, err)
		}
	}
	for address, refused := range map[string]bool{
		"127.0.0.1:443": true, "[::1]:443": true, "169.254.169.254:80": true, "[fe80::1%lo]:443": true, "[::ffff:127.0.0.1]:1": true, "nonsense": true,
		"10.0.0.1:443": false, "[2001:db8::1]:443": false,
	} {
		if err := checkAddress("tcp", address, nil); (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
}

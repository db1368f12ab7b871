package remote

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Request asks a server that is no registry for one file: the index of a chart
// repository, or an archive.
type Request struct {
	URL   string // http or https
	Limit int64  // of what it may send, in bytes

	// Owner is the URL of the chart repository for which the request is made.
	// Username and Password go to its host alone (CVE-2021-32690), unless
	// PassCredentials sends them wherever its index and redirects lead.
	Owner              string
	Username, Password string
	PassCredentials    bool

	// Files and settings of TLS for this repository, beside those of Options.
	CAFile, CertFile, KeyFile string
	InsecureSkipTLS           bool

	// Named are origins (scheme://host[:port], lower case) that the user named. Only
	// they may be on this machine or its link, and those with http be contacted
	// without TLS.
	Named []string
}

// Get fetches a file by the rules of registries: the same connections, retries,
// redirects and limits of time.
func (c *Client) Get(ctx context.Context, q Request) ([]byte, error) {
	const op = "fetch"
	u, err := url.Parse(q.URL)
	if err != nil {
		return nil, &Error{Op: op, Subject: "(malformed URL)", Kind: Other, Err: errNoHost}
	}
	subject := withoutSecrets(u)
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &Error{Op: op, Subject: subject, Kind: Other, Err: errNoHost}
	}
	p := &peer{client: c, host: strings.ToLower(u.Host), location: subject, charts: true}
	p.credentialsKnown.Store(q.authorizes(u))
	client := &http.Client{
		Transport: &allowed{c.transport, access{
			tls:   tlsFiles{CAFile: q.CAFile, CertFile: q.CertFile, KeyFile: q.KeyFile, Insecure: q.InsecureSkipTLS},
			named: q.Named,
		}},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			q.authorize(req)
			return checkRedirect(req, via)
		},
	}
	var hosts []string
	for _, origin := range q.Named {
		_, host, _ := strings.Cut(origin, "://")
		hosts = append(hosts, host)
	}
	ctx = Guard(ctx, hosts...)
	var data []byte
	err = p.retry(ctx, op, subject, func(ctx context.Context) error {
		data, err = c.get(ctx, client, q)
		return err
	})
	return data, err
}

// get asks once.
func (c *Client) get(ctx context.Context, client *http.Client, q Request) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.URL, nil)
	if err != nil {
		return nil, err
	}
	req.URL.User = nil
	req.Header.Set("User-Agent", c.opts.UserAgent)
	q.authorize(req)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, newStatusError(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, q.Limit+1))
	if err == nil && int64(len(data)) > q.Limit {
		err = refuse("answer is larger than %d MiB", q.Limit>>20)
	}
	return data, err
}

// authorize adds the credentials where they may go, and takes away what an HTTP
// client has carried over a redirect.
func (q *Request) authorize(req *http.Request) {
	req.Header.Del("Authorization")
	if q.authorizes(req.URL) {
		req.SetBasicAuth(q.Username, q.Password)
	}
}

// authorizes reports whether there are credentials, and u may have them.
func (q *Request) authorizes(u *url.URL) bool {
	own, err := url.Parse(q.Owner)
	if err != nil || q.Username == "" && q.Password == "" {
		return false
	}
	return q.PassCredentials || own.Scheme == u.Scheme && strings.EqualFold(own.Host, u.Host)
}

// withoutSecrets is a URL for messages.
func withoutSecrets(u *url.URL) string {
	v := *u
	v.User, v.RawQuery, v.Fragment = nil, "", ""
	return v.String()
}

// allowed sends requests with what they are allowed.
type allowed struct {
	*transport
	may access
}

// RoundTrip implements http.RoundTripper.
func (a *allowed) RoundTrip(req *http.Request) (*http.Response, error) { return a.send(req, a.may) }

// HTTPStatus is the status that the server answered, 0 without an answer.
func (e *Error) HTTPStatus() int { return e.Status }

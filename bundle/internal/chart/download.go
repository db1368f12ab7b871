package chart

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"helm.sh/helm/v3/pkg/repo"
)

// tries is how often a request that failed is made in all, if that can help.
const tries = 3

var errSilent = errors.New("connection went silent")

// get fetches a URL of a repository, at most limit bytes.
func (l *fetcher) get(ctx context.Context, e *repo.Entry, u string, limit int64) ([]byte, error) {
	client, err := l.client(e)
	if err != nil {
		return nil, &RepositoryError{URL: redact(u), Err: err}
	}
	defer client.CloseIdleConnections()
	wait := cmp.Or(l.o.Wait, time.Second)
	for n := 1; ; n++ {
		b, err := l.try(ctx, client, e, u, limit)
		if err == nil || n == tries || !canPass(err) || ctx.Err() != nil {
			return b, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, &RepositoryError{URL: redact(u), Err: ctx.Err()}
		}
		wait *= 2
	}
}

// canPass reports whether the same request may succeed the next time.
func canPass(err error) bool {
	var answer *RepositoryError
	if errors.As(err, &answer) && answer.Status != 0 {
		return answer.Status >= 500 || answer.Status == http.StatusTooManyRequests || answer.Status == http.StatusRequestTimeout
	}
	var late net.Error
	return errors.Is(err, errSilent) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.As(err, &late) && late.Timeout()
}

func (l *fetcher) try(ctx context.Context, client *http.Client, e *repo.Entry, u string, limit int64) ([]byte, error) {
	stall := cmp.Or(l.o.Stall, time.Minute)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	awake := time.AfterFunc(stall, func() { cancel(errSilent) })
	defer awake.Stop()
	fail := func(err error) ([]byte, error) {
		if context.Cause(ctx) == errSilent {
			err = errSilent
		}
		return nil, &RepositoryError{URL: redact(u), Err: withoutURL(err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return fail(err)
	}
	if l.o.UserAgent != "" {
		req.Header.Set("User-Agent", l.o.UserAgent)
	}
	authorize(req, e)
	resp, err := client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &RepositoryError{URL: redact(u), Status: resp.StatusCode}
	}
	b, err := io.ReadAll(io.LimitReader(&heard{resp.Body, awake, stall}, limit+1))
	if err != nil {
		return fail(err)
	}
	if int64(len(b)) > limit {
		return fail(fmt.Errorf("answer is larger than %d MiB", limit>>20))
	}
	return b, nil
}

// heard puts an alarm off with each byte that comes.
type heard struct {
	r     io.Reader
	alarm *time.Timer
	after time.Duration
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.alarm.Reset(h.after)
	}
	return n, err
}

// authorize adds the repository's credentials, to the repository's own host
// alone unless the user wants them passed on (CVE-2021-32690).
func authorize(req *http.Request, e *repo.Entry) {
	req.Header.Del("Authorization")
	own, err := url.Parse(e.URL)
	if err != nil || e.Username == "" && e.Password == "" {
		return
	}
	if e.PassCredentialsAll || own.Scheme == req.URL.Scheme && own.Host == req.URL.Host {
		req.SetBasicAuth(e.Username, e.Password)
	}
}

func (l *fetcher) client(e *repo.Entry) (*http.Client, error) {
	config := &tls.Config{InsecureSkipVerify: e.InsecureSkipTLSverify}
	if e.CAFile != "" {
		pem, err := os.ReadFile(e.CAFile)
		if err != nil {
			return nil, err
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", e.CAFile)
		}
	}
	if e.CertFile != "" && e.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: time.Minute,
		DisableCompression: true, // a .tgz stays as it is
	}
	return &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("too many redirects")
		}
		if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("refuses the redirect from https to %s", redact(req.URL.String()))
		}
		authorize(req, e)
		return nil
	}}, nil
}

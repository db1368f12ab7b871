//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// limits are the programs that do nothing but what cannot be left out.
var limits = map[string]func(args []string) error{
	"limit-export": limitExport,
	"limit-import": limitImport,
	"limit-verify": limitVerify,
	"limit-reread": limitReread,
	"limit-serve":  limitServe,
	"limit-pull":   limitPull,
}

// streams is how many transfers the limit runs at once.
const streams = 4

func readWorkload(path string) (w workload, err error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &w)
	}
	return w, err
}

// limitExport WORKLOAD HOST FILE: get, hash, write at the offset, fsync.
func limitExport(args []string) error {
	w, err := readWorkload(args[0])
	if err != nil {
		return err
	}
	f, err := os.Create(args[2])
	if err != nil {
		return err
	}
	g := new(errgroup.Group)
	g.SetLimit(streams)
	offset := int64(0)
	for _, b := range w.Blobs {
		at := offset
		offset += b.Size
		g.Go(func() error { return limitGet(args[1], b, io.NewOffsetWriter(f, at)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func limitGet(host string, b blob, to io.Writer) error {
	resp, err := http.Get("http://" + host + "/v2/" + b.Repo + "/blobs/" + b.Digest)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buf)
		h.Write(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	return checkSum(h.Sum(nil), b)
}

func checkSum(sum []byte, b blob) error {
	if got := "sha256:" + hex.EncodeToString(sum); got != b.Digest {
		return fmt.Errorf("%s has digest %s", b.Digest, got)
	}
	return nil
}

// limitImport WORKLOAD HOST FILE: read at the offset, hash, POST and PUT. FILE is
// what limitExport wrote.
func limitImport(args []string) error {
	w, err := readWorkload(args[0])
	if err != nil {
		return err
	}
	f, err := os.Open(args[2])
	if err != nil {
		return err
	}
	defer f.Close()
	g := new(errgroup.Group)
	g.SetLimit(streams)
	offset := int64(0)
	for _, b := range w.Blobs {
		content := io.NewSectionReader(f, offset, b.Size)
		offset += b.Size
		g.Go(func() error { return limitPut(args[1], b, content) })
	}
	return g.Wait()
}

func limitPut(host string, b blob, content io.Reader) error {
	resp, err := http.Post("http://"+host+"/v2/"+b.Repo+"/blobs/uploads/", "", nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return err
	}
	q := to.Query()
	q.Set("digest", b.Digest)
	to.RawQuery = q.Encode()
	h := sha256.New()
	req, err := http.NewRequest(http.MethodPut, to.String(), io.TeeReader(content, h))
	if err != nil {
		return err
	}
	req.ContentLength = b.Size
	if resp, err = http.DefaultClient.Do(req); err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("put %s: %s", b.Digest, resp.Status)
	}
	return checkSum(h.Sum(nil), b)
}

// limitVerify FILE: SHA-256 on all cores.
func limitVerify(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	g := new(errgroup.Group)
	n := int64(runtime.GOMAXPROCS(0))
	for i := range n {
		from, to := st.Size()*i/n, st.Size()*(i+1)/n
		g.Go(func() error {
			_, err := io.CopyBuffer(sha256.New(), struct{ io.Reader }{io.NewSectionReader(f, from, to-from)}, make([]byte, 256<<10))
			return err
		})
	}
	return g.Wait()
}

// limitReread FILE: limitVerify of what the device has, and not of what is in memory.
func limitReread(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	return limitVerify(args)
}

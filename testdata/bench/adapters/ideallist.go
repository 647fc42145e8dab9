package adapters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// walk follows the pages of a list; each body is read while the next request is
// already on its way.
func (c *ideal) walk(ctx context.Context, path, scope string, page func([]byte) error) error {
	type got struct {
		body []byte
		err  error
	}
	pages := make(chan got, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(pages)
		for path != "" {
			resp, err := c.do(ctx, call{method: "GET", path: path, scope: scope, want: []int{200}})
			var b []byte
			if err == nil {
				b = make([]byte, max(resp.ContentLength, 0))
				_, err = io.ReadFull(resp.Body, b)
				resp.Body.Close()
				path = ""
				if l := resp.Header.Get("Link"); l != "" {
					path, _, _ = strings.Cut(strings.TrimPrefix(l, "<"), ">")
				}
			} else {
				path = ""
			}
			select {
			case pages <- got{b, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for g := range pages {
		if g.err != nil {
			return g.err
		}
		if err := page(g.body); err != nil {
			return err
		}
	}
	return nil
}

type idealAttrs struct {
	Delete bool `json:"deleteEnabled"`
	Write  bool `json:"writeEnabled"`
	Read   bool `json:"readEnabled"`
	List   bool `json:"listEnabled"`
}

func (c *ideal) ListTags(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	if pageSize == 0 {
		pageSize = 1000
	}
	n := 0
	err := c.walk(ctx, fmt.Sprintf("/acr/v1/%s/_tags?n=%d", repo, pageSize), metaScope(repo), func(b []byte) error {
		var p struct {
			Tags []struct {
				Name    string     `json:"name"`
				Digest  string     `json:"digest"`
				Created time.Time  `json:"createdTime"`
				Updated time.Time  `json:"lastUpdateTime"`
				Attrs   idealAttrs `json:"changeableAttributes"`
			} `json:"tags"`
		}
		err := json.Unmarshal(b, &p)
		n += len(p.Tags)
		return err
	})
	return n, true, err
}

// errStop ends a walk early.
var errStop = errors.New("stop")

// ListManifests walks the list from several places at once: digests are evenly
// spread, and a list can be entered anywhere. (This supposes that the registry
// sorts manifests by digest; a library would have to check that it does.)
func (c *ideal) ListManifests(ctx context.Context, repo string, pageSize int) (int, bool, error) {
	if pageSize == 0 {
		pageSize = 1000
	}
	const lanes = 8
	counts, errs := make([]int, lanes), make([]error, lanes)
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			path := fmt.Sprintf("/acr/v1/%s/_manifests?n=%d", repo, pageSize)
			if lane > 0 {
				path += fmt.Sprintf("&last=sha256:%02x", lane*256/lanes)
			}
			end := fmt.Sprintf("sha256:%02x", (lane+1)*256/lanes)
			if lane == lanes-1 {
				end = "sha256:g"
			}
			errs[lane] = c.walk(ctx, path, metaScope(repo), func(b []byte) error {
				var p struct {
					Manifests []struct {
						Digest    string     `json:"digest"`
						Size      int64      `json:"imageSize"`
						Created   time.Time  `json:"createdTime"`
						Updated   time.Time  `json:"lastUpdateTime"`
						Arch      string     `json:"architecture"`
						OS        string     `json:"os"`
						Type      string     `json:"mediaType"`
						ConfigTyp string     `json:"configMediaType"`
						Tags      []string   `json:"tags"`
						Attrs     idealAttrs `json:"changeableAttributes"`
					} `json:"manifests"`
				}
				if err := json.Unmarshal(b, &p); err != nil {
					return err
				}
				for _, m := range p.Manifests {
					if m.Digest > end {
						return errStop
					}
					counts[lane]++
				}
				return nil
			})
		})
	}
	wg.Wait()
	n := 0
	for lane, err := range errs {
		if err != nil && !errors.Is(err, errStop) {
			return n, true, err
		}
		n += counts[lane]
	}
	return n, true, nil
}

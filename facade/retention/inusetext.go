package retention

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/acrkit/acrkit/facade/acr"
)

// InUseText returns a source that finds the references of the client's registry in any text:
// Kubernetes objects as JSON or YAML, Helm charts, compose files, logs. text opens the text. It is
// called each time the source is read, and its result is closed. An error of its Close is one of
// the source. Do not pass the pipe of a program as it is, because its Close does not say that the
// program failed after some of its output; read all of it with [os/exec.Cmd.Output] first.
//
// If a name has no complete tag or digest, everything in that repository counts as in use. That is
// so for a chart with the tag in another member, for a template, and for a name that is cut short.
func InUseText(c *acr.Client, text func() (io.ReadCloser, error)) InUse {
	host := hostOf(c)
	return reading(text, func(r io.Reader) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			words := bufio.NewScanner(r)
			words.Buffer(make([]byte, 4096), maxWord)
			words.Split(splitWords)
			for words.Scan() {
				for _, reference := range referencesIn(words.Text(), host) {
					if !yield(reference, nil) {
						return
					}
				}
			}
			if err := words.Err(); err != nil {
				yield("", fmt.Errorf("read the text: %w", err))
			}
		}
	})
}

// reading returns a source that opens something, reads it and closes it.
func reading(open func() (io.ReadCloser, error), read func(io.Reader) iter.Seq2[string, error]) InUse {
	return func(context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			r, err := open()
			if err != nil {
				yield("", err)
				return
			}
			end := sync.OnceValue(r.Close)
			defer func() { _ = end() }() // if it was not read to its end, which nobody takes for complete
			for reference, err := range read(r) {
				if !yield(reference, err) || err != nil {
					return
				}
			}
			if err := end(); err != nil {
				yield("", fmt.Errorf("close what names the images in use: %w", err))
			}
		}
	}
}

// maxWord bounds a text without any separator, such as an encoded file in a Kubernetes secret.
const maxWord = 16 << 20

// isReferenceByte reports whether a byte can be part of a reference.
func isReferenceByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-/:@", c) >= 0
}

// splitWords is a bufio.SplitFunc that splits a text at every byte that no reference has.
func splitWords(data []byte, atEOF bool) (advance int, token []byte, err error) {
	start := 0
	for start < len(data) && !isReferenceByte(data[start]) {
		start++
	}
	for end := start; end < len(data); end++ {
		if !isReferenceByte(data[end]) {
			return end + 1, data[start:end], nil
		}
	}
	if atEOF && start < len(data) {
		return len(data), data[start:], nil
	}
	return start, nil, nil
}

// referencesIn returns what a word names of the host's. The characters at the end of a word may be
// those of the text around it, or of a tag: then it names both.
func referencesIn(word, host string) (references []string) {
	at, end := hostIn(strings.ToLower(word), host)
	if at < 0 || strings.HasPrefix(word[end:], "v2/") {
		return nil
	}
	whole := strings.TrimRight(word[end:], ":@/")
	for _, name := range slices.Compact([]string{whole, strings.TrimRight(whole, ".:@/-_")}) {
		repository, tag, d, err := splitReference(name)
		switch {
		case repository == "": // no repository can have this name
		case err != nil || tag == "" && d == "":
			references = append(references, host+"/"+repository+":*")
		default:
			references = append(references, host+"/"+name)
		}
	}
	return slices.Compact(references)
}

// hostIn returns where the registry's host, or that of one of its replicas, begins in a word, and
// where the name behind it does; -1 if there is none.
func hostIn(word, host string) (at, end int) {
	for slash := range len(word) {
		if word[slash] != '/' {
			continue
		}
		for start := strings.LastIndexAny(word[:slash], "/@") + 1; ; {
			if isRegistry(word[start:slash], host) {
				return start, slash + 1
			}
			colon := strings.IndexByte(word[start:slash], ':') // before a port, or behind the name of a member
			if colon < 0 {
				break
			}
			start += colon + 1
		}
	}
	return -1, 0
}

// InUsePulls returns a source that names every image that was pulled. rows opens rows of Azure
// Monitor's table ContainerRegistryRepositoryEvents, as a JSON array or as JSON lines, because the
// registry itself does not report pulls. rows is called each time the source is read, and its
// result is closed; an error of its Close is one of the source.
//
// A node that has an image does not pull it again, so use this together with a source that knows
// what runs.
func InUsePulls(c *acr.Client, rows func() (io.ReadCloser, error)) InUse {
	host := hostOf(c)
	return reading(rows, func(r io.Reader) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for row, err := range eachRow(json.NewDecoder(r)) {
				if err != nil {
					yield("", err)
					return
				}
				reference, err := row.reference(host)
				if err != nil || reference != "" {
					if !yield(reference, err) || err != nil {
						return
					}
				}
			}
		}
	})
}

// pullRow is a row of ContainerRegistryRepositoryEvents.
type pullRow struct {
	OperationName, Repository, Tag, Digest, LoginServer string
}

// reference returns what a row says was pulled, or "" for an event of another kind.
func (r pullRow) reference(host string) (string, error) {
	switch {
	case r.OperationName == "":
		return "", errors.New("a row has no OperationName: it is not of ContainerRegistryRepositoryEvents")
	case !strings.EqualFold(r.OperationName, "Pull"), r.LoginServer != "" && !isRegistry(strings.ToLower(r.LoginServer), host):
		return "", nil
	case r.Repository == "":
		return "", errors.New("a row of a pull has no Repository")
	case r.Digest != "" && r.Tag != "": // who pulls by the tag needs that too
		return host + "/" + r.Repository + ":" + r.Tag + "@" + r.Digest, nil
	case r.Digest != "":
		return host + "/" + r.Repository + "@" + r.Digest, nil
	case r.Tag != "":
		return host + "/" + r.Repository + ":" + r.Tag, nil
	default:
		return host + "/" + r.Repository + ":*", nil
	}
}

// eachRow reads rows, in an array or one after another.
func eachRow(d *json.Decoder) iter.Seq2[pullRow, error] {
	return func(yield func(pullRow, error) bool) {
		for {
			var next json.RawMessage
			err := d.Decode(&next)
			if errors.Is(err, io.EOF) {
				return
			}
			var rows []pullRow
			if err == nil && len(next) > 0 && next[0] == '[' {
				err = json.Unmarshal(next, &rows)
			} else if err == nil {
				rows = make([]pullRow, 1)
				err = json.Unmarshal(next, &rows[0])
			}
			if err != nil {
				yield(pullRow{}, fmt.Errorf("read the rows: %w", err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

package retention

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/partial"
)

// Snapshot writes the state of the repositories to a file: their manifests and tags, with digests,
// times and attributes. Equal states give equal files. [Diff] compares two snapshots.
//
// Snapshot writes a temporary file in the same directory and renames it at the end, so path is
// never an incomplete snapshot. The file has one JSON value per line.
//
// A repository that cannot be read completely is marked as unreadable in the file.
//
// It costs one request for every thousand tags and manifests, and two for each repository. The
// repositories that are being read are in memory.
//
// Errors:
//   - [*os.PathError] or [*os.LinkError] if the file cannot be written
//   - [acr.ErrInvalidArgument] if one of ReadOptions.Repositories is not the name of a repository
//   - those of [acr.Client.Repositories] if the list of repositories cannot be read
//   - the context's error if it ends
func Snapshot(ctx context.Context, c *acr.Client, path string, opts *ReadOptions) error {
	if opts == nil {
		opts = &ReadOptions{}
	}
	ctx, release := c.PinAddress(ctx) // the counts and the lists belong to one replica
	defer release()
	return partial.Write(path, func(w io.Writer) error {
		names, err := namesOf(ctx, c, opts.Repositories)
		if err != nil {
			return err
		}
		r := &reader{client: c, tell: teller(opts.Progress)}
		s := snapshotWriter{json.NewEncoder(w)}
		if err := s.Encode(snapshotLine{Version: snapshotVersion, Registry: c.Endpoint()}); err != nil {
			return err
		}
		for state, err := range inOrder(ctx, names, positive(opts.Concurrency, defaultReads), r.outline) {
			if err == nil {
				err = s.repository(state)
			}
			if err != nil {
				return err
			}
		}
		return s.Encode(snapshotLine{End: true})
	})
}

const snapshotVersion = 1

// snapshotLine is a line of a snapshot: the head, a repository, a manifest, a tag, or the end.
// Those of a repository follow its line: manifests by digest, then tags by name.
type snapshotLine struct {
	Version  int    `json:"version,omitzero"`
	Registry string `json:"registry,omitzero"`

	Repository string      `json:"repository,omitzero"`
	Unreadable RefusalCode `json:"unreadable,omitzero"`

	Manifest    digest.Digest `json:"manifest,omitzero"`
	MediaType   string        `json:"mediaType,omitzero"`
	Quarantined bool          `json:"quarantined,omitzero"`

	Tag    string        `json:"tag,omitzero"`
	Digest digest.Digest `json:"digest,omitzero"`

	Created    time.Time   `json:"created,omitzero"`
	Updated    time.Time   `json:"updated,omitzero"`
	Attributes *attributes `json:"attributes,omitzero"` // those of the registry's default are left out

	End bool `json:"end,omitzero"`
}

// outlined is a repository of a snapshot, or why it cannot be read.
type outlined struct {
	name    string
	state   *state
	refused RefusalCode
	gone    bool
}

// outline reads the lists of a repository.
func (r *reader) outline(ctx context.Context, name string) (outlined, error) {
	s, err := r.untilSteady(ctx, func() (*state, error) { return r.lists(ctx, name) })
	switch refused, gone, err := ending(name, err); {
	case err != nil:
		return outlined{}, err
	case refused != nil:
		return outlined{name: name, refused: refused.Code}, nil
	case gone:
		return outlined{name: name, gone: true}, nil
	}
	r.tell("list", name, len(s.nodes), len(s.nodes))
	return outlined{name: name, state: s}, nil
}

type snapshotWriter struct{ *json.Encoder }

// repository writes the lines of one repository.
func (w snapshotWriter) repository(o outlined) error {
	if o.gone {
		return nil
	}
	if o.state == nil {
		return w.Encode(snapshotLine{Repository: o.name, Unreadable: o.refused})
	}
	s := o.state
	if err := w.Encode(snapshotLine{Repository: s.name, Created: s.created, Attributes: changedAttributes(s.attributes)}); err != nil {
		return err
	}
	for _, n := range s.nodes {
		if err := w.Encode(snapshotLine{
			Manifest: n.digest, MediaType: n.mediaType, Created: n.created, Updated: n.updated,
			Attributes: changedAttributes(n.attributes), Quarantined: n.quarantined,
		}); err != nil {
			return err
		}
	}
	for _, t := range s.tags {
		if err := w.Encode(snapshotLine{
			Tag: t.name, Digest: t.node.digest, Created: t.created, Updated: t.updated, Attributes: changedAttributes(t.attributes),
		}); err != nil {
			return err
		}
	}
	return nil
}

// snapshotReader reads the lines of a snapshot, and checks their order.
type snapshotReader struct {
	lines      *bufio.Reader
	name       string // before or after
	number     int
	repository string
	at         snapshotKey
	line       snapshotLine // the current one
	ended      bool
}

// snapshotKey orders the lines of snapshots.
type snapshotKey struct {
	repository string
	kind       int // 0: the repository, 1: a manifest, 2: a tag
	name       string
}

func (k snapshotKey) compare(o snapshotKey) int {
	for _, d := range []int{strings.Compare(k.repository, o.repository), k.kind - o.kind, strings.Compare(k.name, o.name)} {
		if d != 0 {
			return d
		}
	}
	return 0
}

func openSnapshot(r io.Reader, name string) (*snapshotReader, error) {
	s := &snapshotReader{lines: bufio.NewReaderSize(r, 64<<10), name: name}
	head, err := s.read()
	switch {
	case err != nil:
		return nil, err
	case head.Version != snapshotVersion || head.Registry == "":
		return nil, s.fault("it does not begin as a snapshot of version %d", snapshotVersion)
	}
	return s, s.next()
}

func (s *snapshotReader) fault(format string, args ...any) error {
	return fmt.Errorf("retention: %w: the %s one: line %d: %s", ErrSnapshot, s.name, s.number, fmt.Sprintf(format, args...))
}

// read reads a line.
func (s *snapshotReader) read() (line snapshotLine, err error) {
	s.number++
	text, err := readLine(s.lines)
	switch {
	case errors.Is(err, io.EOF):
		return line, s.fault("it is cut short")
	case errors.Is(err, errLongLine):
		return line, s.fault("%v", err)
	case err != nil:
		return line, fmt.Errorf("retention: read the %s snapshot: %w", s.name, err)
	}
	if err := decodeStrict(text, &line); err != nil {
		return line, s.fault("%v", err)
	}
	return line, nil
}

// next goes to the next line.
func (s *snapshotReader) next() error {
	line, err := s.read()
	if err != nil {
		return err
	}
	if line.End {
		s.ended = true
		if rest, err := s.lines.ReadByte(); !errors.Is(err, io.EOF) {
			return s.fault("something follows the end: %q %v", rest, err)
		}
		return nil
	}
	key := snapshotKey{s.repository, 0, ""}
	kinds := 0
	if line.Repository != "" {
		kinds++
		s.repository = line.Repository
		key.repository = line.Repository
	}
	if line.Manifest != "" {
		kinds++
		key.kind, key.name = 1, string(line.Manifest)
	}
	if line.Tag != "" {
		kinds++
		key.kind, key.name = 2, line.Tag
	}
	if kinds != 1 || key.repository == "" || line.Version != 0 {
		return s.fault("it is none of a repository, a manifest and a tag")
	}
	if !printable(line.Repository + line.Tag + string(line.Unreadable)) {
		return s.fault("a name has a control character")
	}
	for _, d := range []digest.Digest{line.Manifest, line.Digest} {
		if d != "" && d.Validate() != nil {
			return s.fault("%.80q is no digest", d)
		}
	}
	if key.compare(s.at) <= 0 {
		return s.fault("it is out of order")
	}
	s.at, s.line = key, line
	return nil
}

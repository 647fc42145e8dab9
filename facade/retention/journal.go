package retention

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// entry is one line of a journal: the head of a run, what is about to be deleted, or what became of
// it.
type entry struct {
	Version    int            `json:"version,omitzero"` // of the head
	Plan       digest.Digest  `json:"plan,omitzero"`
	Registry   string         `json:"registry,omitzero"`
	At         time.Time      `json:"at"`
	Repository string         `json:"repository,omitzero"`
	Do         string         `json:"do,omitzero"` // delete or untag
	Digest     digest.Digest  `json:"digest,omitzero"`
	Tag        string         `json:"tag,omitzero"`
	MediaType  string         `json:"mediaType,omitzero"`
	Manifest   []byte         `json:"manifest,omitzero"`
	Attributes *attributes    `json:"attributes,omitzero"`
	Tags       []journaledTag `json:"tags,omitzero"`
	Done       string         `json:"done,omitzero"` // of an outcome: deleted, gone, left or restored

	void bool // of an entry that was read: it came to nothing
}

type journaledTag struct {
	Name       string      `json:"name"`
	Attributes *attributes `json:"attributes,omitzero"`
}

// attributes are those of a tag or manifest that differ from the registry's defaults.
type attributes struct {
	DeleteEnabled bool `json:"deleteEnabled"`
	WriteEnabled  bool `json:"writeEnabled"`
	ListEnabled   bool `json:"listEnabled"`
	ReadEnabled   bool `json:"readEnabled"`
}

// tags returns the tags that are deleted with a manifest, or alone.
func (e *entry) tags() []journaledTag {
	if e.Do == doUntag {
		return []journaledTag{{e.Tag, e.Attributes}}
	}
	return e.Tags
}

// changedAttributes returns the attributes if one of them is not the default.
func changedAttributes(a acr.Attributes) *attributes {
	v := attributes(a)
	if v == (attributes{true, true, true, true}) {
		return nil
	}
	return &v
}

func (a *attributes) change() acr.ChangeableAttributes {
	return acr.ChangeableAttributes{DeleteEnabled: &a.DeleteEnabled, WriteEnabled: &a.WriteEnabled, ListEnabled: &a.ListEnabled, ReadEnabled: &a.ReadEnabled}
}

// The outcomes.
const (
	doDelete = "delete"
	doUntag  = "untag"

	outcomeDeleted  = "deleted"
	outcomeGone     = "gone"     // it did not exist any more
	outcomeLeft     = "left"     // it was not deleted after all
	outcomeRestored = "restored" // it was put back
)

const journalVersion = 1

// journal writes entries. What it has not written down is not deleted.
type journal struct {
	mu     sync.Mutex
	w      io.Writer
	clock  *clock
	failed error
}

// write appends entries in one write.
func (j *journal) write(entries ...entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil || len(entries) == 0 {
		return j.failed
	}
	var b bytes.Buffer
	if entries[0].Version > 0 { // the line before may have been cut short
		b.WriteByte('\n')
	}
	encode := json.NewEncoder(&b)
	for _, e := range entries {
		e.At = j.clock.now().Truncate(time.Second)
		before := b.Len()
		if err := encode.Encode(e); err != nil {
			return j.fail(err)
		}
		if b.Len()-before > maxJournalLine {
			return j.fail(errLongLine)
		}
	}
	if _, err := j.w.Write(b.Bytes()); err != nil {
		return j.fail(err)
	}
	return nil
}

// sync has what was written reach the disk, as far as the writer can do that.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f, ok := j.w.(interface{ Sync() error }); ok && j.failed == nil {
		if err := f.Sync(); err != nil && !isNotSyncable(err) {
			return j.fail(err)
		}
	}
	return j.failed
}

func (j *journal) fail(err error) error {
	j.failed = fmt.Errorf("retention: %w: %w", ErrJournal, err)
	return j.failed
}

// maxJournalLine bounds a line of a journal: a manifest of 4 MiB in base64, and its tags, of which
// there may be very many.
const maxJournalLine = 64 << 20

// readJournal reads the entries of a journal. The last line of a run may be cut short: then the
// program was killed while it wrote the line, and before the deletion that the line announces. So
// only the head of another run may follow such a line.
func readJournal(r io.Reader, each func(entry) error) error {
	lines := bufio.NewReaderSize(given(r), 64<<10)
	var cut error  // of the line before
	begun := false // an entry was read
	for n := 1; ; n++ {
		line, err := readLine(lines)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return fmt.Errorf("retention: %w: line %d: %w", ErrJournal, n, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			var e entry
			before := cut
			cut = json.Unmarshal(line, &e)
			if before != nil && (cut != nil || e.Version == 0) {
				return fmt.Errorf("retention: %w: line %d: %w", ErrJournal, n-1, before)
			}
			if cut != nil && !begun && !bytes.HasPrefix(line, []byte("{")) {
				return fmt.Errorf("retention: %w: line %d: this is not the journal that Apply wrote", ErrJournal, n)
			}
			if cut == nil {
				begun = true
				if bad := each(e); bad != nil {
					return fmt.Errorf("retention: %w: line %d: %w", ErrJournal, n, bad)
				}
			}
		}
		if last {
			return nil
		}
	}
}

var errLongLine = fmt.Errorf("more than %d bytes", maxJournalLine)

func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxJournalLine {
			return nil, errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

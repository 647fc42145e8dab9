package retention

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/partial"
)

// FileCache is a [Cache] in a file. It holds all entries in memory, about 200 bytes for each
// manifest and 40 for each of its blobs. Entries that were not used for 90 days are removed. It is
// safe for concurrent use, but only one process at a time may use the file.
type FileCache struct {
	path    string
	mu      sync.Mutex
	entries map[string]cached
	changed bool
}

// cached is an entry.
type cached struct {
	content []byte
	used    int32 // the day when it was last loaded or stored
}

// cacheLine is one line of the file.
type cacheLine struct {
	Key   string          `json:"k"`
	Entry json.RawMessage `json:"e,omitzero"`
	Text  string          `json:"t,omitzero"` // an entry that is not JSON
	Used  int32           `json:"u,omitzero"`
}

// forgetAfter is how many days an entry is kept without being used. To forget too early is safe: the
// manifest is read again, and counts as tagged until now.
const forgetAfter = 90

// today is the number of the day by the local clock.
func today() int32 { return int32(time.Now().Unix() / int64(24*time.Hour/time.Second)) }

// OpenFileCache reads a cache from a file, which need not exist. It ignores lines that it cannot
// read. Anybody who can write to the file decides what is deleted, so protect it.
//
// It fails with an *os.PathError if the file cannot be read.
func OpenFileCache(path string) (*FileCache, error) {
	if path == "" {
		return nil, fmt.Errorf("retention: open the cache: %w", &os.PathError{Op: "open", Path: path, Err: errors.New("not a file name")})
	}
	c := &FileCache{path: path, entries: map[string]cached{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("retention: open the cache: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxJournalLine)
	for lines.Scan() {
		var l cacheLine
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		entry := cached{l.Entry, cmp.Or(l.Used, today())}
		if l.Entry == nil {
			entry.content = []byte(l.Text)
		}
		c.entries[l.Key] = entry
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("retention: read the cache: %w", err)
	}
	return c, nil
}

// Load implements Cache.
func (c *FileCache) Load(key string) (entry []byte, ok bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.entries[key]
	if day := today(); ok && found.used != day {
		found.used, c.changed = day, true
		c.entries[key] = found
	}
	return found.content, ok
}

// Store implements Cache.
func (c *FileCache) Store(key string, entry []byte) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string]cached{}
	}
	c.entries[key] = cached{slices.Clone(entry), today()}
	c.changed = true
}

// Close writes a temporary file and renames it to the path. If that fails, the old file stays, and
// Close returns an *os.PathError.
func (c *FileCache) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return nil
	}
	if err := partial.Write(c.path, c.write); err != nil {
		return fmt.Errorf("retention: write the cache: %w", err)
	}
	c.changed = false
	return nil
}

func (c *FileCache) write(w io.Writer) error {
	encode := json.NewEncoder(w)
	oldest := today() - forgetAfter
	maps.DeleteFunc(c.entries, func(_ string, entry cached) bool { return entry.used < oldest })
	for _, key := range slices.Sorted(maps.Keys(c.entries)) {
		entry := c.entries[key]
		l := cacheLine{Key: key, Used: entry.used}
		if json.Valid(entry.content) {
			l.Entry = entry.content
		} else {
			l.Text = string(entry.content)
		}
		if err := encode.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

package retention

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/acrkit/acrkit/facade/internal/partial"
)

// FileCache is a [Cache] in a file. It holds all entries in memory, about 200 bytes for each
// manifest and 40 for each of its blobs. It is safe for concurrent use, and for one process at a
// time.
type FileCache struct {
	path    string
	mu      sync.Mutex
	entries map[string][]byte
	changed bool
}

// cacheLine is one line of the file.
type cacheLine struct {
	Key   string          `json:"k"`
	Entry json.RawMessage `json:"e,omitzero"`
	Text  string          `json:"t,omitzero"` // an entry that is not JSON
}

// OpenFileCache reads a cache from a file, which need not exist. A line that cannot be read is left
// out. Anybody who can write to the file decides what is deleted, so it must not be writable for
// others.
//
// It fails with an *os.PathError if the file cannot be read.
func OpenFileCache(path string) (*FileCache, error) {
	if path == "" {
		return nil, fmt.Errorf("retention: open the cache: %w", &os.PathError{Op: "open", Path: path, Err: errors.New("not a file name")})
	}
	c := &FileCache{path: path, entries: map[string][]byte{}}
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
		c.entries[l.Key] = l.Entry
		if l.Entry == nil {
			c.entries[l.Key] = []byte(l.Text)
		}
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
	entry, ok = c.entries[key]
	return entry, ok
}

// Store implements Cache.
func (c *FileCache) Store(key string, entry []byte) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string][]byte{}
	}
	c.entries[key] = slices.Clone(entry)
	c.changed = true
}

// Close writes the file: beside the old one, and then in its place. It fails with an *os.PathError
// if that is not possible; then the old file stays.
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
	for _, key := range slices.Sorted(maps.Keys(c.entries)) {
		l := cacheLine{Key: key}
		if entry := c.entries[key]; json.Valid(entry) {
			l.Entry = entry
		} else {
			l.Text = string(entry)
		}
		if err := encode.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
)

// journal is the metadata of a directory: one line for each change, "CHECKSUM JSON", appended by a
// single write before the change is made and acknowledged. The checksum of a line goes on from that
// of the line before, so that a line that is missing or out of its place is found; lines missing at
// the end are not. A process that is killed leaves at most
// a part of a last line, which was never acknowledged; the next start cuts it off. The loss of
// power, other than the loss of the process, may cost the last changes and, where the file system
// writes a later part of a file before an earlier one, the journal; unless the disk is waited for.
type journal struct {
	f      *os.File
	disk   disk
	size   int64 // up to the end of the last good line
	lines  int
	sum    uint32 // checksum of the last good line
	buf    bytes.Buffer
	broken error
}

// openJournal reads the journal at path, if there is one, through apply, and opens it for more.
func openJournal(path string, d disk, apply func(*record)) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{f: f, disk: d}
	if err := j.replay(apply); err != nil {
		_ = f.Close() // nothing was written to it
		return nil, err
	}
	return j, nil
}

func (j *journal) replay(apply func(*record)) error {
	r := bufio.NewReaderSize(j.f, 1<<20)
	var long []byte
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if long != nil {
			line = append(long, line...)
			long = nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if j.lines == 0 && !beginsLine(line) {
			return fmt.Errorf("%w: %s", ErrForeign, j.f.Name())
		}
		if err != nil {
			return j.f.Truncate(j.size) // a part of a line that no one was told of
		}
		rec, sum, err := parseLine(line, j.sum)
		if err != nil {
			return fmt.Errorf("%w: %s:%d: %w", ErrCorrupt, j.f.Name(), j.lines+1, err)
		}
		apply(rec)
		j.sum = sum
		j.size += int64(len(line))
		j.lines++
	}
}

// beginsLine says whether the bytes can be a line, or the first part of one, that the journal
// wrote. Zeros are what the loss of power leaves of one.
func beginsLine(line []byte) bool {
	for i, b := range line[:min(len(line), 10)] {
		hex := b >= '0' && b <= '9' || b >= 'a' && b <= 'f'
		if ok := i < 8 && hex || i == 8 && b == ' ' || i == 9 && b == '{' || b == 0; !ok {
			return false
		}
	}
	return true
}

// parseLine reads a line that follows one with the checksum before, and returns its own.
func parseLine(line []byte, before uint32) (*record, uint32, error) {
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok {
		return nil, 0, errors.New("no checksum")
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != chained(before, body) {
		return nil, 0, errors.New("wrong checksum: the line is damaged, or the one before it is missing")
	}
	rec := new(record)
	return rec, uint32(want), json.Unmarshal(body, rec)
}

// writeLine writes a line that follows one with the checksum before, and returns its own.
func writeLine(w *bytes.Buffer, rec *record, before uint32) (uint32, error) {
	body, err := json.Marshal(rec)
	if err != nil {
		return 0, err
	}
	sum := chained(before, body)
	fmt.Fprintf(w, "%08x ", sum)
	w.Write(body)
	w.WriteByte('\n')
	return sum, nil
}

func chained(before uint32, body []byte) uint32 { return crc32.Update(before, crc32.IEEETable, body) }

// append writes one line whole. After an error the change must not be made.
func (j *journal) append(rec *record) error {
	if j.broken != nil {
		return j.broken
	}
	j.buf.Reset()
	sum, err := writeLine(&j.buf, rec, j.sum)
	if err != nil {
		return err
	}
	if _, err := j.f.WriteAt(j.buf.Bytes(), j.size); err != nil {
		// The next line is written over what there is of this one. What could not be cut off would
		// be read as a line, so without the cut there are no further lines.
		if cut := j.f.Truncate(j.size); cut != nil {
			j.broken = err
		}
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.disk.file(j.f); err != nil {
		j.broken = fmt.Errorf("write journal: %w", err) // what of it is on the disk is not known
		return j.broken
	}
	j.size += int64(j.buf.Len())
	j.lines++
	j.sum = sum
	if j.buf.Cap() > 1<<20 {
		j.buf = bytes.Buffer{} // a large manifest is rare
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

// compact puts a journal that says the same in fewer lines in the place of the one at path.
func compact(path string, d disk, s *state) error {
	return d.replace(path, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		var line bytes.Buffer
		var sum uint32
		for rec := range s.records() {
			line.Reset()
			next, err := writeLine(&line, rec, sum)
			if err != nil {
				return err
			}
			sum = next
			if _, err := b.Write(line.Bytes()); err != nil {
				return err
			}
		}
		return b.Flush()
	})
}

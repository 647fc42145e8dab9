package partial

import (
	"bufio"
	"errors"
	"io"
)

// Write writes a file whole or not at all: write fills a hidden file beside it, which gets its name
// when everything is on the disk. Until then, and if something fails, the old file stays.
//
// It fails with the error of write, or with an *os.PathError or *os.LinkError.
func Write(path string, write func(io.Writer) error) error {
	folder, base, err := split(anywhere{}, path)
	if err != nil {
		return err
	}
	f, err := create(anywhere{}, folder, base)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	if err = write(b); err == nil {
		err = errors.Join(b.Flush(), f.Sync())
	}
	if err == nil {
		err = rename(f, path)
	}
	if err != nil {
		discard(f)
		return err
	}
	syncDirectory(anywhere{}, folder)
	return nil
}

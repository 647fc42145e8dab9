package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFile holds the signing key, of keySize bytes.
const (
	keyFile = "key"
	keySize = 32
)

// Keep returns what the file of that name in the directory holds. One that is not there is made,
// with the given content; in memory the content is all there is.
func (st *Store) Keep(name string, fresh []byte) ([]byte, error) {
	if st.tree == nil {
		return fresh, nil
	}
	path := filepath.Join(st.tree.root, name)
	kept, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	err = st.tree.disk.replace(path, func(w io.Writer) error {
		_, err := w.Write(fresh)
		return err
	})
	if err == nil {
		err = st.tree.disk.directories(st.tree.root)
	}
	return fresh, err
}

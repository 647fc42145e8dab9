package partial

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
)

// directory is where names of files lead to: a part of the file system, as an *os.Root, or all of it.
type directory interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Lstat(name string) (fs.FileInfo, error)
	Stat(name string) (fs.FileInfo, error)
	Rename(oldname, newname string) error
	Remove(name string) error
}

// anywhere is the whole file system.
type anywhere struct{}

// OpenFile is os.OpenFile.
func (anywhere) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// Lstat is os.Lstat.
func (anywhere) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// Stat is os.Stat.
func (anywhere) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Rename is os.Rename.
func (anywhere) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// Remove is os.Remove.
func (anywhere) Remove(name string) error { return os.Remove(name) }

// file is an open file of a directory, and its name there. The name of an *os.File of an *os.Root leads
// past the root.
type file struct {
	*os.File

	dir  directory
	name string
}

// create makes a new hidden file beside the one whose name begins with base.
func create(dir directory, folder, base string) (*file, error) {
	name := filepath.Join(folder, "."+base+"."+rand.Text()+".partial")
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{f, dir, name}, nil
}

// syncDirectory makes a rename durable.
func syncDirectory(dir directory, folder string) {
	d, err := dir.OpenFile(folder, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	_ = d.Sync() // not every system can
	_ = d.Close()
}

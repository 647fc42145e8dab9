package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	artifactType    = "application/vnd.acrkit.tour.v1"
	mediaTypeFile   = "application/vnd.acrkit.tour.file.v1"
	mediaTypePacked = ocispec.MediaTypeImageLayer

	bigFile     = 1 << 20 // files from this size on travel as layers of their own,
	maxBigFiles = 8       // but at most so many: an artifact of a thousand layers helps no one
)

// file is one file to be packed.
type file struct {
	name string // slash-separated, within the artifact
	path string // on disk
	size int64
	mode fs.FileMode
	sum  digest.Digest // of the content, as it was packed
}

// layer is what becomes one blob.
type layer struct {
	title     string
	mediaType string
	path      string
	size      int64
	files     int
}

// collect lists the regular files below dir under prefix. Version control and links are left out.
func collect(dir, prefix string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != dir && (d.Name() == ".git" || d.Name() == ".hg" || d.Name() == ".svn"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		files = append(files, file{name: path.Join(prefix, filepath.ToSlash(rel)), path: p, size: info.Size(), mode: info.Mode().Perm()})
		return nil
	})
	return files, err
}

// ownFiles is what the tour packs by itself: the sources of this module, the emulator built from them, and the tour's own program.
func ownFiles(ctx context.Context, scratch string) ([]file, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	files, err := collect(root, "src")
	if err != nil {
		return nil, err
	}
	emulator := filepath.Join(scratch, "acrtest")
	build := exec.CommandContext(ctx, "go", "build", "-o", emulator, "./facade/cmd/acrtest")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the emulator: %w\n%s", err, out)
	}
	tour, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for name, path := range map[string]string{"bin/acrtest": emulator, "bin/tour": tour} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: name, path: path, size: info.Size(), mode: info.Mode().Perm()})
	}
	return files, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find this module's sources: %w (name a directory with -dir)", err)
	}
	goMod := strings.TrimSpace(string(out))
	text, err := os.ReadFile(goMod)
	if err != nil || !strings.HasPrefix(string(text), "module github.com/acrkit/acrkit\n") {
		return "", errors.New("the tour was not started in this module's sources: name a directory with -dir")
	}
	return filepath.Dir(goMod), nil
}

// pack divides files into layers: the biggest as they are, the rest in one tar, which is written to scratch. Of each file it
// notes what was packed: it may be edited while the tour is under way.
func pack(files []file, scratch string) (layers []layer, err error) {
	if len(files) == 0 {
		return nil, errors.New("there are no files to pack")
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name)) })
	big := 0
	for ; big < len(files) && big < maxBigFiles && files[big].size >= bigFile; big++ {
		f := &files[big]
		if f.size, f.sum, err = copyFile(io.Discard, f.path); err != nil {
			return nil, err
		}
		layers = append(layers, layer{title: f.name, mediaType: mediaTypeFile, path: f.path, size: f.size, files: 1})
	}
	small := files[big:]
	if len(small) == 0 {
		return layers, nil
	}
	slices.SortFunc(small, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	packed, err := os.CreateTemp(scratch, "packed-*.tar")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	if err := writeTar(packed, small); err != nil {
		return nil, err
	}
	size, err := packed.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	l := layer{title: "small-files.tar", mediaType: mediaTypePacked, path: packed.Name(), size: size, files: len(small)}
	return append(layers, l), nil
}

// writeTar writes names, modes and contents, and no more: the same files make the same bytes.
func writeTar(w io.Writer, files []file) error {
	tw := tar.NewWriter(w)
	for i := range files {
		if err := tarFile(tw, &files[i]); err != nil {
			return fmt.Errorf("pack %s: %w", files[i].name, err)
		}
	}
	return tw.Close()
}

func tarFile(tw *tar.Writer, f *file) (err error) {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	info, err := r.Stat() // it may have grown since it was listed
	if err != nil {
		return err
	}
	f.size = info.Size()
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: f.size, Mode: int64(f.mode)}); err != nil {
		return err
	}
	sum := digest.Canonical.Digester()
	_, err = io.CopyN(io.MultiWriter(tw, sum.Hash()), r, f.size)
	f.sum = sum.Digest()
	return err
}

// copyFile writes a file's content to w, and says how much it was and what.
func copyFile(w io.Writer, name string) (int64, digest.Digest, error) {
	r, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	sum := digest.Canonical.Digester()
	n, err := io.Copy(io.MultiWriter(w, sum.Hash()), r)
	return n, sum.Digest(), errors.Join(err, r.Close())
}

// unpack writes the files of a tar below dir; the root keeps what the tar names inside.
func unpack(tarFile, dir string) (err error) {
	r, err := os.Open(tarFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is no regular file", h.Name)
		}
		if err := unpackFile(root, h, tr); err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, h *tar.Header, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(h.Name), 0o750); err != nil {
		return err
	}
	f, err := root.OpenFile(filepath.FromSlash(h.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode)&fs.ModePerm)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, r, h.Size)
	return errors.Join(err, f.Close())
}

// compare demands that dir holds exactly these files, byte for byte, and returns how many bytes that are.
func compare(files []file, dir string) (total int64, err error) {
	found, err := collect(dir, "")
	if err != nil {
		return 0, err
	}
	if len(found) != len(files) {
		return 0, fmt.Errorf("%d files came back of %d", len(found), len(files))
	}
	for _, f := range files {
		n, sum, err := copyFile(io.Discard, filepath.Join(dir, filepath.FromSlash(f.name)))
		switch {
		case err != nil:
			return total, err
		case n != f.size || sum != f.sum:
			return total, fmt.Errorf("%s came back with other content", f.name)
		}
		total += n
	}
	return total, nil
}

package acr

import "fmt"

// These types are at work while they may be printed, and hold where an upload or a download goes on, which is a credential: only what
// never changes is shown, by whatever verb.

// String names the blob.
func (b *BlobReader) String() string { return "acr.BlobReader(" + string(b.dgst) + ")" }

// GoString is String.
func (b *BlobReader) GoString() string { return b.String() }

// Format prints String for every verb.
func (b *BlobReader) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// String names the blob.
func (b *BlobReaderAt) String() string { return "acr.BlobReaderAt(" + string(b.source.dgst) + ")" }

// GoString is String.
func (b *BlobReaderAt) GoString() string { return b.String() }

// Format prints String for every verb.
func (b *BlobReaderAt) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// String names the repository.
func (b *BlobWriter) String() string { return "acr.BlobWriter(" + b.session.r.name + ")" }

// GoString is String.
func (b *BlobWriter) GoString() string { return b.String() }

// Format prints String for every verb.
func (b *BlobWriter) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

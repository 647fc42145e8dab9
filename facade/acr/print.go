package acr

import (
	"fmt"
	"log/slog"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

// These types are at work while they may be printed, and hold credentials or where an upload or a download goes on, which is one too: only
// what never changes is shown, by whatever verb.

// String names the registry by its URL; however a client is printed, no credential is shown.
func (c *Client) String() string { return "acr.Client(" + c.login.String() + ")" }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// Format prints String for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue is String, for log/slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String names the repository.
func (r *Repository) String() string { return "acr.Repository(" + wire.OneLine(r.name) + ")" }

// GoString is String.
func (r *Repository) GoString() string { return r.String() }

// Format prints String for every verb.
func (r *Repository) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

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

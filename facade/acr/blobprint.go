package acr

// These types are at work while they may be printed: only what never changes is shown.

// String names the blob.
func (b *BlobReader) String() string { return "acr.BlobReader(" + string(b.dgst) + ")" }

// GoString is String.
func (b *BlobReader) GoString() string { return b.String() }

// String names the blob.
func (b *BlobReaderAt) String() string { return "acr.BlobReaderAt(" + string(b.source.dgst) + ")" }

// GoString is String.
func (b *BlobReaderAt) GoString() string { return b.String() }

// String names the repository.
func (b *BlobWriter) String() string { return "acr.BlobWriter(" + b.session.r.name + ")" }

// GoString is String.
func (b *BlobWriter) GoString() string { return b.String() }

// Package adapter is the interface between the workloads and the libraries under test.
//
// A library is one file in package adapters that implements Client. A method for something that
// the library cannot do returns ErrUnsupported, and the table has no figure there.
package adapter

import (
	"context"
	"errors"
	"io"
)

// ErrUnsupported says that the library has no way to do the operation.
var ErrUnsupported = errors.New("not supported by this library")

// Target tells an adapter where the registry is and how to sign in.
type Target struct {
	Endpoint     string `json:"endpoint"`      // https://host:port
	Host         string `json:"host"`          // host:port
	EntraToken   string `json:"entra_token"`   // for libraries that do the Entra exchange themselves
	RefreshToken string `json:"refresh_token"` // ACR refresh token, for those that cannot
	AccessToken  string `json:"access_token"`  // valid for everything; only for the raw limits
	Chunk        int64  `json:"chunk"`         // upload chunk size in bytes; 0 is the library's default
	TempDir      string `json:"temp_dir"`      // where spooling may happen
	Concurrency  int    `json:"concurrency"`   // pages of a list requested at a time, where the library can
}

// Descriptor is what is known of a blob. A zero Digest means unknown.
type Descriptor struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Client is one library, set up for one registry, as its documentation advises:
// its own default transport, retries, concurrency and buffer sizes. Trust in the
// test server's certificate comes from SSL_CERT_FILE, so adapters do not touch
// the transport.
type Client interface {
	// UploadFile uploads the file as a blob. If d.Digest is empty the digest has
	// to be computed, and that is part of the measured work.
	UploadFile(ctx context.Context, repo, path string, d Descriptor) error
	// UploadStream uploads a stream of unknown length and digest that cannot seek.
	UploadStream(ctx context.Context, repo string, r io.Reader) error
	// DownloadFile downloads the blob to path, verifying its digest.
	DownloadFile(ctx context.Context, repo string, d Descriptor, path string) error
	// ListTags and ListManifests walk all pages and return how many entries they
	// saw. full is true if the entries came with their ACR properties and false
	// if only with names. pageSize 0 is the library's default.
	ListTags(ctx context.Context, repo string, pageSize int) (n int, full bool, err error)
	ListManifests(ctx context.Context, repo string, pageSize int) (n int, full bool, err error)
	// PushImage pushes the only image of the OCI layout in dir as repo:tag.
	PushImage(ctx context.Context, repo, tag, dir string) error
	// PullImage pulls repo:tag into dir so that every blob lies verified in
	// dir/blobs/sha256/HEX.
	PullImage(ctx context.Context, repo, tag, dir string) error
	// CopyImage copies an image from one repository of the registry to another.
	CopyImage(ctx context.Context, from, to, tag string) error
	// MirrorTags brings all tags of one repository to another one of the registry and returns how many there are.
	MirrorTags(ctx context.Context, from, to string) (int, error)
	// PlanDeletions says of each manifest of a repository whether it can be deleted and why, deletes nothing, and
	// returns how many manifests it has judged.
	PlanDeletions(ctx context.Context, repo string) (int, error)
	// HeadManifest returns the digest of a tag with the cheapest call there is.
	HeadManifest(ctx context.Context, repo, tag string) (string, error)
	// ManifestProperties gets one manifest's properties (or, in a library without
	// the ACR API, does a HEAD of it). It is called concurrently.
	ManifestProperties(ctx context.Context, repo, digest string) error
}

// Unsupported implements every method of Client by returning ErrUnsupported. Adapters embed it for
// the methods that their library lacks.
type Unsupported struct{}

// UploadFile returns ErrUnsupported.
func (Unsupported) UploadFile(context.Context, string, string, Descriptor) error {
	return ErrUnsupported
}

// UploadStream returns ErrUnsupported.
func (Unsupported) UploadStream(context.Context, string, io.Reader) error { return ErrUnsupported }

// DownloadFile returns ErrUnsupported.
func (Unsupported) DownloadFile(context.Context, string, Descriptor, string) error {
	return ErrUnsupported
}

// ListTags returns ErrUnsupported.
func (Unsupported) ListTags(context.Context, string, int) (int, bool, error) {
	return 0, false, ErrUnsupported
}

// ListManifests returns ErrUnsupported.
func (Unsupported) ListManifests(context.Context, string, int) (int, bool, error) {
	return 0, false, ErrUnsupported
}

// PushImage returns ErrUnsupported.
func (Unsupported) PushImage(context.Context, string, string, string) error { return ErrUnsupported }

// PullImage returns ErrUnsupported.
func (Unsupported) PullImage(context.Context, string, string, string) error { return ErrUnsupported }

// CopyImage returns ErrUnsupported.
func (Unsupported) CopyImage(context.Context, string, string, string) error { return ErrUnsupported }

// MirrorTags returns ErrUnsupported.
func (Unsupported) MirrorTags(context.Context, string, string) (int, error) { return 0, ErrUnsupported }

// PlanDeletions returns ErrUnsupported.
func (Unsupported) PlanDeletions(context.Context, string) (int, error) { return 0, ErrUnsupported }

// HeadManifest returns ErrUnsupported.
func (Unsupported) HeadManifest(context.Context, string, string) (string, error) {
	return "", ErrUnsupported
}

// ManifestProperties returns ErrUnsupported.
func (Unsupported) ManifestProperties(context.Context, string, string) error { return ErrUnsupported }

// Factory makes a Client for a target.
type Factory func(Target) (Client, error)

package acr

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/gen"
)

// What Microsoft's command line asks for; no other format is known.
const (
	conversionFormat  = "overlaybd"
	conversionVersion = "v1"
)

// StreamingProperties are a repository's settings of artifact streaming.
type StreamingProperties struct {
	ConvertPushedImages bool   // images are converted when they are pushed
	ConversionFormat    string // such as "overlaybd"; may be empty if images are not converted
	ConversionVersion   string // such as "v1"
}

// Streaming returns the repository's settings of artifact streaming: images are converted to a
// format that lets a node start a container before the whole image is pulled. It costs one request.
//
// Preview: artifact streaming is not part of a published API version and may change. It needs a
// Premium registry.
//
// Errors:
//   - [ErrUnsupported] or [ErrNotFound] if the registry's tier does not offer artifact streaming
//   - [ErrNotFound] if the repository does not exist
//   - [ErrInvalidArgument] if the repository name is invalid
func (r *Repository) Streaming(ctx context.Context) (StreamingProperties, error) {
	if r.bad() != nil {
		return StreamingProperties{}, r.bad()
	}
	return readDocument(ctx, r.client, opGetStreaming, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetStreaming(ctx, r.name)
	}, decodeStreaming)
}

// UpdateStreaming sets whether images are converted when they are pushed, and returns the
// settings. It costs one request. Images that are already in the repository are not converted;
// see [Repository.StartConversion].
//
// Preview: see [Repository.Streaming].
//
// Errors are those of [Repository.Streaming].
func (r *Repository) UpdateStreaming(ctx context.Context, convertPushedImages bool) (StreamingProperties, error) {
	if r.bad() != nil {
		return StreamingProperties{}, r.bad()
	}
	body := gen.StreamingUpdate{ConvertPushedImages: convertPushedImages, ConversionFormat: conversionFormat, ConversionVersion: conversionVersion}
	return readDocument(ctx, r.client, opUpdateStreaming, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.UpdateStreaming(ctx, r.name, body)
	}, decodeStreaming)
}

// Conversion is a handle for the conversion of an image for artifact streaming (see
// [Repository.Streaming]). The registry runs the conversion. Keep its ID to create the handle again
// with [Repository.Conversion]. It is safe for concurrent use.
type Conversion struct {
	repository *Repository
	id         string
	err        error // what is wrong with the id
}

// StartConversion starts the conversion of an image for artifact streaming, and returns without
// waiting for it. The result is a referrer of the image, of the artifact type
// "application/vnd.azure.artifact.streaming.v1". It costs one request.
//
// The service does not document what happens if the image has already been converted. To find out
// first, call [Repository.Referrers] and [Repository.LastConversion]. If the response is lost, the
// client repeats the request, which may start a second conversion.
//
// Preview: see [Repository.Streaming].
//
// Errors:
//   - [ErrUnsupported] or [ErrNotFound] if the registry's tier does not offer artifact streaming
//   - [ErrNotFound] if the image does not exist
//   - [ErrInvalidArgument] if the repository name or digest is invalid
func (r *Repository) StartConversion(ctx context.Context, dgst digest.Digest) (*Conversion, error) {
	return r.conversionOf(ctx, opStartConversion, dgst, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.StartConversion(ctx, r.name, dgst, gen.ConversionRequest{ConversionFormat: conversionFormat, ConversionVersion: conversionVersion})
	})
}

// LastConversion returns the last conversion of an image, which may have ended. It costs one
// request.
//
// Preview: see [Repository.Streaming].
//
// Errors:
//   - [ErrNotFound] if the image was never converted, or does not exist
//   - [ErrInvalidArgument] if the repository name or digest is invalid
func (r *Repository) LastConversion(ctx context.Context, dgst digest.Digest) (*Conversion, error) {
	return r.conversionOf(ctx, opGetConversion, dgst, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetConversion(ctx, r.name, dgst)
	})
}

// conversionOf sends a request whose response names a conversion.
func (r *Repository) conversionOf(ctx context.Context, op *operation, dgst digest.Digest, send func(context.Context) (*http.Response, error)) (*Conversion, error) {
	if r.bad() != nil {
		return nil, r.bad()
	}
	if err := checkDigest(dgst); err != nil {
		return nil, err
	}
	id, err := readDocument(ctx, r.client, op, r.name, send, decodeConversion)
	if err != nil {
		return nil, err
	}
	return &Conversion{repository: r, id: id}, nil
}

// Conversion returns a handle for the conversion with this ID, as Conversion.ID returned it. No
// request is sent. If the ID is invalid, the first method that is called fails with
// [ErrInvalidArgument].
func (r *Repository) Conversion(id string) *Conversion {
	c := &Conversion{repository: r, id: id}
	if !operationID.MatchString(id) {
		c.err = badArgument("id", id, "not the ID of a conversion")
	}
	if r.bad() != nil {
		c.err = r.bad()
	}
	return c
}

// operationID is the form of an ID that needs no escape in a path.
var operationID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// bad returns what is wrong with the handle.
func (c *Conversion) bad() error {
	if c == nil || c.repository == nil && c.err == nil {
		return unmade("Conversion")
	}
	return c.err
}

// ID returns what identifies the conversion within its repository.
func (c *Conversion) ID() string {
	if c == nil {
		return ""
	}
	return c.id
}

// String returns the ID in the form "acr.Conversion(ID)".
func (c *Conversion) String() string { return "acr.Conversion(" + redact.OneLine(c.ID()) + ")" }

// Format prints String for every verb.
func (c *Conversion) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// ConversionState is the state of a conversion. A conversion with a state that is not listed here
// has not ended.
type ConversionState string

// The states of a conversion. The last three are final.
const (
	ConversionNotStarted ConversionState = "NotStarted"
	ConversionRunning    ConversionState = "Running"
	ConversionSucceeded  ConversionState = "Succeeded"
	ConversionFailed     ConversionState = "Failed"
	ConversionCanceled   ConversionState = "Canceled"
)

// ConversionStatus is what the registry reports of a conversion.
type ConversionStatus struct {
	State     ConversionState
	Resource  string    // the image, as "name@digest"
	StartTime time.Time // zero if the registry does not say
	Progress  string    // such as "40%"
	Details   string    // a sentence for people
}

// Done reports whether the conversion has ended: it succeeded, failed or was canceled.
func (s ConversionStatus) Done() bool {
	return s.State == ConversionSucceeded || s.State == ConversionFailed || s.State == ConversionCanceled
}

// Poll returns the status of the conversion. It costs one request.
//
// Errors:
//   - [ErrNotFound] if the repository has no such conversion
//   - [ErrInvalidArgument] if the repository name or ID is invalid
func (c *Conversion) Poll(ctx context.Context) (ConversionStatus, error) {
	return c.status(ctx, opGetOperation, func(ctx context.Context) (*http.Response, error) {
		return c.repository.client.gen.GetOperation(ctx, c.repository.name, c.id)
	})
}

// Cancel ends the conversion and returns its status. It costs one request. The service does not
// document its response for a conversion that has already ended.
//
// Errors are those of [Conversion.Poll].
func (c *Conversion) Cancel(ctx context.Context) (ConversionStatus, error) {
	return c.status(ctx, opCancelOperation, func(ctx context.Context) (*http.Response, error) {
		return c.repository.client.gen.CancelOperation(ctx, c.repository.name, c.id)
	})
}

func (c *Conversion) status(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error)) (ConversionStatus, error) {
	if c.bad() != nil {
		return ConversionStatus{}, c.bad()
	}
	return readDocument(ctx, c.repository.client, op, c.repository.name, send, decodeOperation)
}

// How often Wait asks. Conversions take minutes; Microsoft's command line asks every 5 to 21
// seconds.
const (
	firstPoll = 250 * time.Millisecond
	lastPoll  = 20 * time.Second
)

// Wait polls until the conversion has ended, and returns its last status. It costs one request
// at once and then more at growing intervals, from 250 ms to 20 seconds. ctx limits the time.
// If ctx ends, the conversion continues.
//
// Errors:
//   - an error that matches ErrorCode("Failed") or ErrorCode("Canceled") with errors.Is, if the
//     conversion ended in that state
//   - [context.Canceled] or [context.DeadlineExceeded] if ctx ended
//   - the errors of [Conversion.Poll] if a request fails
func (c *Conversion) Wait(ctx context.Context) (ConversionStatus, error) {
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		s, err := c.Poll(ctx)
		switch {
		case err != nil:
			return s, err
		case s.State == ConversionSucceeded:
			return s, nil
		case s.Done():
			return s, opGetOperation.fail(fmt.Errorf("conversion %s: %w: %s", c.id, ErrorCode(s.State), shown(s.Details, 512)))
		}
		if err := wait.Sleep(ctx, pause); err != nil {
			return s, opGetOperation.fail(fmt.Errorf("waiting for conversion %s, which is %s: %w", c.id, shown(string(s.State), 64), err))
		}
	}
}

func decodeStreaming(document []byte) (p StreamingProperties, err error) {
	s := jsonscan.New(document)
	found := false
	err = s.Document(func(k []byte) {
		switch string(k) {
		case "convertPushedImages":
			p.ConvertPushedImages, found = s.Bool(false), true
		case "conversionFormat":
			p.ConversionFormat = reported(s)
		case "conversionVersion":
			p.ConversionVersion = reported(s)
		default:
			s.Skip()
		}
	})
	if err == nil && !found {
		err = lacks("convertPushedImages")
	}
	return p, err
}

// decodeConversion reads the ID of a conversion.
func decodeConversion(document []byte) (id string, err error) {
	s := jsonscan.New(document)
	err = s.Document(func(k []byte) {
		if string(k) == "id" {
			id = string(s.Text())
			return
		}
		s.Skip()
	})
	if err == nil && !operationID.MatchString(id) {
		err = contradicts(ErrMalformedReply, "%s is not the ID of an operation", quote(id))
	}
	return id, err
}

func decodeOperation(document []byte) (p ConversionStatus, err error) {
	s := jsonscan.New(document)
	err = s.Document(func(k []byte) {
		switch string(k) {
		case "status":
			p.State = ConversionState(reported(s))
		case "resource":
			p.Resource = reported(s)
		case "startTime":
			p.StartTime = s.Time()
		case "progress":
			p.Progress = reported(s)
		case "details":
			p.Details = redact.OneLine(string(s.Text()))
		default:
			s.Skip()
		}
	})
	if err == nil && p.State == "" {
		err = lacks("status")
	}
	return p, err
}

package acr

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/gen"
)

const (
	maxQuery     = 64 << 10 // bytes of the text of a query
	maxSkipToken = 16 << 10 // bytes of what stands for the next page; it is sent back
)

// QueryMetadata runs a query over the manifests of all repositories, on a registry with metadata
// search. The query is in the Kusto Query Language, and Manifests is its table:
//
//	Manifests | where imageSize > 1000000000 | project repository, digest, imageSize
//
// Each row is a JSON object with the members that the query asks for. Decode it with encoding/json.
// QueryMetadata sends no request before the first iteration, and then one for each page. The
// registry allows about ten queries per second.
//
// Preview: the metadata query is not part of a published API version and may change.
//
// Errors (an error ends the list):
//   - [*Error] if the registry refuses the query, or does not offer metadata search
//   - [ErrCatalogRole] if the identity may not list repositories
//   - [ErrInvalidArgument] if the query is empty or longer than 64 KiB
//   - [ErrListEndless] if the list leads back to an earlier page or has too many pages
//   - [ErrMalformedReply] if the response is not a list of rows
//   - [ErrTooLarge] if a page is larger than 8 MiB
func (c *Client) QueryMetadata(ctx context.Context, query string) iter.Seq2[json.RawMessage, error] {
	return metadataQuery{c, opQueryMetadata, "", c.bad(), query, func(ctx context.Context, body gen.MetadataQuery) (*http.Response, error) {
		return c.gen.QueryMetadata(ctx, body)
	}}.rows(ctx)
}

// QueryMetadata runs a query over the manifests of this repository. Requests and errors are those
// of [Client.QueryMetadata]. The right to read the metadata of the repository is sufficient.
//
// Preview: see [Client.QueryMetadata].
func (r *Repository) QueryMetadata(ctx context.Context, query string) iter.Seq2[json.RawMessage, error] {
	return metadataQuery{r.Client(), opQueryRepositoryMetadata, r.Name(), r.bad(), query, func(ctx context.Context, body gen.MetadataQuery) (*http.Response, error) {
		return r.client.gen.QueryRepositoryMetadata(ctx, r.name, body)
	}}.rows(ctx)
}

// metadataQuery is what differs between the two. Its pages are linked by a token in the body,
// not by a Link as those of other lists.
type metadataQuery struct {
	client *Client
	op     *operation
	name   string // of the repository
	refuse error  // an invalid handle
	query  string
	send   func(context.Context, gen.MetadataQuery) (*http.Response, error)
}

// metadataPage is a page of rows, with the token of the next one.
type metadataPage struct {
	rows []json.RawMessage
	next string
}

// rows returns the rows of all pages.
func (q metadataQuery) rows(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if err := q.check(); err != nil {
			yield(nil, err)
			return
		}
		body := gen.MetadataQuery{Query: q.query}
		seen := map[digest.Digest]bool{} // of the tokens, which may be long
		for pages := 1; ; pages++ {
			page, err := q.page(ctx, body)
			mark := digest.FromString(page.next)
			for _, row := range page.rows {
				if !yield(row, nil) {
					return
				}
			}
			switch {
			case err != nil:
			case page.next == "":
				return
			case seen[mark]:
				err = q.op.fail(contradicts(ErrListEndless, "page %d leads back to an earlier page", pages))
			case pages >= q.client.options.maxPages():
				err = q.op.fail(contradicts(ErrListEndless, "more than %d pages (ClientOptions.MaxPages)", pages))
			}
			if err != nil {
				yield(nil, err)
				return
			}
			seen[mark] = true
			body.Options = &gen.MetadataQueryOptions{SkipToken: page.next}
		}
	}
}

// check refuses what is wrong before a request.
func (q metadataQuery) check() error {
	switch {
	case q.refuse != nil:
		return q.refuse
	case strings.TrimSpace(q.query) == "":
		return badArgument("query", q.query, "it is empty")
	case len(q.query) > maxQuery:
		return badArgument("query", q.query, "it is longer than 64 KiB")
	}
	return nil
}

// page requests one page.
func (q metadataQuery) page(ctx context.Context, body gen.MetadataQuery) (metadataPage, error) {
	send := func(ctx context.Context) (*http.Response, error) { return q.send(ctx, body) }
	return readDecoded(ctx, q.client, question{op: q.op, name: q.name, limit: maxPageSize, send: send}, decodeMetadata)
}

// decodeMetadata reads {"count":…,"$skipToken":…,"data":[rows]}. The rows are copies: a caller
// may keep one without the whole page.
func decodeMetadata(document []byte) (page metadataPage, err error) {
	s := jsonscan.New(document)
	found := false
	err = s.Document(func(k []byte) {
		switch string(k) {
		case "$skipToken":
			if page.next = string(s.Text()); len(page.next) > maxSkipToken {
				s.Fail("the token of the next page has %d bytes", len(page.next))
			}
		case "data":
			found, page.rows = true, nil
			s.Array(func() {
				if !room(s, len(page.rows), maxEntries) {
					return
				}
				if s.Next() != '{' {
					s.Fail("a row is not an object")
					return
				}
				page.rows = append(page.rows, bytes.Clone(s.Raw()))
			})
		default:
			s.Skip()
		}
	})
	if err == nil && !found {
		err = lacks("data")
	}
	return page, err
}

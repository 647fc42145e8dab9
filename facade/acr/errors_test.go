package acr_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// maxErrors is how many error names there may be: as many as a caller can learn.
const maxErrors = 45

// errorNames returns the names of the package's exported error values.
func errorNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range group.Specs {
				if values, ok := s.(*ast.ValueSpec); ok {
					for _, n := range values.Names {
						if strings.HasPrefix(n.Name, "Err") {
							names = append(names, n.Name)
						}
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// The vocabulary of errors is small, has no two names of the same words, and is explained whole by the table in the package
// documentation.
func TestErrorVocabulary(t *testing.T) {
	t.Parallel()
	names := errorNames(t)
	if len(names) < 20 || len(names) > maxErrors {
		t.Errorf("%d error names, want at most %d", len(names), maxErrors)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "# Errors")
	table, _, _ = strings.Cut(table, "\n// # ")
	explained := strings.FieldsFunc(table, func(r rune) bool {
		return r == ' ' || r == ',' || r == '\n' || r == '[' || r == ']' || r == '\t' || r == '.'
	})
	words := map[string]string{}
	for _, name := range names {
		if !slices.Contains(explained, name) {
			t.Errorf("the table in doc.go does not explain %s", name)
		}
		sorted := []string{}
		for i, r := range strings.TrimPrefix(name, "Err") {
			if i == 0 || r >= 'A' && r <= 'Z' {
				sorted = append(sorted, "")
			}
			sorted[len(sorted)-1] += string(r)
		}
		slices.Sort(sorted)
		key := strings.Join(sorted, " ")
		if other := words[key]; other != "" {
			t.Errorf("%s and %s are of the same words", other, name)
		}
		words[key] = name
	}
	for _, word := range explained {
		if strings.HasPrefix(word, "Err") && word != "Error" && word != "ErrorCode" && !slices.Contains(names, word) {
			t.Errorf("the table in doc.go explains %s, which is not there", word)
		}
	}
}

// Whatever stalls, a manifest, a page of a list, a document or a blob, ends in the same error.
func TestStalledIsOneError(t *testing.T) {
	t.Parallel()
	for op, call := range map[string]func(context.Context, *acr.Repository, digest.Digest) error{
		"GetManifest": func(ctx context.Context, r *acr.Repository, _ digest.Digest) error {
			_, err := r.GetManifest(ctx, "v1")
			return err
		},
		"ListTags": func(ctx context.Context, r *acr.Repository, _ digest.Digest) error {
			_, err := acr.Collect(r.Tags(ctx, nil))
			return err
		},
		"GetRepositoryProperties": func(ctx context.Context, r *acr.Repository, _ digest.Digest) error {
			_, err := r.Properties(ctx)
			return err
		},
		"GetBlobContent": func(ctx context.Context, r *acr.Repository, dgst digest.Digest) error {
			b, err := r.GetBlob(ctx, dgst, nil)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, b)
			return errors.Join(err, b.Close())
		},
	} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrtest.New(t, acrtest.WithMemoryNetwork())
				srv.SeedImage(t, "a/b:v1")
				blob := srv.SeedBlob(t, "a/b", []byte("more than one byte"))
				srv.On(op).Always().StallAfter(0)
				client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
				if err != nil {
					t.Fatal(err)
				}
				defer client.CloseIdleConnections()
				if err := call(t.Context(), client.Repository("a/b"), blob); !errors.Is(err, acr.ErrStalled) {
					t.Error(err)
				}
			})
		})
	}
}

package acr_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// passwordClient is a client of a scripted registry that signs in.
func passwordClient(t *testing.T, answer func(*http.Request) *http.Response) (*acr.Client, *acrsuite.Scripted) {
	t.Helper()
	s := &acrsuite.Scripted{Answer: answer}
	o := &acr.ClientOptions{}
	o.Transport = s
	o.Retry.MaxRetries = -1
	c, err := acr.NewClientWithPassword("registry.azurecr.io", "someone", "correct horse battery staple", o)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// textCase is an answer to a call, and what the text of the error has to say of it.
type textCase struct {
	name, call string
	answer     func() *http.Response
	text, not  []string
	isNot      error
}

// The text of an error names what the registry says in detail, and its advice fits the operation and the message.
func TestErrorTextFits(t *testing.T) {
	t.Parallel()
	missing := "sha256:" + strings.Repeat("ab", 32)
	detail := func(status int, code, message, detail string) func() *http.Response {
		return func() *http.Response {
			return acrsuite.Answer(status, fmt.Sprintf(`{"errors":[{"code":%q,"message":%q,"detail":%s}]}`, code, message, detail))
		}
	}
	const disallowed = "The operation is disallowed on this registry, repository or image."
	const upstream = "failed to pull through the cache rule: the source registry docker.io refused the request"
	html := func(status int, text string) func() *http.Response {
		return func() *http.Response {
			return acrsuite.Answer(status, "<html><head><title>400 "+text+"</title></head></html>", "Content-Type", "text/html")
		}
	}
	acrsuite.Row(t, "F80 token that is too large for a header", func(t *testing.T) {
		textFits(t,
			textCase{"400 for the size of a token", "Properties", html(400, "Request Header Or Cookie Too Large"), []string{"access token", "too large"}, nil, nil},
			textCase{"431", "Properties", html(431, "Request Header Fields Too Large"), []string{"access token", "too large"}, nil, nil},
		)
	})
	acrsuite.Row(t, "F81 what the detail says", func(t *testing.T) {
		textFits(t,
			textCase{"a missing blob", "PutManifest", detail(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", `{"digest":"`+missing+`"}`), []string{missing, "upload the blobs"}, nil, nil},
			textCase{"a detail that is a text", "Properties", detail(400, "MOON_FULL", "wait", `"the dark side"`), []string{"wait", "the dark side"}, nil, nil},
			textCase{"a detail that is a list", "GetManifest", detail(403, "DENIED", "no", `[{"Type":"repository","Name":"a/b","Action":"pull"}]`), []string{"Type: repository", "Action: pull"}, nil, nil},
			textCase{"an empty detail", "Properties", detail(400, "X", "wait", `{}`), nil, []string{"{}", "()"}, nil},
			textCase{"a null detail", "Properties", detail(400, "X", "wait", `null`), nil, []string{"null"}, nil},
			textCase{"a detail that says the same", "Properties", detail(400, "X", "wait for the moon", `"wait for the moon"`), nil, []string{"(wait for the moon)"}, nil},
			textCase{"a long detail", "Properties", detail(400, "X", "wait", `"`+strings.Repeat("dark side ", 100)+`"`), nil, []string{"dark side"}, nil},
			textCase{"several missing blobs", "PutManifest", func() *http.Response {
				return acrsuite.Answer(404, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown","detail":"first"},{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown","detail":"second"}]}`)
			}, []string{"first", "second"}, nil, nil},
		)
	})
	acrsuite.Row(t, "F84 advice that does not fit", func(t *testing.T) {
		textFits(t,
			textCase{"403 of a cache rule's source", "GetManifest", detail(403, "DENIED", upstream, "null"), []string{"cache rule"}, []string{"AcrPull", "may not do this"}, acr.ErrMissingAction},
			textCase{"401 of a cache rule's source", "GetManifest", detail(401, "UNAUTHORIZED", upstream, "null"), []string{"cache rule"}, []string{"AcrPull", "AcrPush"}, acr.ErrMissingAction},
			textCase{"429 of a cache rule's source", "GetManifest", detail(429, "TOOMANYREQUESTS", "You have reached your pull rate limit at the upstream registry", "null"), []string{"cache rule"}, []string{"Governor"}, nil},
			textCase{"200 of nobody to an upload", "UploadBlob", func() *http.Response { return acrsuite.Answer(200, "{}") }, []string{"200 OK", "not a success of this operation", "portal"}, nil, nil},
			textCase{"204 of nobody to a deletion", "DeleteTag", func() *http.Response { return acrsuite.Answer(204, "") }, []string{"204 No Content", "not a success of this operation"}, nil, nil},
			textCase{"304 to a GET", "GetManifest", func() *http.Response { return acrsuite.Answer(304, "") }, []string{"not a success of this operation"}, nil, nil},
			textCase{"a redirect of an upload", "UploadBlob", func() *http.Response { return acrsuite.Answer(302, "", "Location", "https://portal.example/") }, []string{"an upload request was redirected to https://portal.example"}, []string{"a upload"}, nil},
			textCase{"a redirect of a deletion", "DeleteTag", func() *http.Response { return acrsuite.Answer(302, "", "Location", "https://portal.example/") }, []string{"a DELETE request was redirected to https://portal.example"}, nil, nil},
			textCase{"a proxy that asks who it is", "GetManifest", func() *http.Response { return acrsuite.Answer(407, "", "Proxy-Authenticate", "Basic realm=corp") }, []string{"a proxy", "HTTPS_PROXY"}, nil, nil},
			textCase{"a network that asks who it is", "DeleteTag", func() *http.Response { return acrsuite.Answer(511, "<html>Log in</html>", "Content-Type", "text/html") }, []string{"sign in to the network"}, nil, nil},
			textCase{"a page for 404", "GetManifest", html(404, "Not Found"), []string{"a web page", "proxy or portal"}, nil, nil},
			textCase{"a page for 410", "DeleteTag", html(410, "Gone"), []string{"a web page"}, nil, nil},
			textCase{"a page for 503, as the registry's own gateway has", "GetManifest", html(503, "Service Unavailable"), nil, []string{"portal"}, nil},
			textCase{"a status without a name", "GetManifest", func() *http.Response { return acrsuite.Answer(499, "") }, []string{"manifests/v1: 499"}, []string{"499 "}, nil},
			textCase{"an empty manifest", "GetManifest", func() *http.Response {
				return acrsuite.Answer(200, "", "Content-Type", "application/vnd.oci.image.manifest.v1+json")
			}, []string{"it is empty"}, []string{"in the middle"}, nil},
			textCase{"413 to a GET", "GetManifest", detail(413, "X", "too large", "null"), nil, []string{"chunk"}, nil},
			textCase{"413 to a manifest", "PutManifest", detail(413, "X", "too large", "null"), []string{"manifest"}, []string{"chunk"}, nil},
			textCase{"413 to a delete", "DeleteManifest", detail(413, "X", "too large", "null"), nil, []string{"chunk"}, nil},
			textCase{"405 to a delete by digest", "DeleteManifest", detail(405, "UNSUPPORTED", "The operation is unsupported.", "null"), []string{"does not allow"}, []string{"Artifact.Digest", "pass the manifest's digest"}, nil},
			textCase{"a lost session without one", "Properties", detail(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown", "null"), nil, []string{"upload the blob again"}, nil},
			textCase{"a missing blob without a manifest", "Properties", detail(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown", "null"), nil, []string{"PutManifestOptions"}, nil},
		)
	})
	acrsuite.Row(t, "F86 whose lock it is", func(t *testing.T) {
		textFits(t,
			textCase{"a tag's lock", "DeleteTag", detail(405, "REGISTRY_DISALLOWED_OPERATION", disallowed, "null"), []string{"the tag", "the repository"}, []string{"the manifest", "it is locked"}, nil},
			textCase{"a manifest's lock", "DeleteManifest", detail(405, "REGISTRY_DISALLOWED_OPERATION", disallowed, "null"), []string{"the manifest", "one of its tags", "the repository"}, []string{"it is locked"}, nil},
			textCase{"a repository's lock", "Delete", detail(405, "REGISTRY_DISALLOWED_OPERATION", disallowed, "null"), []string{"the repository", "a manifest or tag in it"}, []string{"it is locked"}, nil},
			textCase{"a lock that a push meets", "PutManifest", detail(405, "REGISTRY_DISALLOWED_OPERATION", disallowed, "null"), []string{"the tag", "the repository", "storage"}, []string{"it is locked"}, nil},
			textCase{"a lock that an upload meets", "UploadBlob", detail(405, "REGISTRY_DISALLOWED_OPERATION", disallowed, "null"), []string{"the repository", "storage"}, []string{"the tag", "it is locked"}, nil},
			textCase{"a lock that a pull meets", "GetManifest", detail(405, "REGISTRY_DISALLOWED_OPERATION", disallowed, "null"), []string{"ReadEnabled", "quarantined"}, []string{"storage"}, nil},
		)
	})
}

// textCalls are the calls of a textCase.
var textCalls = map[string]func(context.Context, *acr.Repository) error{
	"GetManifest":    func(ctx context.Context, r *acr.Repository) error { _, err := r.GetManifest(ctx, "v1"); return err },
	"DeleteManifest": func(ctx context.Context, r *acr.Repository) error { return r.DeleteManifest(ctx, acrsuite.GoodDigest) },
	"DeleteTag":      func(ctx context.Context, r *acr.Repository) error { return r.Artifact("v1").DeleteTag(ctx) },
	"Delete":         func(ctx context.Context, r *acr.Repository) error { _, err := r.Delete(ctx); return err },
	"PutManifest": func(ctx context.Context, r *acr.Repository) error {
		_, err := r.PutManifest(ctx, "v1", []byte(acrsuite.ImageManifest), nil)
		return err
	},
	"UploadBlob": func(ctx context.Context, r *acr.Repository) error {
		_, err := r.UploadBlob(ctx, strings.NewReader("x"), nil)
		return err
	},
	"Properties": func(ctx context.Context, r *acr.Repository) error { _, err := r.Properties(ctx); return err },
}

func textFits(t *testing.T, tests ...textCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := passwordClient(t, func(*http.Request) *http.Response { return test.answer() })
			err := textCalls[test.call](t.Context(), c.Repository("a/b"))
			if _, ok := errors.AsType[*acr.Error](err); !ok && !errors.Is(err, acr.ErrUntrusted) && !errors.Is(err, acr.ErrManifestMalformed) {
				t.Fatalf("no *acr.Error: %v", err)
			}
			acrsuite.OneLine(t, err)
			for _, text := range test.text {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in %v", text, err)
				}
			}
			for _, text := range test.not {
				if strings.Contains(err.Error(), text) {
					t.Errorf("%q is in %v", text, err)
				}
			}
			if test.isNot != nil && errors.Is(err, test.isNot) {
				t.Errorf("%v is %v", err, test.isNot)
			}
		})
	}
}

// What is not a document of the registry is described: who sent it, and what it looks like.
func TestMalformedReplyIsDescribed(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F88 page of a portal", testMalformedReplyIsDescribed)
}

func testMalformedReplyIsDescribed(t *testing.T) {
	for name, call := range map[string]func(context.Context, *acr.Client) error{
		"properties": func(ctx context.Context, c *acr.Client) error {
			_, err := c.Repository("a/b").Properties(ctx)
			return err
		},
		"list": func(ctx context.Context, c *acr.Client) error {
			_, err := acr.Collect(c.Repository("a/b").Tags(ctx, nil))
			return err
		},
		"referrers": func(ctx context.Context, c *acr.Client) error {
			_, err := acr.Collect(c.Repository("a/b").Referrers(ctx, acrsuite.GoodDigest, nil))
			return err
		},
		"deletion": func(ctx context.Context, c *acr.Client) error { _, err := c.Repository("a/b").Delete(ctx); return err },
	} {
		for looks, answer := range map[string]string{
			"HTML":       "\n<html>Your session has ended</html>",
			"plain text": "Please sign in",
			"empty":      "",
		} {
			c, _ := passwordClient(t, func(*http.Request) *http.Response {
				return acrsuite.Answer(200, answer, "Content-Type", "application/json")
			})
			err := call(t.Context(), c)
			if !errors.Is(err, acr.ErrMalformedReply) {
				t.Errorf("%s, %s: %v", name, looks, err)
				continue
			}
			for _, text := range []string{looks, "https://registry.azurecr.io/", "/a/b", "200", "application/json"} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%s, %s: %q is not in %v", name, looks, text, err)
				}
			}
		}
	}
}

// A refused sign-in names the operation that the caller asked for.
func TestRefusedSignInNamesTheCall(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F87 sign-in refused in a call", testRefusedSignInNamesTheCall)
}

func testRefusedSignInNamesTheCall(t *testing.T) {
	for name, call := range map[string]func(context.Context, *acr.Client) error{
		"GetManifest": func(ctx context.Context, c *acr.Client) error {
			_, err := c.Repository("a/b").GetManifest(ctx, "v1")
			return err
		},
		"ListTags": func(ctx context.Context, c *acr.Client) error {
			_, err := acr.Collect(c.Repository("a/b").Tags(ctx, nil))
			return err
		},
		"StartUpload": func(ctx context.Context, c *acr.Client) error {
			_, err := c.Repository("a/b").StartUpload(ctx, nil)
			return err
		},
		"DeleteManifest": func(ctx context.Context, c *acr.Client) error {
			return c.Repository("a/b").DeleteManifest(ctx, acrsuite.GoodDigest)
		},
		"CheckSupport": func(ctx context.Context, c *acr.Client) error { return c.Ping(ctx) },
	} {
		srv := acrsuite.NewServer(t)
		c, err := acr.NewClientWithPassword(srv.Endpoint(), "nobody", "nothing at all", acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		err = call(t.Context(), c)
		e, ok := errors.AsType[*acr.Error](err)
		if !ok || !errors.Is(err, acr.ErrWrongPassword) || e.Operation != "GetAccessTokenWithBasic" || !strings.HasPrefix(err.Error(), "acr: "+name+": GetAccessTokenWithBasic: GET https://") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A deletion that fails at what it asks first is named all the same.
func TestDeletionIsNamed(t *testing.T) {
	t.Parallel()
	lost, unread := acrsuite.NewServer(t), withoutReferrersAPI(t)
	lost.On("ListReferrers").Always().Raw("")
	unread.On("GetManifest").Always().Status(http.StatusTeapot)
	for want, srv := range map[string]*acrtest.Server{
		"acr: DeleteManifest: ListReferrers: ":           lost,
		"acr: DeleteManifest: GetManifest: GET https://": unread,
	} {
		err := acrsuite.NewClient(t, srv).Repository("a/b").DeleteManifest(t.Context(), srv.SeedImage(t, "a/b:v1"))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A registry's bare name, and a repository's name with the registry in it, are refused with what to write.
func TestNamesWithAndWithoutRegistry(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F83 registry without its domain", testNamesWithAndWithoutRegistry)
}

func testNamesWithAndWithoutRegistry(t *testing.T) {
	for _, name := range []string{"myregistry", "https://myregistry", "MyRegistry", "myregistry-abc123"} {
		_, err := acr.NewClient(name, nil, nil)
		want := strings.ToLower(strings.TrimPrefix(name, "https://")) + ".azurecr.io"
		if !errors.Is(err, acr.ErrInvalidArgument) || !strings.Contains(err.Error(), "write "+want) || strings.Contains(err.Error(), "AllowedHosts") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"localhost", "localhost:5000", "registry.example.com", "10.0.0.1"} {
		if _, err := acr.NewClient(name, nil, nil); !errors.Is(err, acr.ErrInvalidArgument) || !strings.Contains(err.Error(), "AllowedHosts") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, s := passwordClient(t, nil)
	for _, name := range []string{"registry.azurecr.io/a/b", "Registry.azurecr.io/a/b", "https://registry.azurecr.io/a/b", "registry.azurecr.io"} {
		_, err := c.Repository(name).GetManifest(t.Context(), "v1")
		if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || e.Argument != "repository" || !strings.Contains(err.Error(), "without the registry") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Repository("a/b").MountBlob(t.Context(), acrsuite.GoodDigest, name); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("mount from %s: %v", name, err)
		}
		if _, err := c.Doctor(t.Context(), &acr.DoctorOptions{Repository: name}); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("doctor of %s: %v", name, err)
		}
	}
	if sent := s.Requests(); len(sent) > 0 {
		t.Errorf("sent %q", sent)
	}
	if _, err := c.Repository("registry.azurecr.io.mirror/a").GetManifest(t.Context(), "v1"); !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("a name that only begins like the registry: %v", err)
	}
}

// A refresh token may come as a password, with either of the user names that stand for one.
func TestRefreshTokenAsPassword(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F82 refresh token as a password", testRefreshTokenAsPassword)
}

func testRefreshTokenAsPassword(t *testing.T) {
	srv := acrsuite.NewServer(t)
	login, err := acrsuite.NewClient(t, srv).Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, username := range []string{"<token>", "00000000-0000-0000-0000-000000000000"} {
		c, err := acr.NewClientWithPassword(srv.Endpoint(), username, login.Password(), acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", username, err)
		}
		if again, err := c.Login(t.Context()); err != nil || again.Username != login.Username || again.Password() != login.Password() {
			t.Errorf("%s: %v, %v", username, again, err)
		}
	}
}

// Login and Doctor say why their context ended.
func TestCauseOfLoginAndDoctor(t *testing.T) {
	t.Parallel()
	why := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	c := acrsuite.NewClient(t, acrsuite.NewServer(t))
	_, doctorErr := c.Doctor(ctx, nil)
	_, loginErr := c.Login(ctx)
	for name, err := range map[string]error{"Doctor": doctorErr, "Login": loginErr} {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A page in place of a token is not the refresh token's fault.
func TestPageForAToken(t *testing.T) {
	t.Parallel()
	o := &acr.ClientOptions{}
	o.Transport = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp := acrsuite.Answer(400, "<html>Welcome</html>", "Content-Type", "text/html")
		resp.Request = r
		return resp, nil
	})}
	c, err := acr.NewClientWithRefreshToken("registry.azurecr.io", "aaa.bbb.ccc", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "refresh token") || !strings.Contains(err.Error(), "portal") {
		t.Error(err)
	}
}

// Names and references that beginners write wrong are refused with what to write instead.
func TestErrorsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	c, _ := passwordClient(t, nil)
	digits := strings.Repeat("ab", 32)
	get := func(repository, reference string) error {
		_, err := c.Repository(repository).GetManifest(t.Context(), reference)
		return err
	}
	blob := func(d string) error {
		_, err := c.Repository("a").HeadBlob(t.Context(), digest.Digest(d))
		return err
	}
	dial := func(endpoint string) error { _, err := acr.NewClient(endpoint, nil, nil); return err }
	password := func(user, password string) error {
		_, err := acr.NewClientWithPassword("r.azurecr.io", user, password, nil)
		return err
	}
	_, badOrder := acr.Collect(c.Repository("a").Tags(t.Context(), &acr.ListTagsOptions{Order: "desc"}))
	for _, row := range []struct {
		err  error
		want string
	}{
		{get("Shop/Web", "v1"), ": write shop/web"},
		{get("shop/web/", "v1"), ": write shop/web"},
		{get("/shop/web", "v1"), ": write shop/web"},
		{get("https://other.azurecr.io/shop/web", "v1"), "it is a URL: write the name alone"},
		{get("shop/web", "v1@"), "a tag has neither '@' nor ':'"},
		{get("shop/web", ":v1"), "a digest begins with sha256: or sha512:"},
		{get("shop/web", "SHA256:"+digits), "in lower case"},
		{get("shop/web", "shop/web:v1"), "a tag or a digest alone, without registry and repository"},
		{get("shop/web", "myregistry.azurecr.io/shop/web:v1"), "a tag or a digest alone, without registry and repository"},
		{get("shop/web", "127.0.0.1:5000/shop/web:v1"), "a tag or a digest alone, without registry and repository"},
		{get("shop/web", "127.0.0.1:5000/shop/web@sha256:"+digits), "a tag or a digest alone, without registry and repository"},
		{get("shop/web", "shop/web"), "a tag or a digest alone, without registry and repository"},
		{get("shop/web", "v1@sha256:"+digits), "and not both"},
		{blob("127.0.0.1:5000/shop/web@sha256:" + digits), "a digest alone, without registry, repository and tag"},
		{blob("v1@sha256:" + digits), "a digest alone, without registry, repository and tag"},
		{blob(digits), "write sha256: before it"},
		{blob("v1"), "Artifact.Digest"},
		{dial(""), "write the login server"},
		{dial("/subscriptions/x"), "write the login server"},
		{dial("http://r.azurecr.io"), "write r.azurecr.io"},
		{dial("docker://r.azurecr.io/a"), "write r.azurecr.io"},
		{dial("r.azurecr.io/v2/"), "write r.azurecr.io alone"},
		{dial("https://r.azurecr.io/#a"), "write r.azurecr.io alone"},
		{dial("r.azurecr.io "), "remove it"},
		{dial("r.azurecr.oi"), `list "r.azurecr.oi" in ClientOptions.AllowedHosts`},
		{dial("localhost:5000"), `list "localhost:5000" in ClientOptions.AllowedHosts`},
		{password("", "p"), "invalid username: it is empty"},
		{password("u", ""), "invalid password: it is empty"},
		{badOrder, "OrderByUpdateDescending"},
	} {
		if !errors.Is(row.err, acr.ErrInvalidArgument) || !strings.Contains(row.err.Error(), row.want) {
			t.Errorf("%v\n\tdoes not say %s", row.err, row.want)
		}
	}
}

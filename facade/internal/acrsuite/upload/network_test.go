package upload_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteUploadNetwork: connections that end in the wrong moment, and a name that resolves to another replica.
func TestSuiteUploadNetwork(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F73 GOAWAY with an unread body", testGoAway)
	acrsuite.Row(t, "F74 idle connection closed by the peer", func(t *testing.T) {
		for _, op := range []string{"HeadBlob", "StartUpload", "UploadChunk"} { // so that what is sent next meets a closed door
			acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
				u.Note = "behind " + op
				u.Srv.On(op).Always().CloseIdle()
				ask(u)
				u.Arrives()
				u.ResentAtMost(0)
				u.Count(1, "StartUpload")
			})
			acrsuite.UploadsIn(t, []acrsuite.Setting{acrsuite.OnLoopback}, acrsuite.OnePerKind, func(u *acrsuite.Upload) {
				u.Note = "behind " + op
				u.Srv.On(op).Always().CloseIdle()
				ask(u)
				survives2(u)
				u.ResentAtMost(2 * u.Opts.ChunkSize)
			})
		}
	})
	acrsuite.Row(t, "F76 the name moves to another replica", testMovingName)
}

// ask sends a request before the upload, over the same connection.
func ask(u *acrsuite.Upload) {
	u.T.Helper()
	if _, err := u.Repository().HeadBlob(u.Ctx, u.Digest); !errors.Is(err, acr.ErrNotFound) {
		u.Errorf("%v", err)
	}
}

// goAway is the end of an HTTP/2 connection by a server that has read a part of a request and says that it has not looked at it: the
// request is to be sent again over another connection, with its body from the start (RFC 9113, section 6.8).
type goAway struct {
	certificate tls.Certificate
	armed       atomic.Int64 // connections that end so
	ended       atomic.Int64
	all         sync.WaitGroup
}

func (g *goAway) serve(raw net.Conn) {
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{g.certificate}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	defer conn.Close()
	r := bufio.NewReader(conn)
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(r, preface); err != nil {
		return
	}
	const data, headers, settings, goaway, endStream = 0, 1, 4, 7, 1
	frame := func(kind byte, payload ...byte) {
		head := []byte{0, 0, byte(len(payload)), kind, 0, 0, 0, 0, 0}
		_, _ = conn.Write(append(head, payload...)) // the client may be gone
	}
	frame(settings)
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		n := int64(binary.BigEndian.Uint32(append([]byte{0}, head[:3]...)))
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			return
		}
		if head[3] == data || head[3] == headers && head[4]&endStream != 0 {
			g.ended.Add(1)
			frame(goaway, 0, 0, 0, 0, 0, 0, 0, 0) // nothing was looked at, no error
			_, _ = io.Copy(io.Discard, r)         // until the client has closed
			return
		}
	}
}

func testGoAway(t *testing.T) {
	for _, how := range acrsuite.OnePerKind {
		w := acrsuite.NewWorld(t, acrtest.WithHTTP2())
		certified := httptest.NewTLSServer(nil)
		certified.Close()
		g := &goAway{certificate: certified.TLS.Certificates[0]}
		base := w.Srv.HTTPClient().Transport.(*http.Transport)
		base.TLSClientConfig.RootCAs = base.TLSClientConfig.RootCAs.Clone()
		base.TLSClientConfig.RootCAs.AddCert(certified.Certificate())
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g.all.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				g.all.Go(func() { g.serve(conn) })
			}
		})
		dial, direct := base.DialContext, net.Dialer{}
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != w.Srv.Host() || g.armed.Add(-1) < 0 {
				return dial(ctx, network, addr)
			}
			return direct.DialContext(ctx, network, l.Addr().String())
		}
		w.Use(base)
		u := &acrsuite.Upload{TT: t, How: how, Tune: &acrsuite.Small, Opts: acr.UploadOptions{ChunkSize: acrsuite.RowChunk}}
		u.Fixture = w.Fixture(acrsuite.Call{Method: "UploadBlob of a " + how, Kind: acrsuite.UploadCall, Op: "UploadChunk"})
		u.Fill(acrsuite.RowSize)
		u.Srv.On("StartUpload", "UploadChunk").Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Connection", "close") // each request gets a connection of its own
			next.ServeHTTP(w, r)
			g.armed.Store(1)
		})
		survives2(u)
		if u.Desc.Digest != u.Digest {
			u.Errorf("it did not arrive")
		}
		if g.ended.Load() == 0 {
			u.Errorf("no connection went away")
		}
		u.Count(0, "GetUploadStatus") // the transport sends the request again by itself, from a body of its own
		base.CloseIdleConnections()
		_ = l.Close()
		g.all.Wait()
	}
}

// testMovingName pushes to a registry of two replicas that share nothing, whose name resolves to the other one after the first connection.
func testMovingName(t *testing.T) {
	const name = "moving.azurecr.io"
	for _, how := range acrsuite.EverySource {
		for _, pinned := range []bool{true, false} {
			first, second := acrtest.New(t, acrtest.WithLoginServer(name)), acrtest.New(t, acrtest.WithLoginServer(name))
			u := &acrsuite.Upload{TT: t, How: how, Tune: &acrsuite.Small, Opts: acr.UploadOptions{ChunkSize: acrsuite.RowChunk}}
			u.Fixture = &acrsuite.Fixture{World: &acrsuite.World{T: t, Srv: first, Way: "moving name"}, Ctx: t.Context(), Name: "push/here", Call: acrsuite.Call{Method: "UploadBlob of a " + how}}
			u.Fill(acrsuite.RowSize)

			base := first.HTTPClient().Transport.(*http.Transport)
			base.DisableKeepAlives = true // each request asks for the address anew
			direct := base.DialContext
			var uploading, dialled atomic.Int64
			base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == name+":443" && uploading.Load() > 0 && dialled.Add(1) > 2 {
					return second.DialContext(ctx, network, addr)
				}
				return direct(ctx, network, addr)
			}
			o := &acr.ClientOptions{ClientOptions: first.ClientOptions()}
			o.Transport = &http.Client{Transport: base}
			var err error
			if u.Client, err = acr.NewClient("https://"+name, first.Credential(), o); err != nil {
				t.Fatal(err)
			}
			if err := u.Client.Ping(t.Context()); err != nil { // signed in
				t.Fatal(err)
			}
			uploading.Store(1)
			release := func() {}
			if pinned {
				u.Ctx, release = u.Client.PinAddress(u.Ctx) //nolint:fatcontext // an upload of its own
			}
			err = u.Send()
			release()
			u.Client.CloseIdleConnections()
			there := first.HasBlob(u.Name, u.Digest)
			elsewhere := second.Ledger().Count()
			switch {
			case pinned && (err != nil || !there || u.Desc.Digest != u.Digest || elsewhere > 0):
				u.Errorf("pinned: %v, at the first replica: %v, %d requests at the other", err, there, elsewhere)
			case !pinned && elsewhere == 0:
				u.Errorf("the name did not move")
			}
			if pinned {
				u.NothingOpen()
			}
			base.CloseIdleConnections()
		}
	}
}

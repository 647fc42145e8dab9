package acr_test

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
)

var _ = expect("F73", "F74", "F76")

// TestSuiteUploadNetwork: connections that end in the wrong moment, and a name that resolves to another replica.
func TestSuiteUploadNetwork(t *testing.T) {
	t.Parallel()
	row(t, "F73 GOAWAY with an unread body", survived, testGoAway)
	row(t, "F74 idle connection closed by the peer", survived, func(t *testing.T) {
		for _, op := range []string{"HeadBlob", "StartUpload", "UploadChunk"} { // so that what is sent next meets a closed door
			uploads(t, everySource, func(u *upload) {
				u.note = "behind " + op
				u.srv.On(op).Always().CloseIdle()
				u.ask()
				u.arrives()
				u.resentAtMost(0)
				u.count(1, "StartUpload")
			})
			for _, how := range onePerKind { // over sockets
				w := newWorld(t)
				u := &upload{tt: t, how: how, tune: &small, opts: acr.UploadOptions{ChunkSize: rowChunk}}
				u.fixture = w.fixture(call{method: "UploadBlob of a " + how, kind: uploadCall, op: "UploadChunk"})
				u.note = "behind " + op + ", over sockets"
				u.fill(rowSize)
				u.srv.On(op).Always().CloseIdle()
				u.ask()
				u.survives2()
				u.resentAtMost(2 * rowChunk)
			}
		}
	})
	row(t, "F76 the name moves to another replica", survived, testMovingName)
}

// ask sends a request before the upload, over the same connection.
func (u *upload) ask() {
	u.t.Helper()
	if _, err := u.repository().StatBlob(u.ctx, u.dgst); !errors.Is(err, acr.ErrNotFound) {
		u.errorf("%v", err)
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
	for _, how := range onePerKind {
		w := newWorld(t, acrtest.WithHTTP2())
		certified := httptest.NewTLSServer(nil)
		certified.Close()
		g := &goAway{certificate: certified.TLS.Certificates[0]}
		base := w.srv.HTTPClient().Transport.(*http.Transport)
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
			if addr != w.srv.Host() || g.armed.Add(-1) < 0 {
				return dial(ctx, network, addr)
			}
			return direct.DialContext(ctx, network, l.Addr().String())
		}
		w.use(base)
		u := &upload{tt: t, how: how, tune: &small, opts: acr.UploadOptions{ChunkSize: rowChunk}}
		u.fixture = w.fixture(call{method: "UploadBlob of a " + how, kind: uploadCall, op: "UploadChunk"})
		u.fill(rowSize)
		u.srv.On("StartUpload", "UploadChunk").Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Connection", "close") // each request gets a connection of its own
			next.ServeHTTP(w, r)
			g.armed.Store(1)
		})
		u.survives2()
		if u.desc.Digest != u.dgst {
			u.errorf("it did not arrive")
		}
		if g.ended.Load() == 0 {
			u.errorf("no connection went away")
		}
		u.count(0, "GetUploadStatus") // the transport sends the request again by itself, from a body of its own
		base.CloseIdleConnections()
		_ = l.Close()
		g.all.Wait()
	}
}

// testMovingName pushes to a registry of two replicas that share nothing, whose name resolves to the other one after the first connection.
func testMovingName(t *testing.T) {
	const name = "moving.azurecr.io"
	for _, how := range everySource {
		for _, pinned := range []bool{true, false} {
			first, second := acrtest.New(t, acrtest.WithLoginServer(name)), acrtest.New(t, acrtest.WithLoginServer(name))
			u := &upload{tt: t, how: how, tune: &small, opts: acr.UploadOptions{ChunkSize: rowChunk}}
			u.fixture = &fixture{world: &world{t: t, srv: first, way: "moving name"}, ctx: t.Context(), name: "push/here", call: call{method: "UploadBlob of a " + how}}
			u.fill(rowSize)

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
			if u.client, err = acr.NewClient("https://"+name, first.Credential(), o); err != nil {
				t.Fatal(err)
			}
			if err := u.client.Ping(t.Context()); err != nil { // signed in
				t.Fatal(err)
			}
			uploading.Store(1)
			release := func() {}
			if pinned {
				u.ctx, release = u.client.PinAddress(u.ctx)
			}
			err = u.send()
			release()
			u.client.CloseIdleConnections()
			there := first.HasBlob(u.name, u.dgst)
			elsewhere := second.Ledger().Count()
			switch {
			case pinned && (err != nil || !there || u.desc.Digest != u.dgst || elsewhere > 0):
				u.errorf("pinned: %v, at the first replica: %v, %d requests at the other", err, there, elsewhere)
			case !pinned && elsewhere == 0:
				u.errorf("the name did not move")
			}
			if pinned {
				u.nothingOpen()
			}
			base.CloseIdleConnections()
		}
	}
}

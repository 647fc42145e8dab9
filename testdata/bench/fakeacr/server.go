// Package fakeacr is a registry with the interface of Azure Container Registry's
// data plane that is as cheap as net/http allows: it discards what is uploaded
// and makes up what is downloaded, so that the client is the bottleneck. It can
// add latency, cap the bandwidth of connections and inject faults.
//
// What real ACR does and this server copies: sign-in by Entra token exchange and
// scoped bearer tokens, relative upload locations with opaque state, a redirect
// of blob GETs to a storage host, relative Link headers. HTTP/1.1 only, unless
// asked otherwise, because the storage service that holds ACR's blobs speaks
// nothing newer.
package fakeacr

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/acrkit/acrkit/testdata/bench/content"
)

// Credentials that the server accepts.
const (
	EntraToken = "entra.access.token-for-the-bench"
	User       = "bench"
	Password   = "bench-password"
)

// Server is the registry, its storage and its control interface.
type Server struct {
	RegistryHost string // host:port of each listener
	StorageHost  string
	ControlHost  string

	cur                 atomic.Pointer[scenario]
	regConns, storConns atomic.Int64
	digests             sync.Map // content.Blob -> digest
}

// scenario is the state behind one Config.
type scenario struct {
	s   *Server
	cfg Config

	blobs                   map[string]Blob // by digest
	images                  *images         // nil unless Config.Images
	tokens, refresh         sync.Map
	uploads, pushed, small  sync.Map
	manifests               sync.Map
	dropGet, dropPatch      dropper
	rejects                 map[string]*rejecter
	kinds                   sync.Map // string -> *atomic.Int64
	requests, unauthorized  atomic.Int64
	bodyIn, bodyOut, drops  atomic.Int64
	rejectCount, badDigests atomic.Int64
	completed               atomic.Int64
	inFlight, maxInFlight   atomic.Int64
	regConns0, storConns0   int64
	cpu0                    float64
}

type dropper struct {
	after int64
	left  atomic.Int64
}

// hit says whether a transfer that goes from one offset to another is broken.
func (d *dropper) hit(from, to int64) bool {
	return d.left.Load() > 0 && from <= d.after && d.after < to && d.left.Add(-1) >= 0
}

type rejecter struct {
	Reject
	left atomic.Int64
}

func (s *Server) sc() *scenario { return s.cur.Load() }

// Configure starts a new scenario.
func (s *Server) Configure(cfg Config) Info {
	if cfg.DefaultPage == 0 {
		cfg.DefaultPage = 100
	}
	if cfg.MaxPage == 0 {
		cfg.MaxPage = 1000
	}
	if !cfg.Images {
		cfg.Manifests = min(cfg.Manifests, maxManifests)
	}
	sc := &scenario{s: s, cfg: cfg, blobs: map[string]Blob{}, rejects: map[string]*rejecter{}}
	info := Info{Registry: s.RegistryHost, Storage: s.StorageHost, EntraToken: EntraToken}
	for _, b := range cfg.Blobs {
		if b.Digest == "" {
			b.Digest = s.digest(b.Blob)
		}
		sc.blobs[b.Digest] = b
		info.Digests = append(info.Digests, b.Digest)
	}
	sc.dropGet.after, sc.dropPatch.after = cfg.DropGet.After, cfg.DropPatch.After
	sc.dropGet.left.Store(cfg.DropGet.Times)
	sc.dropPatch.left.Store(cfg.DropPatch.Times)
	for kind, rj := range cfg.Reject {
		r := &rejecter{Reject: rj}
		r.left.Store(rj.Times)
		sc.rejects[kind] = r
	}
	// Render the lists now rather than in the first request.
	if cfg.Images {
		sc.images = newImages(cfg.Manifests)
	}
	acrTags(cfg.Tags, sc.images)
	plainTags(cfg.Tags)
	acrManifests(cfg.Manifests, sc.images)
	info.AccessToken, info.RefreshToken = sc.masterToken(), sc.newRefresh()
	sc.regConns0, sc.storConns0, sc.cpu0 = s.regConns.Load(), s.storConns.Load(), cpuSeconds()
	s.cur.Store(sc)
	return info
}

// digest computes a digest once.
func (s *Server) digest(b content.Blob) string {
	if d, ok := s.digests.Load(b); ok {
		return d.(string)
	}
	d := b.Digest()
	s.digests.Store(b, d)
	return d
}

// Info answers a Configure.
type Info struct {
	Registry     string   `json:"registry"`
	Storage      string   `json:"storage"`
	EntraToken   string   `json:"entra_token"`
	RefreshToken string   `json:"refresh_token"`
	AccessToken  string   `json:"access_token"` // valid for everything
	Digests      []string `json:"digests"`      // of Config.Blobs, in order
}

// Stats returns the counters since the last Configure.
func (s *Server) Stats() Stats {
	sc := s.sc()
	st := Stats{
		Requests: sc.requests.Load(), Kinds: map[string]int64{}, Unauthorized: sc.unauthorized.Load(),
		RegistryConn: s.regConns.Load() - sc.regConns0, StorageConn: s.storConns.Load() - sc.storConns0,
		BodyIn: sc.bodyIn.Load(), BodyOut: sc.bodyOut.Load(), Drops: sc.drops.Load(),
		Rejects: sc.rejectCount.Load(), BadDigests: sc.badDigests.Load(), Completed: sc.completed.Load(),
		MaxInFlight: sc.maxInFlight.Load(), CPUSeconds: cpuSeconds() - sc.cpu0,
	}
	sc.kinds.Range(func(k, v any) bool {
		st.Kinds[k.(string)] = v.(*atomic.Int64).Load()
		return true
	})
	return st
}

func cpuSeconds() float64 {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return float64(ru.Utime.Sec+ru.Stime.Sec) + float64(ru.Utime.Usec+ru.Stime.Usec)/1e6
}

// tick counts a request of a kind.
func (sc *scenario) tick(kind string) {
	v, ok := sc.kinds.Load(kind)
	if !ok {
		v, _ = sc.kinds.LoadOrStore(kind, new(atomic.Int64))
	}
	v.(*atomic.Int64).Add(1)
}

// rejected answers the request with an injected status if one is due.
func (sc *scenario) rejected(w http.ResponseWriter, kind string) bool {
	rj := sc.rejects[kind]
	if rj == nil || rj.left.Add(-1) < 0 {
		return false
	}
	sc.rejectCount.Add(1)
	if rj.RetryAfter > 0 {
		w.Header().Set("Retry-After", big.NewInt(int64(rj.RetryAfter)).String())
	}
	fail(w, rj.Status, "TOOMANYREQUESTS", "injected")
	return true
}

// count does what every registry request starts with: counting, injected
// rejections and authorization. It returns false if it has answered.
func (sc *scenario) count(w http.ResponseWriter, r *http.Request, kind string, n need) bool {
	sc.tick(kind)
	return sc.authorize(w, r, n) && !sc.rejected(w, kind)
}

// enter does the bookkeeping around every request.
func (s *Server) enter(h func(*scenario, http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sc := s.sc()
		sc.requests.Add(1)
		n := sc.inFlight.Add(1)
		defer sc.inFlight.Add(-1)
		for m := sc.maxInFlight.Load(); n > m && !sc.maxInFlight.CompareAndSwap(m, n); m = sc.maxInFlight.Load() {
		}
		if ms := sc.cfg.LatencyMS; ms > 0 {
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		h(sc, w, r)
	})
}

// registry routes a request to the registry listener.
func (sc *scenario) registry(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/acr/v1/"); ok {
		sc.acr(w, r, rest)
		return
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/oauth2/exchange":
		sc.tick("exchange")
		sc.exchange(w, r)
		return
	case path == "/oauth2/token":
		sc.tick("token")
		sc.token(w, r)
		return
	case path == "/v2" || ok && rest == "":
		if sc.count(w, r, "ping", need{}) {
			writeJSON(w, struct{}{})
		}
		return
	case !ok:
		sc.tick("other")
		fail(w, http.StatusNotFound, "NOT_FOUND", "no such path")
		return
	case rest == "_catalog":
		if sc.count(w, r, "catalog", need{"registry", "catalog", "*"}) {
			sc.serveList(w, r, catalog(2000), `{"repositories":[`)
		}
		return
	}
	repo := func(i int) (need, need) {
		return need{"repository", rest[:i], "pull"}, need{"repository", rest[:i], "pull,push"}
	}
	if i := strings.Index(rest, "/blobs/uploads/"); i > 0 {
		_, push := repo(i)
		id := rest[i+len("/blobs/uploads/"):]
		switch r.Method {
		case http.MethodPost:
			if sc.count(w, r, "post_upload", push) {
				sc.startUpload(w, r, rest[:i])
			}
		default:
			kind := map[string]string{"PATCH": "patch", "PUT": "put_upload", "GET": "upload_status", "DELETE": "upload_cancel"}[r.Method]
			if sc.count(w, r, kind, push) {
				sc.uploadSession(w, r, id)
			}
		}
	} else if i := strings.Index(rest, "/blobs/"); i > 0 {
		pull, _ := repo(i)
		if sc.count(w, r, strings.ToLower(r.Method)+"_blob", pull) {
			sc.blob(w, r, rest[:i], rest[i+len("/blobs/"):])
		}
	} else if i := strings.Index(rest, "/manifests/"); i > 0 {
		pull, push := repo(i)
		n := pull
		if r.Method == http.MethodPut {
			n = push
		}
		if sc.count(w, r, strings.ToLower(r.Method)+"_manifest", n) {
			sc.manifestReq(w, r, rest[:i], rest[i+len("/manifests/"):])
		}
	} else if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		if sc.count(w, r, "tags_v2", need{"repository", name, "pull"}) {
			sc.serveList(w, r, plainTags(sc.cfg.Tags), `{"name":"`+name+`","tags":[`)
		}
	} else if i := strings.Index(rest, "/referrers/"); i > 0 {
		pull, _ := repo(i)
		if sc.count(w, r, "referrers", pull) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
		}
	} else {
		sc.tick("other")
		fail(w, http.StatusNotFound, "NOT_FOUND", "no such path")
	}
}

// Options are fixed for the life of a Server.
type Options struct {
	// CertFile is where the certificate is written that clients have to trust.
	CertFile string
	// HTTP2 lets the registry and the storage speak HTTP/2.
	HTTP2 bool
}

// Start opens the listeners and serves until the process ends.
//
// The registry is on 127.0.0.2 and not on 127.0.0.1 or localhost, because some
// clients treat those two names as plain-HTTP registries; the storage is on
// another host name, because it is one in the cloud.
func Start(o Options) (*Server, error) {
	cert, err := makeCert(o.CertFile)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	s.Configure(Config{})

	tlsConf := &tls.Config{Certificates: []tls.Certificate{cert}, DynamicRecordSizingDisabled: true}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(o.HTTP2)
	quiet := log.New(io.Discard, "", 0)
	serve := func(addr string, count *atomic.Int64, h http.Handler) (string, error) {
		ln, err := net.Listen("tcp4", addr)
		if err != nil {
			return "", err
		}
		srv := &http.Server{
			Handler: h, ErrorLog: quiet, TLSConfig: tlsConf, Protocols: &protocols,
			ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		}
		go srv.ServeTLS(&listener{ln, s, count}, "", "")
		return ln.Addr().String(), nil
	}
	if s.RegistryHost, err = serve("127.0.0.2:0", &s.regConns, s.enter((*scenario).registry)); err != nil {
		return nil, err
	}
	if s.StorageHost, err = serve("127.0.0.1:0", &s.storConns, s.enter((*scenario).storage)); err != nil {
		return nil, err
	}
	s.StorageHost = strings.Replace(s.StorageHost, "127.0.0.1", "localhost", 1)

	ctl, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.ControlHost = ctl.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /config", func(w http.ResponseWriter, r *http.Request) {
		var cfg Config
		if err := json.NewDecoder(r.Body).Decode(&cfg); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, s.Configure(cfg))
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, s.Stats()) })
	go http.Serve(ctl, mux)
	return s, nil
}

// makeCert creates a self-signed certificate and writes it to file.
func makeCert(file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "acrbench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

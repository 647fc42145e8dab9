package fakeacr

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// smallLimit is the size up to which unknown uploads are kept byte by byte, for
// configs and the like. Bigger uploads are discarded; they can be read back only
// if they are one of Config.Blobs.
const smallLimit = 1 << 20

// upload is one upload session.
type upload struct {
	mu     sync.Mutex
	repo   string
	id     string
	offset int64
	hash   hash.Hash // nil when not verifying
	small  []byte    // the bytes so far, while there are at most smallLimit
}

var uploadSerial atomic.Int64

// state is opaque to clients and changes with the offset.
func (u *upload) state() string {
	state := fmt.Sprintf(`{"Name":%q,"UUID":%q,"Offset":%d,"StartedAt":"2025-04-15T09:26:53.5897932Z"}`, u.repo, u.id, u.offset)
	return strings.Repeat("h", 43) + base64.RawURLEncoding.EncodeToString([]byte(state))
}

// location is the relative URL with the state that ACR answers with.
func (u *upload) location() string {
	return fmt.Sprintf("/v2/%s/blobs/uploads/%s?_nouploadcache=false&_state=%s", u.repo, u.id, u.state())
}

func (u *upload) answer(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Location", u.location())
	h.Set("Docker-Upload-Uuid", u.id)
	h.Set("Range", fmt.Sprintf("0-%d", max(u.offset-1, 0)))
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
}

func (sc *scenario) startUpload(w http.ResponseWriter, r *http.Request, repo string) {
	q := r.URL.Query()
	if d := q.Get("mount"); d != "" && q.Get("from") != "" {
		if _, ok := sc.find(q.Get("from"), d); ok {
			sc.pushed.Store(repo+"@"+d, true)
			w.Header().Set("Location", "/v2/"+repo+"/blobs/"+d)
			w.Header().Set("Docker-Content-Digest", d)
			w.WriteHeader(http.StatusCreated)
			return
		}
	}
	n := uploadSerial.Add(1)
	u := &upload{repo: repo, id: fmt.Sprintf("%08x-be7c-4000-8000-%012x", n, n)}
	if sc.cfg.Verify {
		u.hash = sha256.New()
	}
	sc.uploads.Store(u.id, u)
	if q.Get("digest") != "" && r.ContentLength > 0 && !sc.cfg.NoSinglePost {
		if sc.tooLong(w, r) {
			return
		}
		// The whole blob in one request.
		if sc.receive(u, r.Body) {
			panic(http.ErrAbortHandler)
		}
		sc.complete(w, u, q.Get("digest"))
		return
	}
	u.answer(w, http.StatusAccepted)
}

var bufs = sync.Pool{New: func() any { b := make([]byte, ioBuf); return &b }}

// receive takes in a request body at the current offset. broken says that the
// body ended early, by injection or by itself.
func (sc *scenario) receive(u *upload, body io.Reader) (broken bool) {
	bp := bufs.Get().(*[]byte)
	defer bufs.Put(bp)
	buf := *bp

	start, smallLen := u.offset, len(u.small)
	var saved []byte
	if u.hash != nil && sc.cfg.Partial == Forget {
		saved, _ = u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	}
	for {
		n, err := body.Read(buf)
		if n > 0 {
			sc.bodyIn.Add(int64(n))
			if sc.dropPatch.hit(u.offset, u.offset+int64(n)) {
				sc.drops.Add(1)
				broken = true
				break
			}
			if u.hash != nil {
				u.hash.Write(buf[:n])
			}
			if u.offset <= smallLimit && u.offset == int64(len(u.small)) {
				u.small = append(u.small, buf[:n]...)
			}
			u.offset += int64(n)
		}
		if err == io.EOF {
			return false
		}
		if err != nil {
			broken = true
			break
		}
	}
	if sc.cfg.Partial == Forget {
		u.offset = start
		u.small = u.small[:smallLen]
		if saved != nil {
			u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved)
		}
	}
	return broken
}

// tooLong refuses a body above the limit, in plain text as ACR does.
func (sc *scenario) tooLong(w http.ResponseWriter, r *http.Request) bool {
	if sc.cfg.MaxBody == 0 || r.ContentLength <= sc.cfg.MaxBody {
		return false
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	io.WriteString(w, "413 Request Entity Too Large - AzureContainerRegistry")
	return true
}

// uploadSession serves PATCH, PUT, GET and DELETE of an upload.
func (sc *scenario) uploadSession(w http.ResponseWriter, r *http.Request, id string) {
	v, ok := sc.uploads.Load(id)
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
		return
	}
	u := v.(*upload)
	u.mu.Lock()
	defer u.mu.Unlock()

	if r.Method == http.MethodDelete {
		sc.uploads.Delete(id)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if sc.cfg.Partial == Cancel && r.URL.Query().Get("_state") != u.state() {
		sc.uploads.Delete(id)
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_INVALID", "blob upload invalid")
		return
	}
	if r.Method == http.MethodGet {
		u.answer(w, http.StatusNoContent)
		return
	}
	if sc.tooLong(w, r) {
		return
	}
	if cr := r.Header.Get("Content-Range"); cr != "" {
		from, _, _ := strings.Cut(strings.TrimPrefix(cr, "bytes "), "-")
		if n, err := strconv.ParseInt(from, 10, 64); err != nil || n != u.offset {
			u.answer(w, http.StatusRequestedRangeNotSatisfiable)
			return
		}
	}
	if sc.receive(u, r.Body) {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	if r.Method == http.MethodPatch {
		u.answer(w, http.StatusAccepted)
		return
	}
	sc.complete(w, u, r.URL.Query().Get("digest"))
}

// complete checks an upload and turns it into a blob.
func (sc *scenario) complete(w http.ResponseWriter, u *upload, digest string) {
	known, isKnown := sc.blobs[digest]
	good := !isKnown || known.Size == u.offset
	if int64(len(u.small)) == u.offset {
		good = sha(u.small) == digest
	} else if u.hash != nil {
		good = "sha256:"+hex.EncodeToString(u.hash.Sum(nil)) == digest
	}
	if !good {
		sc.badDigests.Add(1)
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
		return
	}
	repo := u.repo
	sc.uploads.Delete(u.id)
	if !isKnown && int64(len(u.small)) == u.offset {
		sc.small.Store(repo+"@"+digest, u.small)
	}
	sc.pushed.Store(repo+"@"+digest, true)
	sc.completed.Add(1)
	h := w.Header()
	h.Set("Location", "/v2/"+repo+"/blobs/"+digest)
	h.Set("Docker-Content-Digest", digest)
	h.Set("Range", fmt.Sprintf("0-%d", max(u.offset-1, 0)))
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}

func sha(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// source is something that can be sent in ranges.
type source interface{ Slice(off, n int64) []byte }

type byteSource []byte

func (b byteSource) Slice(off, n int64) []byte { return b[off:min(off+n, int64(len(b)))] }

type found struct {
	source
	size int64
}

// find looks a blob up in a repository.
func (sc *scenario) find(repo, digest string) (found, bool) {
	_, pushed := sc.pushed.Load(repo + "@" + digest)
	if b, ok := sc.blobs[digest]; ok && (b.Exists || pushed) {
		return found{b.Blob, b.Size}, true
	}
	if b, ok := sc.small.Load(repo + "@" + digest); ok {
		b := b.([]byte)
		return found{byteSource(b), int64(len(b))}, true
	}
	return found{}, false
}

// blob serves HEAD and GET of a blob at the registry.
func (sc *scenario) blob(w http.ResponseWriter, r *http.Request, repo, digest string) {
	f, ok := sc.find(repo, digest)
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	h := w.Header()
	h.Set("Docker-Content-Digest", digest)
	if r.Method == http.MethodGet && !sc.cfg.NoRedirect {
		h.Set("Location", fmt.Sprintf("https://%s/eus2-%s/docker/registry/v2/blobs/%s/data?repo=%s&se=%s&sig=%s&sp=r&spr=https&sr=b&sv=2018-03-28&regid=%s",
			sc.s.StorageHost, strings.Repeat("0", 32), digest, repo,
			time.Now().Add(20*time.Minute).UTC().Format("2006-01-02T15%3A04%3A05Z"), strings.Repeat("S", 43), strings.Repeat("1", 32)))
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusTemporaryRedirect)
		io.WriteString(w, "<a href=\"...\">Temporary Redirect</a>.\n\n")
		return
	}
	if r.Method == http.MethodHead {
		r.Header.Del("Range") // the registry answers HEAD itself and knows no ranges
	}
	sc.send(w, r, f)
}

// storage serves the listener that blob GETs are redirected to.
func (sc *scenario) storage(w http.ResponseWriter, r *http.Request) {
	sc.tick("storage_get")
	if sc.rejected(w, "storage_get") {
		return
	}
	path := strings.TrimSuffix(r.URL.Path, "/data")
	f, ok := sc.find(r.URL.Query().Get("repo"), path[strings.LastIndexByte(path, '/')+1:])
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	sc.send(w, r, f)
}

// send writes a blob or the range of it that was asked for.
func (sc *scenario) send(w http.ResponseWriter, r *http.Request, f found) {
	from, to, status := int64(0), f.size, http.StatusOK
	h := w.Header()
	if spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		a, b, _ := strings.Cut(spec, "-")
		var err error
		if from, err = strconv.ParseInt(a, 10, 64); err != nil || from >= f.size {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", f.size))
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		if n, err := strconv.ParseInt(b, 10, 64); err == nil {
			to = min(n+1, f.size)
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, f.size))
	}
	if r.Method != http.MethodHead {
		h.Set("Accept-Ranges", "bytes")
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	h.Set("Etag", `"0x8DBBE7C4BE7C4"`)
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if c := connOf(r); c != nil {
		c.cork()
		defer c.uncork()
	}
	for off := from; off < to; {
		s := f.Slice(off, to-off)
		if sc.dropGet.hit(off, off+int64(len(s))) {
			sc.drops.Add(1)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		n, err := w.Write(s)
		sc.bodyOut.Add(int64(n))
		off += int64(n)
		if err != nil {
			return
		}
	}
	http.NewResponseController(w).Flush()
}

// manifest is a stored manifest.
type manifest struct {
	mediaType, digest string
	body              []byte
}

// cannedPrefix marks repositories in which every manifest exists.
const cannedPrefix = "canned/"

var cannedBody = []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`)

func (sc *scenario) manifestReq(w http.ResponseWriter, r *http.Request, repo, ref string) {
	key := repo + "@" + ref
	if r.Method == http.MethodPut {
		var b bytes.Buffer
		if _, err := b.ReadFrom(io.LimitReader(r.Body, 8<<20)); err != nil {
			panic(http.ErrAbortHandler)
		}
		m := &manifest{r.Header.Get("Content-Type"), sha(b.Bytes()), b.Bytes()}
		if strings.HasPrefix(ref, "sha256:") && ref != m.digest {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID", "manifest digest")
			return
		}
		sc.manifests.Store(key, m)
		sc.manifests.Store(repo+"@"+m.digest, m)
		h := w.Header()
		h.Set("Location", "/v2/"+repo+"/manifests/"+m.digest)
		h.Set("Docker-Content-Digest", m.digest)
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusCreated)
		return
	}
	var m *manifest
	if v, ok := sc.manifests.Load(key); ok {
		m = v.(*manifest)
	} else if image, ok := sc.images.find(ref); ok {
		m = image
	} else if strings.HasPrefix(repo, cannedPrefix) {
		m = &manifest{"application/vnd.oci.image.manifest.v1+json", sha(cannedBody), cannedBody}
		if strings.HasPrefix(ref, "sha256:") {
			m.digest = ref // any digest exists there; only ever read with HEAD
		}
	} else {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry")
		return
	}
	h := w.Header()
	h.Set("Content-Type", m.mediaType)
	h.Set("Docker-Content-Digest", m.digest)
	h.Set("Etag", strconv.Quote(m.digest))
	h.Set("Content-Length", strconv.Itoa(len(m.body)))
	if r.Method != http.MethodHead {
		w.Write(m.body)
	}
}

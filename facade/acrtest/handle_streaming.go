package acrtest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// streamingType is the artifact type of what a conversion makes: a referrer of the image.
const streamingType = "application/vnd.azure.artifact.streaming.v1"

// streaming is what a registry knows of artifact streaming, a preview of the service that is known by
// what the Azure command line calls and has recorded. It is kept in memory only, for all replicas.
type streaming struct {
	mu       sync.Mutex
	settings map[string]streamingProperties // by repository
	last     map[string]*conversion         // by image: "name@digest"
	byID     map[string]*conversion         // by repository and ID: "name/id"
}

func newStreaming() *streaming {
	return &streaming{settings: map[string]streamingProperties{}, last: map[string]*conversion{}, byID: map[string]*conversion{}}
}

type streamingProperties struct {
	Convert bool   `json:"convertPushedImages"`
	Format  string `json:"conversionFormat,omitempty"`
	Version string `json:"conversionVersion,omitempty"`
	Status  string `json:"status,omitempty"`
	ID      string `json:"id,omitempty"`
}

// conversion is an operation that goes on after its response. Each time a caller asks, it is one step
// further, so that no test has to wait.
type conversion struct {
	id, resource, status, progress string
	started                        time.Time
}

func (c *conversion) step() {
	switch c.status {
	case "NotStarted":
		c.status, c.progress = "Running", "50%"
	case "Running":
		c.status, c.progress = "Succeeded", "100%"
	}
}

func (c *conversion) ended() bool { return c.status != "NotStarted" && c.status != "Running" }

type operationStatus struct {
	Name     string    `json:"name"`
	Resource string    `json:"resource"`
	Status   string    `json:"status"`
	Started  time.Time `json:"startTime"`
	Progress string    `json:"progress"`
	Details  string    `json:"details"`
}

const conversionName = "ArtifactStreamingConversion"

func (c *conversion) report(name string) operationStatus {
	return operationStatus{name, c.resource, c.status, c.started.UTC().Truncate(time.Second), c.progress, "Conversion started for resource " + c.resource}
}

// tiered is for operations that a Basic registry does not have. How the service answers is not known; the
// emulator answers as the distribution specification has it for an operation that is not offered.
func tiered(serve func(*operations, http.ResponseWriter, *http.Request, route)) func(*operations, http.ResponseWriter, *http.Request, route) {
	return func(o *operations, w http.ResponseWriter, r *http.Request, rt route) {
		if o.cfg.sku == Basic {
			fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "artifact streaming is not offered in the Basic tier", nil)
			return
		}
		serve(o, w, r, rt)
	}
}

func (o *operations) getStreaming(w http.ResponseWriter, _ *http.Request, rt route) {
	if _, err := o.store.Repository(rt.name); err != nil {
		o.refuse(w, rt, err)
		return
	}
	o.streaming.mu.Lock()
	p := o.streaming.settings[rt.name]
	o.streaming.mu.Unlock()
	replyJSON(w, http.StatusOK, p)
}

func (o *operations) updateStreaming(w http.ResponseWriter, r *http.Request, rt route) {
	var p streamingProperties
	if !o.decodeBody(w, r, &p) || !knownFormat(w, p.Format, p.Version) {
		return
	}
	if _, err := o.store.Repository(rt.name); err != nil {
		o.refuse(w, rt, err)
		return
	}
	o.streaming.mu.Lock()
	o.streaming.settings[rt.name] = streamingProperties{Convert: p.Convert, Format: p.Format, Version: p.Version}
	o.streaming.mu.Unlock()
	p.Status, p.ID = "Succeeded", newGUID() // of the update, not of the settings
	o.nameOperation(w, rt, p.ID)
	replyJSON(w, http.StatusAccepted, p)
}

// knownFormat has answered when it returns false.
func knownFormat(w http.ResponseWriter, format, version string) bool {
	if format != "overlaybd" || version != "v1" {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "conversionFormat must be overlaybd and conversionVersion v1", nil)
		return false
	}
	return true
}

// nameOperation says where an operation can be asked for. The service names its own host.
func (o *operations) nameOperation(w http.ResponseWriter, rt route, id string) {
	location := fmt.Sprintf("https://%s/acr/v1/%s/_operations/%s", o.host, rt.name, id)
	w.Header().Set("Location", location)
	w.Header().Set("Operation-Id", id)
	w.Header().Set("Operation-Location", location)
}

func (o *operations) startConversion(w http.ResponseWriter, r *http.Request, rt route) {
	var body streamingProperties
	if !o.decodeBody(w, r, &body) || !knownFormat(w, body.Format, body.Version) {
		return
	}
	if _, err := o.store.Manifest(rt.name, digest.Digest(rt.reference)); err != nil {
		o.refuse(w, rt, err)
		return
	}
	image := rt.name + "@" + rt.reference
	c := &conversion{id: newGUID(), resource: image, status: "NotStarted", progress: "0%", started: o.storage.now()}
	o.streaming.mu.Lock()
	o.streaming.last[image], o.streaming.byID[rt.name+"/"+c.id] = c, c
	o.streaming.mu.Unlock()
	o.replyConversion(w, rt, http.StatusAccepted, c.id, "NotStarted")
}

func (o *operations) getConversion(w http.ResponseWriter, _ *http.Request, rt route) {
	o.streaming.mu.Lock()
	c := o.streaming.last[rt.name+"@"+rt.reference]
	if c == nil {
		o.streaming.mu.Unlock()
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", fmt.Sprintf("manifest %s was not converted", rt.reference), nil)
		return
	}
	id, status := c.id, c.status
	o.streaming.mu.Unlock()
	o.replyConversion(w, rt, http.StatusOK, id, status)
}

func (o *operations) replyConversion(w http.ResponseWriter, rt route, code int, id, status string) {
	o.nameOperation(w, rt, id)
	replyJSON(w, code, struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}{id, status})
}

// getOperation answers with the status, after a step. The last step makes the referrer.
func (o *operations) getOperation(w http.ResponseWriter, _ *http.Request, rt route) {
	o.replyOperation(w, rt, conversionName, func(c *conversion) {
		if c.step(); c.status != "Succeeded" {
			return
		}
		_, image, _ := strings.Cut(c.resource, "@")
		makes := &seeder{store: o.store, now: o.storage.now}
		if _, err := makes.seedReferrer(rt.name, digest.Digest(image), streamingType); err != nil {
			c.status = "Failed"
		}
	})
}

// cancelOperation ends an operation. How the service answers for one that has ended is not known; the
// emulator answers with its status.
func (o *operations) cancelOperation(w http.ResponseWriter, _ *http.Request, rt route) {
	o.replyOperation(w, rt, "Cancel: "+conversionName, func(c *conversion) { c.status = "Canceled" })
}

// replyOperation answers with the status of an operation, which goes on if it has not ended.
func (o *operations) replyOperation(w http.ResponseWriter, rt route, name string, goOn func(*conversion)) {
	o.streaming.mu.Lock()
	defer o.streaming.mu.Unlock()
	c := o.streaming.byID[rt.name+"/"+rt.uuid]
	if c == nil {
		fail(w, http.StatusNotFound, "OPERATION_UNKNOWN", fmt.Sprintf("operation %s is not found", rt.uuid), nil)
		return
	}
	if !c.ended() {
		goOn(c)
	}
	replyJSON(w, http.StatusOK, c.report(name))
}

package retention

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// ID returns the digest of the plan's JSON without its member "id". A person approves this ID; set
// it in ApplyOptions.Approved.
func (p *Plan) ID() digest.Digest {
	d := digest.Canonical.Digester()
	w := bufio.NewWriter(d.Hash())
	if err := p.writeJSON(w); err != nil {
		return "" // a plan holds nothing that cannot be encoded
	}
	_ = w.Flush() // a hash does not fail
	return d.Digest()
}

// MarshalJSON writes the plan as JSON, with its ID. The same plan is always written in the same
// way.
func (p *Plan) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := p.writeJSON(&b); err != nil || p == nil {
		return b.Bytes(), err
	}
	id := digest.FromBytes(b.Bytes())
	b.Truncate(b.Len() - len("}"))
	fmt.Fprintf(&b, `,"id":%q}`, id)
	return b.Bytes(), nil
}

// plainPlan is a plan without its methods.
type plainPlan Plan

// planFile is a plan as it is read.
type planFile struct {
	*plainPlan
	ID digest.Digest `json:"id"`
}

// writeJSON writes what json.Marshal returns for a plainPlan, but one entry of its lists at a time:
// the text of a large plan takes more memory than the plan.
func (p *Plan) writeJSON(w io.Writer) error {
	e := &planEncoder{w: w}
	if p == nil {
		e.text("null")
		return e.err
	}
	head := plainPlan(*p)
	head.Repositories = nil
	e.head(head, "null}")
	encodeList(e, p.Repositories, e.repository)
	e.text("}")
	return e.err
}

// planEncoder keeps the first error.
type planEncoder struct {
	w   io.Writer
	err error
}

func (e *planEncoder) repository(r *RepositoryPlan) {
	if r == nil {
		e.text("null")
		return
	}
	head := *r
	head.Delete, head.Untag, head.Keep, head.Findings = nil, nil, nil, nil
	e.head(head, `null,"untag":null}`)
	encodeList(e, r.Delete, encodeEntry[Manifest](e))
	e.text(`,"untag":`)
	encodeList(e, r.Untag, encodeEntry[Tag](e))
	if r.Keep != nil {
		e.text(`,"keep":`)
		encodeList(e, r.Keep, encodeEntry[Kept](e))
	}
	if r.Findings != nil {
		e.text(`,"findings":`)
		encodeList(e, r.Findings, encodeEntry[Finding](e))
	}
	e.text("}")
}

// head writes a struct whose last members are empty lists, up to those: without this end.
func (e *planEncoder) head(v any, end string) {
	document, err := json.Marshal(v)
	if e.err == nil {
		e.err = err
	}
	e.text(string(bytes.TrimSuffix(document, []byte(end))))
}

func (e *planEncoder) text(s string) {
	if e.err == nil {
		_, e.err = io.WriteString(e.w, s)
	}
}

func encodeList[T any](e *planEncoder, list []T, entry func(T)) {
	if list == nil {
		e.text("null")
		return
	}
	e.text("[")
	for i, v := range list {
		if i > 0 {
			e.text(",")
		}
		entry(v)
	}
	e.text("]")
}

// encodeEntry returns a function that writes one entry of a list.
func encodeEntry[T any](e *planEncoder) func(T) {
	return func(v T) { e.head(v, "") }
}

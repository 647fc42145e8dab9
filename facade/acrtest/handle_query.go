package acrtest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/kql"
	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// queryPage is how many rows a page of a query has.
const queryPage = 100

// queryMetadata answers a query for manifests, a preview of the service that is known by what the Azure
// command line calls and has recorded. Package kql says how much of the language is understood.
func (o *operations) queryMetadata(w http.ResponseWriter, r *http.Request, rt route) {
	var body struct {
		Query   string `json:"query"`
		Options struct {
			SkipToken string `json:"$skipToken"`
		} `json:"options"`
	}
	if !o.decodeBody(w, r, &body) {
		return
	}
	query, err := kql.Parse(body.Query)
	if err != nil {
		fail(w, http.StatusBadRequest, "QUERY_INVALID", err.Error(), nil)
		return
	}
	if query.Table != "Manifests" {
		fail(w, http.StatusBadRequest, "QUERY_INVALID", fmt.Sprintf("there is no table %q", query.Table), nil)
		return
	}
	rows, err := o.manifestRows(rt.name)
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	rows = query.Run(rows)
	start, err := skipped(body.Options.SkipToken)
	if err != nil || start < 0 || start > len(rows) {
		fail(w, http.StatusBadRequest, "SKIP_TOKEN_INVALID", "the skip token is not one", nil)
		return
	}
	end, next := min(start+queryPage, len(rows)), ""
	if end < len(rows) {
		next = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(end)))
	}
	replyJSON(w, http.StatusOK, struct {
		Count  int       `json:"count"`
		Region string    `json:"region"`
		Skip   string    `json:"$skipToken"`
		Data   []kql.Row `json:"data"`
	}{end - start, "local", next, append([]kql.Row{}, rows[start:end]...)})
}

// skipped is where a page starts.
func skipped(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// manifestRows are the manifests of a repository; of all of them if the name is empty.
func (o *operations) manifestRows(name string) (rows []kql.Row, err error) {
	names := []string{name}
	if name == "" {
		names = names[:0]
		for p, more := (store.Page{N: 1000}), true; more; p.After = names[len(names)-1] {
			var page []string
			if page, more = o.store.Repositories(p); len(page) == 0 {
				break
			}
			names = append(names, page...)
		}
	}
	for _, name := range names {
		for p, more := (store.Page{N: 1000}), true; more; {
			var page []store.Manifest
			if page, more, err = o.store.Manifests(name, p); err != nil {
				return nil, err
			}
			for _, m := range page {
				rows = append(rows, manifestRow(name, m))
				p.After = m.Digest.String()
			}
		}
	}
	return rows, nil
}

// manifestRow has the members of the service's rows. Those that do not apply are absent.
func manifestRow(name string, m store.Manifest) kql.Row {
	row := kql.Row{
		"repository": name, "digest": m.Digest.String(), "mediaType": m.MediaType, "size": int64(len(m.Content)),
		"imageSize": m.ImageSize, "createdAt": m.Created.UTC().Format(time.RFC3339Nano),
	}
	for key, value := range map[string]string{
		"architecture": m.Architecture, "os": m.OS, "subject": m.Subject.String(), "artifactType": m.ArtifactType,
	} {
		if value != "" {
			row[key] = value
		}
	}
	if len(m.Annotations) > 0 {
		row["annotations"] = m.Annotations
	}
	return row
}

package api_test

import (
	"regexp"
	"strings"
	"testing"
)

// reason explains differences between the Swagger and our document. Its pattern has to match a whole fact, or a whole
// "fact = value"; an asterisk stands for anything.
type reason struct{ pattern, why string }

// departures are what the Swagger says and our document does not, or says otherwise.
var departures = []reason{
	{"* query n = integer, optional", "No page has more than 1000 entries, so 32 bits do."},
	{"* query orderby = string, optional", "The Swagger has the three orders in definitions that no parameter refers to; here the parameter does."},
	{"GET /v2/{}/manifests/{} 200 body", "One schema that is all kinds of manifest at once has been taken apart by media type."},
	{"PUT /v2/{}/manifests/{} body", "One schema that is all kinds of manifest at once has been taken apart by media type."},
	{"GET /v2/{}/manifests/{} header accept", "OpenAPI 3 ignores a parameter of that name; the overlay gives it to the generator."},
	{"PUT /v2/{}/manifests/{} 201 body", "Recorded answers are empty."},
	{"PUT /v2/{}/manifests/{} 201 header content-length", "Of every HTTP answer: x-response-headers-everywhere."},
	{"PATCH /acr/v1/* body", "A patch is a schema of its own, since in it a missing key means something; and an empty one has no use."},
	{"PATCH /v2/{}/blobs/uploads/{} body = object file, required", "OpenAPI 3 spells a stream of bytes `string`, `binary`."},
	{"PUT /v2/{}/blobs/uploads/{} body = object file, optional", "OpenAPI 3 spells a stream of bytes `string`, `binary`."},
	{"PUT /v2/{}/blobs/uploads/{} 201 header range", "Recorded answers do not have it."},
	{"POST /oauth2/exchange body .access_token = schema AccessToken, optional", "An artefact of the conversion: a definition and a parameter have the same name."},
	{"POST /oauth2/exchange body .refresh_token = schema RefreshToken, optional", "An artefact of the conversion: a definition and a parameter have the same name."},
	{"POST /oauth2/* body = form, optional", "The form has required fields, so it is required."},
	{"POST /oauth2/token body .refresh_token = string, required", "Anonymous callers have none; recorded calls leave it empty."},
	{"POST /v2/{}/blobs/uploads/ query from = string, required", "The path also opens a session, without it."},
	{"POST /v2/{}/blobs/uploads/ query mount = string, required", "The path also opens a session, without it."},
	{"DELETE /v2/{}/blobs/{} 202 body", "Recorded answers are empty."},
	{"DELETE /v2/{}/blobs/{} 202 types = application/octet-stream", "Recorded answers are empty."},
	{"PUT /v2/{}/manifests/{} 201 types = application/json", "Recorded answers are empty."},
	{"GET /v2/{}/manifests/{} 200 types = application/json", "A manifest has its own media type, and so has its answer."},
	{"document security = registry_auth, registry_oauth2", "Tokens are x-acr-scopes here: neither scheme says which scope an operation needs."},
	{"DELETE /v2/{}/blobs/{} 202 header docker-content-digest", "Recorded answers do not have it."},
	{"HEAD /v2/{}/blobs/{} *XX body", "An answer to HEAD has no body."},
	{"schema ErrorInfo .detail = object", "Recorded errors have a string, an object, an array, or none."},
	{"schema ErrorInfo .code = string", "Here the known codes are listed, as an open set."},
	{"schema ImageIndex .manifests", "An entry of an index is a descriptor: one schema for both."},
	{"schema ManifestListAttributes*", "An entry of an index is a descriptor: one schema for both."},
	{"schema * .architecture = string of 386|amd64|arm|arm64|mips|mips64|mips64le|mipsle|ppc64|ppc641e|riscv64|s390x|wasm", "ppc641e is a slip for ppc64le."},
	{"schema ManifestReference .os", "Described at ManifestProperties, as an open set."},
	{"schema ManifestV1 .fsLayers", "Schema 1 is written out in one schema."},
	{"schema ManifestV1 .history", "Schema 1 is written out in one schema."},
	{"schema ManifestV1 .signatures", "Schema 1 is written out in one schema."},
	{"schema FsLayer*", "Schema 1 is written out in one schema."},
	{"schema History*", "Schema 1 is written out in one schema."},
	{"schema ImageSignature*", "Signatures of schema 1 are of no use to anyone here, so they are not taken apart."},
	{"schema JWK*", "Signatures of schema 1 are of no use to anyone here, so they are not taken apart."},
	{"schema Manifest", "What all kinds of manifest have in common is not a kind of manifest."},
	{"schema ManifestWrapper*", "One schema that is all kinds of manifest at once has been taken apart by media type."},
	{"schema Annotations .org.opencontainers.image.*", "Annotations are an open map of strings; these names are OCI's, and one that is no date must not break the rest."},
	{"schema ArtifactArchitecture", "Written out where it is used, as an open set."},
	{"schema ArtifactOperatingSystem", "Written out where it is used, as an open set."},
	{"schema ManifestOrderBy", "The same as the order of tags: Order."},
	{"schema TagOrderBy", "The same as the order of manifests: Order."},
	{"schema TagList .tags always = yes", "An empty list is null."},
	{"schema *List .link", "Recorded answers do not have it; the link is in the header of that name."},
	{"schema TagAttributes_tag*", "No operation and no other definition uses it."},
	{"schema ManifestAttributes_manifest*", "No operation and no other definition uses it."},
	{"schema Grant_type", "An artefact of the conversion: a form field."},
	{"schema Scope", "An artefact of the conversion: a form field."},
	{"schema Service", "An artefact of the conversion: a form field."},
	{"schema Tenant", "An artefact of the conversion: a form field."},
}

// additions are what our document says and the Swagger does not.
var additions = []reason{
	{"* [45]XX header *", "Recorded errors have a challenge, a request id, a budget; throttled calls are told when to come back."},
	{"* 20[024] header x-ms-ratelimit-remaining-calls-per-second", "Recorded on deletes and exchanges."},
	{"DELETE /acr/v1/{}/_tags/{} 202 header x-ms-int-docker-content-digest", "Recorded."},
	{"*/acr/v1/_deleted/*", "Soft delete is a preview that Microsoft's command line uses and no specification has."},
	{"*/acr/v1/{}/_streaming*", "Artifact streaming is a preview that Microsoft's command line uses and no specification has."},
	{"*/acr/v1/{}/_operations/*", "Artifact streaming is a preview that Microsoft's command line uses and no specification has."},
	{"*/acr/v1/*_metadata/_query*", "The metadata query is a preview that Microsoft's command line uses and no specification has."},
	{"GET /v2/_catalog", "Of the distribution specification; served."},
	{"GET /v2/{}/tags/list", "Of the distribution specification; served."},
	{"GET /v2/{}/referrers/{}", "Of the distribution specification 1.1; served."},
	{"HEAD /v2/{}/manifests/{}", "Of the distribution specification; served."},
	{"GET /acr/v1/_catalog query orderby", "Recorded links to a second page have it, empty."},
	{"GET /oauth2/token query api-version", "As the POST on the same path."},
	{"GET /v2/ 200 types", "Registries answer an empty object; what this one says is not recorded."},
	{"schema * always", "The Swagger requires next to nothing; what every recorded answer has is required here."},
	{"GET /v2/ 200 body", "Registries answer an empty object; what this one says is not recorded."},
	{"* /v2/{}/blobs/uploads/{} query _*", "Part of the Location that the Swagger takes whole."},
	{"P* /v2/{}/blobs/uploads/{} header content-range", "The Swagger defines the parameter and attaches it to nothing; SDKs send it and the registry checks its form."},
	{"GET /v2/{}/blobs/uploads/{} 204 header location", "Of the distribution specification."},
	{"DELETE /v2/{}/blobs/uploads/{} 204 header docker-upload-uuid", "Of the code that the registry descends from."},
	{"POST /v2/{}/blobs/uploads/ 202", "Recorded: a session is opened."},
	{"POST /v2/{}/blobs/uploads/ body", "Upload in one request, of the distribution specification."},
	{"POST /v2/{}/blobs/uploads/ query digest", "Upload in one request, of the distribution specification."},
	{"GET /v2/{}/blobs/{} 206", "Of the distribution specification, for registries that send blobs themselves."},
	{"GET /v2/{}/blobs/{} header range", "Storage honours it."},
	{"* /v2/{}/blobs/{} 200 header *", "Of HTTP."},
	{"* /v2/{}/blobs/{} 307 header docker-content-digest", "Recorded; storage does not send it."},
	{"GET /v2/{}/manifests/{} 200 header *", "Recorded."},
	{"GET /v2/{}/manifests/{} 304", "Of HTTP, and of the code that the registry descends from."},
	{"GET /v2/{}/manifests/{} header if-none-match", "Of HTTP, and of the code that the registry descends from."},
	{"PUT /v2/{}/manifests/{} 201 header oci-subject", "Of the distribution specification 1.1."},
	{"POST /oauth2/token body .username", "The convention of Docker for grant_type=password."},
	{"POST /oauth2/token body .password", "The convention of Docker for grant_type=password."},
	{"schema Descriptor .*", "Of the image specification 1.1."},
	{"schema Image* .artifactType", "Of the image specification 1.1."},
	{"schema Image* .subject", "Of the image specification 1.1."},
	{"schema ManifestAttributes .quarantine*", "Recorded."},
	{"PATCH /acr/v1/{}/_manifests/{} body .quarantine*", "A preview that the documentation of the registry describes and no specification has."},
	{"schema ManifestProperties .mediaType", "Recorded."},
}

// explained are reasons that remember which of them were needed.
type explained struct {
	reasons []reason
	match   []*regexp.Regexp
	used    []bool
}

func explain(reasons []reason) *explained {
	e := &explained{reasons: reasons, used: make([]bool, len(reasons))}
	for _, r := range reasons {
		expr := regexp.QuoteMeta(r.pattern)
		expr = strings.ReplaceAll(expr, `\*`, ".*")
		expr = regexp.MustCompile(`\\\[(\w+)\\\]`).ReplaceAllString(expr, "[$1]")
		e.match = append(e.match, regexp.MustCompile("^"+expr+"$"))
	}
	return e
}

// why returns the reason for a difference, or "".
func (e *explained) why(fact, value string) string {
	for i, match := range e.match {
		if match.MatchString(fact) || match.MatchString(fact+" = "+value) {
			e.used[i] = true
			return e.reasons[i].why
		}
	}
	return ""
}

func (e *explained) stale(t *testing.T, list string) {
	t.Helper()
	for i, used := range e.used {
		if !used {
			t.Errorf("%s: %q explains nothing any more", list, e.reasons[i].pattern)
		}
	}
}

package call

// Kind says which row of the redirect table (wire.Decide) a request belongs to.
type Kind uint8

// The kinds of requests.
const (
	// API is manifests, tags, catalog and /acr/v1. Redirects of GET and HEAD are followed on the login origin, three at
	// most.
	API Kind = iota
	// Token is /oauth2/*. No redirect is followed, so that a token in a body is never sent a second time elsewhere.
	Token
	// Upload is an upload session. No redirect is followed, and the retry policy never repeats PATCH, PUT
	// and POST with a body, because a request whose response was lost may have been applied.
	Upload
	// Blob is GET or HEAD of a blob. A redirect is returned to the caller, who continues with transport.BlobLink and
	// Fetch.
	Blob
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Token:
		return "token"
	case Upload:
		return "upload"
	case Blob:
		return "blob"
	default:
		return "api"
	}
}

package transport

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Doer sends the requests of the generated client through a pipeline. The body of a success is streamed, never read
// ahead.
type Doer struct{ Pipeline runtime.Pipeline }

// Do sends the request. A refusal counts even if its body broke off.
func (d Doer) Do(r *http.Request) (*http.Response, error) {
	req, err := runtime.NewRequestFromRequest(r)
	if err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(req)
	resp, err := d.Pipeline.Do(req)
	if refusal := refusalIn(err); refusal != nil && r.Context().Err() == nil {
		return refusal, nil
	}
	return resp, err
}

package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An image's configuration is read while another push renews its blob; the race detector looks on.
func TestConfigIsReadWhileItIsPushedAgain(t *testing.T) {
	t.Parallel()
	st := open(t, Options{})
	const config = `{"architecture":"arm64","os":"linux"}`
	b := must[Blob](t)(st.PutBlob("app", strings.NewReader(config), ""))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 50 {
				if _, err := st.PutBlob("app", strings.NewReader(config), ""); err != nil {
					t.Error(err)
				}
				content := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[],"annotations":{"n":"%d-%d"}}`,
					mediaType, ocispec.MediaTypeImageConfig, b.Digest, b.Size, n, i)
				m, err := st.PutManifest("app", Push{MediaType: mediaType, Content: content})
				if err != nil || m.Architecture != "arm64" {
					t.Errorf("%q, %v", m.Architecture, err)
				}
			}
		})
	}
	all.Wait()
}

package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"path/filepath"
	"testing"

	helm "helm.sh/helm/v3/pkg/registry"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// A chart with its provenance file that helm pushed is taken around and back by ours, and pulled by helm.
func TestHelm(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	transport := srv.HTTPClient()
	t.Cleanup(transport.CloseIdleConnections)
	user, password := srv.Admin()
	client := must[*helm.Client](t)(helm.NewClient(helm.ClientOptHTTPClient(transport), helm.ClientOptBasicAuth(user, password),
		helm.ClientOptCredentialsFile(filepath.Join(t.TempDir(), "credentials.json"))))
	chart, provenance := helmChart(t), []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")

	pushed, err := client.Push(chart, srv.Host()+"/charts/app:1.2.3", helm.PushOptProvData(provenance))
	if err != nil {
		t.Fatal(err)
	}
	ours := newClient(t, srv)
	dir, archive := around(t, images.Of(ours.Repository("charts/app")), "1.2.3")
	root, err := open(t, dir).Resolve(t.Context(), "v1")
	if err != nil || string(root.Digest) != pushed.Manifest.Digest {
		t.Errorf("%s instead of %s, %v", root.Digest, pushed.Manifest.Digest, err)
	}
	for repository, path := range map[string]string{"back/app": dir, "archived/app": archive} {
		if _, err := images.Push(t.Context(), path, "v1", ours.Repository(repository), "1.2.3", nil); err != nil {
			t.Fatal(err)
		}
		pulled, err := client.Pull(srv.Host()+"/"+repository+":1.2.3", helm.PullOptWithProv(true))
		if err != nil {
			t.Fatal(err)
		}
		if pulled.Manifest.Digest != pushed.Manifest.Digest || !bytes.Equal(pulled.Chart.Data, chart) || !bytes.Equal(pulled.Prov.Data, provenance) {
			t.Errorf("%s is not the chart that was pushed", repository)
		}
	}
}

// helmChart is a packed chart.
func helmChart(t *testing.T) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	content := []byte("apiVersion: v2\nname: app\nversion: 1.2.3\n")
	if err := w.WriteHeader(&tar.Header{Name: "app/Chart.yaml", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

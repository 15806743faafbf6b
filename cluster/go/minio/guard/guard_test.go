package guard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestRequests(t *testing.T) {
	for name, c := range map[string]struct {
		method, target string
		header         map[string]string
		status         int
	}{
		"signed upload":            {"PUT", "/b/k", map[string]string{"x-amz-content-sha256": digest}, 200},
		"upload in signed chunks":  {"PUT", "/b/k", map[string]string{"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}, 200},
		"upload without a digest":  {"PUT", "/b/k", map[string]string{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, 200},
		"download":                 {"GET", "/b/k", nil, 200},
		"list":                     {"GET", "/b?list-type=2&prefix=images/", nil, 200},
		"health":                   {"GET", "/minio/health/live", nil, 200},
		"administration":           {"PUT", "/minio/admin/v3/add-user?accessKey=api", nil, 200},
		"metadata of one's own":    {"PUT", "/b/k", map[string]string{"x-amz-meta-snow": "true"}, 200},
		"unsigned trailer":         {"PUT", "/b/k", map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, 501},
		"unsigned trailer, lower":  {"PUT", "/b/k", map[string]string{"x-amz-content-sha256": "streaming-unsigned-payload-trailer"}, 501},
		"unsigned trailer, query":  {"PUT", "/b/k?X-Amz-Content-Sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER", nil, 501},
		"archive to unpack":        {"PUT", "/b/k", map[string]string{"X-Amz-Meta-Snowball-Auto-Extract": "true"}, 501},
		"select":                   {"POST", "/b/k?select&select-type=2", nil, 501},
		"replication":              {"PUT", "/b/k", map[string]string{"x-minio-replication-server-side-encryption-iv": "x"}, 501},
		"a browser's form":         {"POST", "/b", map[string]string{"Content-Type": "Multipart/form-data; boundary=x"}, 501},
		"replication, query":       {"PUT", "/b/k?x-minio-replication-encrypted-multipart=x", nil, 501},
		"a replica's own metadata": {"PUT", "/b/k", map[string]string{"X-Minio-Source-Mtime": "x"}, 501},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(c.method, c.target, c.header); got.Code != c.status {
				t.Errorf("answered with %d instead of %d", got.Code, c.status)
			}
		})
	}
}

func TestARefusalIsAnErrorOfS3(t *testing.T) {
	got := ask("PUT", "/b/k", map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
	if body := got.Body.String(); !strings.Contains(body, "<Code>NotImplemented</Code>") {
		t.Errorf("no code of S3 in %q", body)
	}
	if got.Header().Get("Connection") != "close" {
		t.Error("the connection is kept, with an unread body in it")
	}
}

func TestSeveralValuesOfOneHeader(t *testing.T) {
	request := httptest.NewRequest("PUT", "/b/k", nil)
	request.Header.Add("x-amz-content-sha256", digest)
	request.Header.Add("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	if Refused(request) == "" {
		t.Error("the second value was not looked at")
	}
}

func ask(method, target string, header map[string]string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	Middleware(ok).ServeHTTP(recorder, request)
	return recorder
}

// Package guard refuses requests that reach known vulnerabilities of MinIO's last public source.
//
// All are of features that vision-node does not use; see docs/store.md.
package guard

import (
	"fmt"
	"net/http"
	"strings"
)

const (
	contentSHA256 = "X-Amz-Content-Sha256"
	// Uploads whose chunks nobody signs: MinIO then forgets to check the signature of the request itself
	// (CVE-2026-40344, CVE-2026-41145).
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	// Archives that MinIO unpacks into the bucket (CVE-2026-40344).
	snowball = "X-Amz-Meta-Snowball-Auto-Extract"
	// SQL on an object, which reads lines of any length into memory (CVE-2026-39414).
	selectType = "Select-Type"
	form       = "multipart/form-data"
)

// What one MinIO tells another when it replicates objects; from others, it makes them unreadable
// (CVE-2026-34204).
var replication = []string{"X-Minio-Replication-", "X-Minio-Source-"}

// Middleware answers what is refused with 501 and hands on all else.
func Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := Refused(r); reason != "" {
			answer(w, reason)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Refused says what of a request is refused; nothing when it may pass.
func Refused(r *http.Request) string {
	// A browser's form may carry as fields what the headers of other uploads may not.
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), form) {
		return form
	}
	// MinIO takes much of what it reads in headers from the query, too.
	for _, values := range []map[string][]string{r.Header, r.URL.Query()} {
		for name, content := range values {
			if reason := refusedField(http.CanonicalHeaderKey(name), content); reason != "" {
				return reason
			}
		}
	}
	return ""
}

func refusedField(name string, values []string) string {
	switch {
	case name == contentSHA256 && strings.Contains(strings.ToUpper(strings.Join(values, ",")), unsignedTrailer):
		return unsignedTrailer
	case name == snowball, name == selectType, hasPrefix(name, replication):
		return name
	default:
		return ""
	}
}

func hasPrefix(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func answer(w http.ResponseWriter, reason string) {
	// The rest of a refused upload is not read, so that the connection cannot serve another request.
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusNotImplemented)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotImplemented</Code>"+
		"<Message>this store refuses %s, which it does not need</Message></Error>", reason)
}

package acrsuite

import (
	"strings"
	"testing"
)

// TestSecretsAreFound: a secret is found in each form that it may take, also one that is no JWT, and nothing else is.
func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{
		"JWT":    "eyJhbGciOiJub25lIn0.c2VjcmV0IG9mIGEgdGVzdCBvbmx5LCBsb25nIGVub3VnaA.c2lnbmF0dXJlIG9mIGEgdGVzdA",
		"opaque": "q8T+opaque/refresh+token+of/a+test<&>longenough==",
		"words":  "correct.horse.battery.staple.of.acrsuite",
	} {
		book := newSecretBook()
		book.Learn(refreshSecret, secret, "")
		for form, encode := range Encodings {
			text := encode(secret)
			if !book.look("here", "error: token "+text+" is not valid") {
				t.Errorf("%s, %s: not found in %s", name, form, text)
			}
		}
		if book.look("here", "sha256:"+strings.Repeat("0123abcd", 8)+" 100% of aGVsbG8gd29ybGQsIG5vdCBhIHNlY3JldA") {
			t.Errorf("%s: found where it is not", name)
		}
	}
}

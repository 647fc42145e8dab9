package auth

import "time"

// defaultTimeout is how long a try of a token request may take: an exchange of 40 seconds has been seen.
const defaultTimeout = time.Minute

// maxFetches is how many access tokens are fetched at a time. That is fewer than the transport has connections, so that no
// token request waits for one behind others of its kind.
const maxFetches = 64

// limits end a sign-in that gets no answer. Each leaves the one within it the time to say what was amiss.
type limits struct {
	try     time.Duration // of a token request, its body included
	request time.Duration // with all tries and the waits between them
	refresh time.Duration // of getting a refresh token: the credential and the exchange
	access  time.Duration // of getting an access token, which may include one of a refresh token
	early   time.Duration // of a renewal while the old token can still be used, which tries each request once
}

// limitsOf returns the limits for tries of the given length. Two tries that get no answer, and a credential that takes a
// minute and a half, are within them.
func limitsOf(try time.Duration) limits {
	if try <= 0 {
		try = defaultTimeout
	}
	l := limits{try: try, request: 2*try + 30*time.Second, early: try + 30*time.Second}
	l.refresh = l.request + 90*time.Second
	l.access = l.refresh + 5*time.Second
	return l
}

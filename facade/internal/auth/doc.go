// Package auth signs requests to a registry in. The scopes a request needs are in its context, the tokens are in here, and [Authenticator.Policy] brings the two together once
// per try. It knows tokens and scopes, no blobs and no manifests.
//
// Three tokens follow from each other: an Entra token (of an azcore.TokenCredential) is exchanged for a refresh token of the registry, about three hours
// of life, and that for access tokens, an hour each (anonymous ones five minutes), which allow the scopes asked for and nothing else. All are cached, renewed before their
// end, and fetched once for any number of waiting callers. A fetch ends with its last waiter, and by itself: a try after a minute, a request with its retries after two and a half, all of
// it with the credential's part after four. Who renews a token ahead of its end waits for five seconds at most, for the old one still serves.
//
// A server's word is taken for none of it: the token paths are fixed, realm and service of a challenge are not obeyed, its scope only within what the call needs.
package auth

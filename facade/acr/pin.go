package acr

import "context"

// PinAddress returns a context with which every request of this client goes to one address of the
// registry: the first one that the registry's name resolves to. Use it for calls that belong
// together, such as the push of an image with its blobs, mounts and manifests. The name of a
// geo-replicated registry may resolve to another replica from one connection to the next, and that
// replica does not have yet what was pushed to the first.
//
// If the address can no longer be reached, the requests move on to the next one. Not pinned are
// requests for tokens (which are valid at every replica), requests to storage, those through a
// proxy, and those of other clients. If ctx is pinned for this client already, PinAddress returns
// it as it is.
//
// PinAddress sends nothing. The pinned requests have connections of their own; release closes those
// that are idle, and is called once all calls with the context have returned.
func (c *Client) PinAddress(ctx context.Context) (pinned context.Context, release func()) {
	if c.transport.Pinned(ctx) {
		return ctx, func() {}
	}
	pin := c.transport.NewPin()
	return pin.With(ctx), pin.Close
}

package acr

import "context"

// PinAddress returns a context that sends every request of this client to one address of the
// registry: the first one that the registry's name resolves to. Use it for calls that belong
// together, such as the push of an image with its blobs, mounts and manifests. The name of a
// geo-replicated registry may resolve to another replica from one connection to the next, and that
// replica may not have yet what was pushed to the first.
//
// If the address can no longer be reached, the requests move on to the next one. It does not pin
// token requests (tokens are valid at every replica), requests to storage, requests through a
// proxy, and those of other clients. If ctx is already pinned for this client, PinAddress returns
// it unchanged.
//
// PinAddress sends no request. Pinned requests have their own connections. Call release after all
// calls with the context have returned; it closes the idle ones.
func (c *Client) PinAddress(ctx context.Context) (pinned context.Context, release func()) {
	if c.bad() != nil || c.transport.Pinned(ctx) {
		return ctx, func() {}
	}
	pin := c.transport.NewPin()
	return pin.With(ctx), pin.Close
}

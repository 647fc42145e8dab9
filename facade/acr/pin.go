package acr

import (
	"context"

	"github.com/acrkit/acrkit/facade/internal/transport"
)

// pushPin keeps one push at the address that the registry's name resolved to first. A nil pin does nothing.
type pushPin struct{ *transport.Pin }

func (c *Client) newPin() *pushPin { return &pushPin{c.transport.NewPin()} }

// with sends what is asked with the context over the pin's connections.
func (p *pushPin) with(ctx context.Context) context.Context {
	if p == nil {
		return ctx
	}
	return transport.WithPin(ctx, p.Pin)
}

// close closes them.
func (p *pushPin) close() {
	if p != nil {
		p.Close()
	}
}

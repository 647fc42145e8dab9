package acr

import "github.com/acrkit/acrkit/facade/internal/transfer"

// Tune sets the sizes that the client's uploads were tuned to, so that a test can send a few bytes the way of many. It is called before the
// first upload.
func Tune(c *Client, t transfer.Tuning) { c.tuning = t }

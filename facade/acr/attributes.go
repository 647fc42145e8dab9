package acr

import "github.com/acrkit/acrkit/gen"

// patch checks that a change changes something, and gives it as a request body.
func (a ChangeableAttributes) patch() (gen.AttributesPatch, error) {
	if a == (ChangeableAttributes{}) {
		return gen.AttributesPatch{}, &ArgumentError{Kind: ErrInvalidArgument, Reason: "no attribute is set: there is nothing to change"}
	}
	return gen.AttributesPatch{
		DeleteEnabled: a.DeleteEnabled,
		WriteEnabled:  a.WriteEnabled,
		ListEnabled:   a.ListEnabled,
		ReadEnabled:   a.ReadEnabled,
	}, nil
}

package acr_test

import (
	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// sickRights are identities that may not do all of it.
var sickRights = []sick{
	{
		id: "no catalog role", server: []acrtest.Option{acrtest.WithEntraActions("samples/* content/read,content/write,metadata/read")}, options: onApp,
		step: acr.DoctorCatalog, cause: acr.ErrCatalogRole, says: []string{"Catalog Lister"}, want: map[string]acr.DoctorStatus{acr.DoctorCatalog: acr.DoctorWarn},
	},
	{
		id: "may pull, not push", server: []acrtest.Option{acrtest.WithEntraActions("* content/read,metadata/read")}, options: onApp,
		step: acr.DoctorPush, cause: acr.ErrMissingAction, says: []string{"not granted on samples/app", "AcrPush"}, want: map[string]acr.DoctorStatus{acr.DoctorPush: acr.DoctorWarn},
	},
	{
		id: "is to push and may not", server: []acrtest.Option{acrtest.WithEntraActions("* content/read,metadata/read")},
		options: &acr.DoctorOptions{Repository: "samples/app", TryPush: true}, step: acr.DoctorPush, cause: acr.ErrMissingAction, says: []string{"may not do this: push on samples/app", "AcrPush"},
		want: map[string]acr.DoctorStatus{acr.DoctorPush: acr.DoctorFailed, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "is to push and may", options: &acr.DoctorOptions{Repository: "samples/app", TryPush: true}, step: acr.DoctorPush, says: []string{"started and canceled"},
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "may not pull", server: []acrtest.Option{acrtest.WithEntraActions("others/* content/read")}, options: onApp, step: acr.DoctorPull, cause: acr.ErrMissingAction, says: []string{"pull on samples/app"},
		want: map[string]acr.DoctorStatus{acr.DoctorCatalog: acr.DoctorWarn, acr.DoctorPull: acr.DoctorFailed, acr.DoctorPush: acr.DoctorWarn, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "no such repository", options: &acr.DoctorOptions{Repository: "not/there"}, step: acr.DoctorPull, cause: acr.ErrNotFound, says: []string{"there is no repository not/there"},
		want: map[string]acr.DoctorStatus{acr.DoctorPull: acr.DoctorWarn, acr.DoctorStorage: acr.DoctorSkipped},
	},
}

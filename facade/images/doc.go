// Package images moves whole images between OCI image layouts, the Azure Container Registry and
// other registries.
//
// [Copy] copies an image with everything that it consists of, and with Referrers its signatures,
// SBOMs and attestations. [Push] and [Pull] are Copy from a layout on disk and into one; [Plan]
// says what Copy would do.
//
//	images.Push(ctx, "./layout", "v1", client.Repository("team/app"), "v1", nil)
//	images.Pull(ctx, client.Repository("team/app"), "v1", "./layout", nil)
//	images.Copy(ctx, images.Of(dev), "v1", images.Of(prod), "v1",
//		&images.CopyOptions{Referrers: true})
//
// # Sources and targets
//
// A [Repository], made by [Of], is a repository of package acr. A [Layout] is an OCI image layout:
// a directory, opened by [OpenLayout], or a tar archive, opened by [OpenArchive]. Both implement
// the interfaces of oras-go, so that they can be given to oras-go, notation-go and their like; and
// anything that implements those interfaces can be a source or target here.
//
// # What holds for every copy
//
//   - A tag of the target is set last. It never stands for an incomplete image.
//   - Bytes are not changed, unless platforms of an index are selected and KeepIndex is set: then
//     the report names the old and the new digest, and what was left out.
//   - Nothing in the content decides what is opened or written: neither titles nor URLs nor links.
//   - What is left out on purpose is in the report, with the action [Leave].
//   - A copy that failed is continued by the same call.
//
// # More than copies
//
// [Pack] and [Attach] make artifacts of files, [Files] reads them back, and [Tree] shows an image
// with everything that belongs to it. [WriteArchive] writes images as a tar archive. [Promote]
// copies an image with its signatures and checks the target before it sets a tag; [Protect] locks
// an image as a whole, and [Drift] reports which locks no longer hold. [WaitReadable] waits for the
// replicas of a geo-replicated registry, and [Mirror] keeps repositories in step with those of
// another registry.
//
// # Errors
//
// A failed copy returns a *[CopyError], which names the side, the repository or layout, and the
// manifest, blob or tag. errors.Is and errors.As find the cause behind it: the errors of this
// package, those of package acr, and those of oras-go.
package images

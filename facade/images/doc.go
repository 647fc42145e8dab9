// Package images moves whole images between OCI image layouts, the Azure Container Registry and
// other registries.
//
// [Copy] copies an image with all its manifests and blobs. With CopyOptions.Referrers it also
// copies the signatures, SBOMs and attestations of the image. [Push] copies from a layout on disk,
// [Pull] copies into one, and [Plan] reports what Copy would do.
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
// the interfaces of oras-go, so oras-go, notation-go and similar packages accept them. Any other
// type with these interfaces can be a source or target here.
//
// # What holds for every copy
//
//   - A tag of the target is set last, so it never points to an incomplete image.
//   - The bytes of the image do not change, with one exception: if platforms of an index are
//     selected and KeepIndex is set, the target gets a new index. The report then has the old and
//     the new digest, and what was left out.
//   - Titles, URLs and links in the content never decide which file or URL is opened.
//   - The report lists what is left out on purpose, with the action [Leave].
//   - To continue a copy that failed, repeat the same call.
//
// # More than copies
//
// [Pack] and [Attach] store files as artifacts, [Files] reads them back, and [Tree] shows an image
// with everything that belongs to it. [WriteArchive] writes images as a tar archive. [Promote]
// copies an image with its signatures and checks the target before it sets a tag; [Protect] locks
// an image as a whole, and [Drift] reports which of these locks are gone. [WaitReadable] waits for
// the replicas of a geo-replicated registry, and [Mirror] copies the missing tags of repositories
// from another registry.
//
// # Errors
//
// A failed copy returns a *[CopyError], which names the side (source or target), the repository or
// layout, and the manifest, blob or tag. errors.Is and errors.As find the cause behind it: the
// errors of this package, those of package acr, and those of oras-go.
package images

package engine

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// unfinished reports whether a version was created or updated and is not yet ready for it.
func unfinished(v *lambda.Version) bool {
	return v.State == lambda.Pending || v.UpdateStatus == lambda.UpdateInProgress
}

// deploy makes a version ready in the background: its code is unpacked, then the catalogue
// says so. It is idempotent; at a start it resumes what the last run left unfinished.
func (e *Engine) deploy(scope lambda.Scope, name string) {
	e.work.Go(func() {
		err := e.deployNow(e.ctx, scope, name)
		if err != nil && e.ctx.Err() == nil {
			q := unqualify(name)
			e.opt.Logger.Error("deploy", "scope", scope.String(), "function", q.function, "version", q.qualifier, "error", err)
		}
	})
}

func (e *Engine) deployNow(ctx context.Context, scope lambda.Scope, name string) error {
	catalog := e.opt.Store.Catalog()
	v, ok := store.Versions.Get(catalog.Snapshot(), scope, name)
	if !ok || !unfinished(v) {
		return nil
	}
	unpackErr := e.unpack(ctx, v)
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(unpackErr, catalog.Update(ctx, func(tx *store.Tx) error {
		now, ok := store.Versions.Get(tx, scope, name)
		if !ok || now.RevisionID != v.RevisionID {
			return nil // deleted or changed meanwhile: whoever did that deploys it
		}
		next := deployed(*now, unpackErr)
		store.Versions.Put(tx, scope, name, &next)
		return nil
	}))
}

// unpack makes sure that a version's code is there to boot from.
func (e *Engine) unpack(ctx context.Context, v *lambda.Version) error {
	d, err := store.ParseDigest(v.Code.SHA256)
	if err != nil {
		return err
	}
	tree, err := e.opt.Store.Blobs().Unpack(ctx, d)
	if err != nil {
		return err
	}
	tree.Release()
	return nil
}

// deployed is a version after its deployment. AWS gives it a new revision each time.
func deployed(v lambda.Version, err error) lambda.Version {
	v.RevisionID = uuid.NewString()
	if v.State == lambda.Pending {
		v.State, v.StateReason, v.StateReasonCode = lambda.Active, "", ""
		v.UpdateStatus = lambda.UpdateSuccessful
		if err != nil {
			v.State, v.StateReason, v.StateReasonCode = lambda.Failed, "The code could not be unpacked.", "InternalError"
			v.UpdateStatus = lambda.UpdateFailed
		}
		return v
	}
	v.UpdateReason, v.UpdateReasonCode = "", ""
	if err != nil {
		v.UpdateStatus, v.UpdateReason, v.UpdateReasonCode = lambda.UpdateFailed, "The code could not be unpacked.", "InternalError"
		return v
	}
	v.UpdateStatus = lambda.UpdateSuccessful
	v.Generation++
	return v
}

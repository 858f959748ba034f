package engine

import (
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// collectEvery is how often the code of deleted functions and replaced versions is removed.
const collectEvery = time.Hour

// collect removes code that no version refers to, at the start and every collectEvery.
func (e *Engine) collect() {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		removed, err := e.opt.Store.Blobs().Collect(e.ctx, e.liveCode)
		switch {
		case err != nil && e.ctx.Err() == nil:
			e.opt.Logger.Error("remove unused code", "error", err)
		case removed > 0:
			e.opt.Logger.Info("removed unused code", "packages", removed)
		}
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			return
		}
	}
}

// liveCode is the code that some version refers to.
func (e *Engine) liveCode() map[store.Digest]bool {
	live := make(map[store.Digest]bool)
	store.Versions.ScanAll(e.opt.Store.Catalog().Snapshot(), func(_ lambda.Scope, _ string, v *lambda.Version) bool {
		if d, err := store.ParseDigest(v.Code.SHA256); err == nil {
			live[d] = true
		}
		return true
	})
	return live
}

package lambda

import (
	"net/http"
	"strconv"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func versionNumber(n int) string { return strconv.Itoa(n) }

// PublishVersion makes a version out of $LATEST. If nothing changed since the last one it
// returns that one, whatever description is given.
func (s *Service) PublishVersion(c *wire.Call, in *api.PublishVersionRequest) (*api.FunctionConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := s.supported(c, in, "FunctionName", "CodeSha256", "Description", "RevisionId"); err != nil {
		return nil, err
	}
	var answer lambda.Version
	err = s.update(func(tx *store.Tx) error {
		latest, err := t.latest(tx)
		if err != nil {
			return err
		}
		if in.CodeSha256.V != "" && in.CodeSha256.V != latest.Code.SHA256 {
			return invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", in.CodeSha256.V, latest.Code.SHA256)
		}
		if err := checkRevision(in.RevisionId, latest.RevisionID); err != nil {
			return err
		}
		f, err := t.function(tx)
		if err != nil {
			return err
		}
		last, ok := store.Versions.Get(tx, t.scope, store.QualifiedName(t.name, versionNumber(f.LastVersion)))
		if ok && last.Fingerprint == fingerprint(latest) {
			answer = *last
			return nil
		}
		if err := s.storage.add(tx, t.scope, latest.Code.Size); err != nil {
			return err
		}
		next := *f
		answer = publication(&next, latest, in.Description.Or(latest.Description))
		store.Functions.Put(tx, t.scope, t.name, &next)
		store.Versions.Put(tx, t.scope, store.QualifiedName(t.name, answer.Number), &answer)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.SetStatus(http.StatusCreated)
	return s.configuration(t.scope, &answer, t.scope.FunctionARN(t.name, answer.Number)), nil
}

//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// A world is all that a server is told about one function.
type world struct {
	Exists      bool
	Latest      content
	Published   map[string]content // by version number
	Alias       string             // version the alias "live" points to, or ""
	Weight      string             // version and weight of its second version, or ""
	Reserved    int32              // 0: nothing is reserved
	Provisioned int32              // of the alias; 0: none
}

// A content is what a version runs: its code, by hash, and its variable NOTE.
type content struct{ Code, Note string }

func (w world) clone() world {
	w.Published = maps.Clone(w.Published)
	return w
}

func (w world) equal(v world) bool { return fmt.Sprint(w) == fmt.Sprint(v) }

func (w world) String() string {
	if !w.Exists {
		return "nothing"
	}
	return fmt.Sprintf("latest %.12v published %.12v alias %q weight %q reserved %d provisioned %d",
		w.Latest, w.Published, w.Alias, w.Weight, w.Reserved, w.Provisioned)
}

// A variant is a deployment package whose function answers with a marker.
type variant struct {
	zip    []byte
	marker string
}

func (v variant) hash() string {
	sum := sha256.Sum256(v.zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A builder changes the world of one function, one call after the other, and keeps account of
// what was acknowledged.
type builder struct {
	*account
	name     string
	variants []variant
	random   *rand.Rand
	acked    world // what every acknowledged call made
	pending  world // what the call in progress makes, if it is done
	notes    int   // given so far
	done     map[string]int
}

// A deed is a call that changes the world: it says what will be, and does it. A deed that makes
// no sense as things are returns nil.
type deed struct {
	name string
	plan func(b *builder, w *world) func(context.Context) error
}

var deeds = []deed{
	{"create", (*builder).create},
	{"update code", (*builder).updateCode},
	{"update configuration", (*builder).updateConfiguration},
	{"publish", (*builder).publish},
	{"publish", (*builder).publish},
	{"alias", (*builder).point},
	{"delete alias", (*builder).unpoint},
	{"reserve", (*builder).reserve},
	{"unreserve", (*builder).unreserve},
	{"provision", (*builder).provision},
	{"provision", (*builder).provision},
	{"unprovision", (*builder).unprovision},
	{"delete", (*builder).remove},
}

// work does one deed after the other until a call is not answered: the server is gone. An
// answer that refuses is an error.
func (b *builder) work(ctx context.Context) error {
	for {
		d := deeds[b.random.IntN(len(deeds))]
		next := b.acked.clone()
		call := d.plan(b, &next)
		if call == nil {
			continue
		}
		b.pending = next
		err := call(ctx)
		if err == nil {
			b.acked = next
			b.done[d.name]++
			err = b.settled(ctx)
		}
		switch {
		case code(err) != "":
			return fmt.Errorf("%s of %s: %w", d.name, b.name, err)
		case err != nil:
			return nil
		}
	}
}

// settled waits until no update is in progress, which would be in the way of the next.
func (b *builder) settled(ctx context.Context) error {
	for b.acked.Exists {
		c, err := b.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &b.name})
		if err != nil {
			return err
		}
		if c.State == types.StateActive && c.LastUpdateStatus != types.LastUpdateStatusInProgress {
			break
		}
	}
	return nil
}

func (b *builder) note() string {
	b.notes++
	return fmt.Sprint("note ", b.notes)
}

func (b *builder) variant() variant { return b.variants[b.random.IntN(len(b.variants))] }

func (b *builder) create(w *world) func(context.Context) error {
	if w.Exists {
		return nil
	}
	v, note := b.variant(), b.note()
	*w = world{Exists: true, Latest: content{v.hash(), note}, Published: map[string]content{}}
	return func(ctx context.Context) error {
		_, err := b.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: &b.name, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("none"), Role: aws.String("arn:aws:iam::" + b.id + ":role/e2e"),
			Timeout: aws.Int32(30), Code: &types.FunctionCode{ZipFile: v.zip}, Environment: &types.Environment{Variables: map[string]string{"NOTE": note}},
		})
		return err
	}
}

func (b *builder) updateCode(w *world) func(context.Context) error {
	v := b.variant()
	if !w.Exists || w.Latest.Code == v.hash() {
		return nil
	}
	w.Latest.Code = v.hash()
	return func(ctx context.Context) error {
		_, err := b.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &b.name, ZipFile: v.zip})
		return err
	}
}

func (b *builder) updateConfiguration(w *world) func(context.Context) error {
	if !w.Exists {
		return nil
	}
	w.Latest.Note = b.note()
	return func(ctx context.Context) error {
		_, err := b.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: &b.name, Environment: &types.Environment{Variables: map[string]string{"NOTE": w.Latest.Note}},
		})
		return err
	}
}

func (b *builder) publish(w *world) func(context.Context) error {
	last := fmt.Sprint(len(w.Published))
	if !w.Exists || w.Published[last] == w.Latest {
		return nil // it would answer with the last version
	}
	number := fmt.Sprint(len(w.Published) + 1)
	w.Published[number] = w.Latest
	return func(ctx context.Context) error {
		out, err := b.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &b.name})
		if err == nil && *out.Version != number {
			err = fmt.Errorf("published as %s, not %s", *out.Version, number)
		}
		return err
	}
}

// point points the alias to a version, in a third of the cases with a second one.
func (b *builder) point(w *world) func(context.Context) error {
	if len(w.Published) == 0 {
		return nil
	}
	first, second := b.random.IntN(len(w.Published))+1, b.random.IntN(len(w.Published))+1
	routing := &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}
	isNew := w.Alias == ""
	w.Alias, w.Weight = fmt.Sprint(first), ""
	if first != second && b.random.IntN(3) == 0 {
		w.Weight = fmt.Sprint(second, " 0.25")
		routing.AdditionalVersionWeights[fmt.Sprint(second)] = 0.25
	}
	return func(ctx context.Context) (err error) {
		if isNew {
			_, err = b.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &b.name, Name: aws.String("live"), FunctionVersion: &w.Alias, RoutingConfig: routing})
		} else {
			_, err = b.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &b.name, Name: aws.String("live"), FunctionVersion: &w.Alias, RoutingConfig: routing})
		}
		return err
	}
}

func (b *builder) unpoint(w *world) func(context.Context) error {
	if w.Alias == "" || b.random.IntN(3) > 0 {
		return nil
	}
	w.Alias, w.Weight, w.Provisioned = "", "", 0
	return func(ctx context.Context) error {
		_, err := b.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &b.name, Name: aws.String("live")})
		return err
	}
}

func (b *builder) reserve(w *world) func(context.Context) error {
	if !w.Exists {
		return nil
	}
	w.Reserved = 5 + b.random.Int32N(10) // more than is ever provisioned
	return func(ctx context.Context) error {
		_, err := b.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &b.name, ReservedConcurrentExecutions: &w.Reserved})
		return err
	}
}

func (b *builder) unreserve(w *world) func(context.Context) error {
	if w.Reserved == 0 {
		return nil
	}
	w.Reserved = 0
	return func(ctx context.Context) error {
		_, err := b.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: &b.name})
		return err
	}
}

func (b *builder) provision(w *world) func(context.Context) error {
	if w.Alias == "" {
		return nil
	}
	w.Provisioned = 1 + b.random.Int32N(3)
	return func(ctx context.Context) error {
		_, err := b.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{
			FunctionName: &b.name, Qualifier: aws.String("live"), ProvisionedConcurrentExecutions: &w.Provisioned,
		})
		return err
	}
}

func (b *builder) unprovision(w *world) func(context.Context) error {
	if w.Provisioned == 0 || b.random.IntN(3) > 0 {
		return nil
	}
	w.Provisioned = 0
	return func(ctx context.Context) error {
		_, err := b.DeleteProvisionedConcurrencyConfig(ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: &b.name, Qualifier: aws.String("live")})
		return err
	}
}

func (b *builder) remove(w *world) func(context.Context) error {
	if !w.Exists || b.random.IntN(4) > 0 {
		return nil
	}
	*w = world{}
	return func(ctx context.Context) error {
		_, err := b.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &b.name})
		return err
	}
}

// observe reads the world of the function as the server has it.
func (b *builder) observe(ctx context.Context) (world, error) {
	f, err := b.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &b.name})
	if code(err) == "ResourceNotFoundException" {
		return world{}, nil
	}
	if err != nil {
		return world{}, err
	}
	w := world{Exists: true, Published: make(map[string]content)}
	if f.Concurrency != nil {
		w.Reserved = *f.Concurrency.ReservedConcurrentExecutions
	}
	versions := lambda.NewListVersionsByFunctionPaginator(b, &lambda.ListVersionsByFunctionInput{FunctionName: &b.name})
	for versions.HasMorePages() {
		page, err := versions.NextPage(ctx)
		if err != nil {
			return w, err
		}
		for _, v := range page.Versions {
			w.Published[*v.Version] = content{*v.CodeSha256, v.Environment.Variables["NOTE"]}
		}
	}
	w.Latest = w.Published["$LATEST"]
	delete(w.Published, "$LATEST")
	return w, b.observeAlias(ctx, &w)
}

func (b *builder) observeAlias(ctx context.Context, w *world) error {
	aliases, err := b.ListAliases(ctx, &lambda.ListAliasesInput{FunctionName: &b.name})
	if err != nil {
		return err
	}
	for _, a := range aliases.Aliases {
		w.Alias = *a.FunctionVersion
		if a.RoutingConfig != nil {
			for version, weight := range a.RoutingConfig.AdditionalVersionWeights {
				w.Weight = fmt.Sprint(version, " ", weight)
			}
		}
	}
	configs, err := b.ListProvisionedConcurrencyConfigs(ctx, &lambda.ListProvisionedConcurrencyConfigsInput{FunctionName: &b.name})
	if err != nil {
		return err
	}
	for _, c := range configs.ProvisionedConcurrencyConfigs {
		if !strings.HasSuffix(*c.FunctionArn, ":live") {
			return fmt.Errorf("provisioned concurrency on %s", *c.FunctionArn)
		}
		w.Provisioned = *c.RequestedProvisionedConcurrentExecutions
	}
	return nil
}

// verify compares what the server has with what it acknowledged. The call that was not answered
// may have been done or not, but not in part. Then the function must run as it should.
func (b *builder) verify(t *testing.T) {
	t.Helper()
	got, err := b.observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !got.equal(b.acked) && !got.equal(b.pending) {
		t.Fatalf("%s is\n\t%v\nacknowledged was\n\t%v\nthe last call would have made\n\t%v", b.name, got, b.acked, b.pending)
	}
	b.acked, b.pending = got, got
	if !got.Exists {
		return
	}
	b.active(t, b.name)
	b.runs(t, b.name, got.Latest)
	if got.Provisioned > 0 {
		b.ready(t, b.name, "live", got.Provisioned)
	}
	// Of an alias with weights it is open what runs, and whether that is provisioned: the
	// environments are split by the weights.
	if got.Alias != "" && got.Weight == "" {
		b.runs(t, b.name+":live", got.Published[got.Alias])
		if got.Provisioned > 0 {
			b.provisioned(t, b.name, "live")
		}
	}
}

// runs checks that an invocation runs a content.
func (b *builder) runs(t *testing.T, name string, want content) {
	t.Helper()
	var got struct{ Marker, Note string }
	b.do(t, name, struct{}{}, &got)
	i := slices.IndexFunc(b.variants, func(v variant) bool { return v.hash() == want.Code })
	if got.Marker != b.variants[i].marker || got.Note != want.Note {
		t.Errorf("%s ran %s with %s, want %s with %s", name, got.Marker, got.Note, b.variants[i].marker, want.Note)
	}
}

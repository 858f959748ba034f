//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Books are the account of what a server has acknowledged and of where it was seen since.
type books struct {
	mu struct {
		sync.Mutex
		debts []debt
		seen  map[string]map[string]bool // ids by place
		wrong []string
	}
}

// A debt is something acknowledged: it must be seen in one of some places.
type debt struct {
	id     string
	places []string
}

// The places where something acknowledged can be seen.
const (
	inEvents    = "the ledger of events"
	inMessages  = "the ledger of messages"
	inNotices   = "the ledger of notifications"
	inSuccesses = "the destination of successes"
	inFailures  = "the destination of failures"
	inDead      = "the function's dead-letter queue"
	inPoison    = "the source queue's dead-letter queue"
	inFan       = "the queue of the topic"
	inPlain     = "the plain queue"
	deleting    = "the calls that delete" // it may be gone
	deleted     = "the deletions that were acknowledged"
)

func newBooks() *books {
	b := new(books)
	b.mu.seen = make(map[string]map[string]bool)
	return b
}

// owe enters that something must be seen in one of some places.
func (b *books) owe(id string, places ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.debts = append(b.mu.debts, debt{id, places})
}

// see enters that something was seen.
func (b *books) see(place string, ids ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.seen[place] == nil {
		b.mu.seen[place] = make(map[string]bool)
	}
	for _, id := range ids {
		if place == inPlain && b.mu.seen[deleted][id] {
			b.mu.wrong = append(b.mu.wrong, id+" is in the queue again after it was deleted")
		}
		b.mu.seen[place][id] = true
	}
}

// open are the debts that are not paid, and what must not have been.
func (b *books) open() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := slices.Clone(b.mu.wrong)
	for _, d := range b.mu.debts {
		if !slices.ContainsFunc(d.places, func(place string) bool { return b.mu.seen[place][d.id] }) {
			found = append(found, fmt.Sprintf("%s is not in %s", d.id, strings.Join(d.places, " nor in ")))
		}
	}
	return found
}

// paid returns an error that names debts that are not paid.
func (b *books) paid() error {
	open := b.open()
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("of %d things acknowledged %d are lost:\n\t%s", b.count(), len(open), strings.Join(open[:min(len(open), 20)], "\n\t"))
}

func (b *books) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.mu.debts)
}

// sum says how much was seen, by place.
func (b *books) sum() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := make(map[string]int)
	for place, ids := range b.mu.seen {
		n[place] = len(ids)
	}
	return n
}

// A parcel is what the load sends: an event or a message.
type parcel struct {
	ID   string `json:"id"`
	Fail bool   `json:"fail,omitempty"`
}

func (p parcel) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has nothing that cannot be encoded
	}
	return string(text)
}

// idOf is the id of a parcel in a text: the parcel itself or the record of a destination.
func idOf(text string) (string, error) {
	var p struct {
		parcel
		RequestPayload *parcel
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", fmt.Errorf("decode %q: %w", text, err)
	}
	if p.RequestPayload != nil {
		return p.RequestPayload.ID, nil
	}
	return p.ID, nil
}

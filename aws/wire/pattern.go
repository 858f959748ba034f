package wire

import (
	"fmt"
	"hash/maphash"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// patternSlots is how many accepted values a pattern remembers. Clients name the same
	// few functions and queues again and again, and a regular expression costs more than
	// all the rest of reading a request.
	patternSlots = 64
	// patternKeep bounds the length in bytes of a value worth remembering.
	patternKeep = 256
)

// A Pattern is a regular expression that a whole string must match. Text is what AWS
// prints: Java's dialect, which Go does not read in full.
type Pattern struct {
	Text string

	once sync.Once
	must *regexp.Regexp
	not  *regexp.Regexp // nil: nothing is excluded
	seen [patternSlots]atomic.Pointer[string]
}

var patternSeed = maphash.MakeSeed()

func (p *Pattern) match(s string) bool {
	slot := &p.seen[maphash.String(patternSeed, s)%patternSlots]
	if v := slot.Load(); v != nil && *v == s {
		return true
	}
	p.once.Do(func() {
		var err error
		if p.must, p.not, err = compilePattern(p.Text); err != nil {
			panic(err) // the generator has compiled every pattern before
		}
	})
	if !p.must.MatchString(s) || p.not != nil && p.not.MatchString(s) {
		return false
	}
	if len(s) <= patternKeep {
		v := strings.Clone(s) // s may be part of a large body
		slot.Store(&v)
	}
	return true
}

// CheckPattern reports why a pattern of a model cannot be used. The generator stops on it.
func CheckPattern(text string) error {
	_, _, err := compilePattern(text)
	return err
}

func compilePattern(text string) (must, not *regexp.Regexp, err error) {
	positive, negative := goPattern(text), ""
	if l, ok := lookarounds[text]; ok {
		positive, negative = l.must, l.not
	}
	if must, err = regexp.Compile(`\A(?:` + positive + `)\z`); err != nil {
		return nil, nil, fmt.Errorf("compile pattern %s: %w", text, err)
	}
	if negative != "" {
		if not, err = regexp.Compile(`\A(?:` + negative + `)\z`); err != nil {
			return nil, nil, fmt.Errorf("compile pattern %s: %w", negative, err)
		}
	}
	return must, not, nil
}

var (
	javaPair   = regexp.MustCompile(`\\uD800\\uDC00-\\uDBFF\\uDFFF`)
	javaEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)
)

// goPattern translates Java's spelling of characters.
func goPattern(text string) string {
	text = javaPair.ReplaceAllString(text, `\x{10000}-\x{10FFFF}`)
	text = javaEscape.ReplaceAllString(text, `\x{$1}`)
	return strings.ReplaceAll(text, `\p{Print}`, `[\x20-\x7e]`)
}

// lookarounds holds equivalents of the patterns with a look-ahead or look-behind: a
// string matches if it matches must and does not match not.
var lookarounds = map[string]struct{ must, not string }{
	// lambda
	`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`:              {must: `[a-zA-Z0-9-_]+`, not: `[0-9]+`},
	`((?!^\d+$)^[0-9a-zA-Z-_]+$)`:               {must: `[0-9a-zA-Z-_]+`, not: `\d+`},
	`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {must: `[_a-zA-Z0-9][^$]*`, not: `system\.[^$]*`},
	`[0-9A-Za-z\.\-_]*(?<!\.)`:                  {must: `([0-9A-Za-z\.\-_]*[0-9A-Za-z\-_])?`},
	`(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\d+$)[0-9a-zA-Z-_]+))?`: {
		must: `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:([0-9a-zA-Z-_]*[a-zA-Z-_][0-9a-zA-Z-_]*))?`,
	},
	// application-autoscaling
	`(?!((^[ ]+.*)|(.*([\u0000-\u001f]|[\u007f-\u009f]|[:/|])+.*)|(.*[ ]+$))).+`: {
		must: `[^\x00-\x1f\x7f-\x{9f}:/|]+`, not: ` .*|.* `,
	},
	// events
	`^(?!\s*$).+`: {must: `.+`, not: `\s*`},
	// iam
	`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {must: `[a-z0-9][a-z0-9-]{1,61}[a-z0-9]`, not: `.*--.*`},
	// scheduler
	`(?=[/\.\-_A-Za-z0-9]+)((?!aws\.).*)|(\$(\.[\w_-]+(\[(\d+|\*)\])*)*)`: {
		must: `[/\.\-_A-Za-z0-9].*|\$(\.[\w_-]+(\[(\d+|\*)\])*)*`, not: `aws\..*`,
	},
	// states
	`^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`: {must: `[a-zA-Z0-9_\-\.]+`, not: `[0-9]+`},
}

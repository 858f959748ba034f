package lambda

import "strings"

// Latest is the qualifier of a function's unpublished version.
const Latest = "$LATEST"

// A FunctionName is what a client gave as a function: its name alone, a partial ARN
// (account:function:name) or a full ARN, each with or without a qualifier. Parts not
// given are empty.
type FunctionName struct {
	Region    string
	Account   string
	Name      string
	Qualifier string
}

// ParseFunctionName splits the name forms of the Lambda API. It reports false for text
// that is none of them; the wire layer has checked AWS's pattern before, so a caller may
// treat false as that pattern's ValidationException.
func ParseFunctionName(s string) (FunctionName, bool) {
	var n FunctionName
	rest := s
	if arn, ok := strings.CutPrefix(rest, "arn:"); ok {
		partition, after, ok := strings.Cut(arn, ":lambda:")
		if !ok || partition != "aws" && !strings.HasPrefix(partition, "aws-") {
			return n, false
		}
		rest = after
		if n.Region, rest, ok = strings.Cut(rest, ":"); !ok {
			return n, false
		}
	} else if head, after, ok := strings.Cut(rest, ":"); ok && isRegion(head) {
		n.Region, rest = head, after
	}
	if head, after, ok := strings.Cut(rest, ":"); ok && IsAccount(head) {
		n.Account, rest = head, after
	}
	rest = strings.TrimPrefix(rest, "function:")
	var qualified bool
	n.Name, n.Qualifier, qualified = strings.Cut(rest, ":")
	return n, isWord(n.Name, "-_.") && (!qualified || isQualifier(n.Qualifier))
}

// IsAccount reports whether s has the form of an account id: twelve digits.
func IsAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// IsVersionNumber reports whether a qualifier is a published version's number rather
// than an alias name.
func IsVersionNumber(q string) bool {
	return q != "" && strings.Trim(q, "0123456789") == ""
}

func isQualifier(q string) bool { return q == Latest || isWord(q, "-_") }

// isRegion recognises a region such as us-gov-west-1: it ends in a dash and one digit,
// which keeps a function named "a-b" apart from one.
func isRegion(s string) bool {
	if len(s) < 6 || s[len(s)-2] != '-' || s[len(s)-1] < '0' || s[len(s)-1] > '9' {
		return false
	}
	head := s[:len(s)-2]
	return strings.Contains(head, "-") && strings.Trim(head, "abcdefghijklmnopqrstuvwxyz-") == ""
}

func isWord(s, punctuation string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(punctuation, c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

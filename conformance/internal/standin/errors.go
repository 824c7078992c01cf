package standin

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
)

// SameError stands in for == with an error that net/http keeps private, and nobody else can return: the texts
// must be the same.
func SameError(err, private error) bool {
	return err == private || err != nil && private != nil && err.Error() == private.Error()
}

// ErrorIs stands in for [errors.Is] with such an error: the text of one in the chain must be the same.
func ErrorIs(err, private error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if SameError(err, private) {
			return true
		}
	}
	return false
}

// ContainsTimeout stands in for [strings.Contains] with a text that http.Client puts into an error when its
// Timeout has passed: a context's text will do. For a RoundTripper other than its own, http.Client sets a
// deadline in the request's context beside its own timer, and which of them is seen first is chance.
func ContainsTimeout(text, want string) bool {
	return strings.Contains(text, want) || strings.Contains(text, context.DeadlineExceeded.Error())
}

// IsStandardField stands in for [go/token.IsExported] where a test goes through a Transport's fields: those that
// http.Transport does not have are not its business.
func IsStandardField(name string) bool {
	f, ok := reflect.TypeFor[http.Transport]().FieldByName(name)
	return ok && f.IsExported()
}

package http2

//lint:file-ignore SA1019 GoAwayError is the type that callers know the error by, as net/http's is not exported

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	xhttp2 "golang.org/x/net/http2"
)

// asNetHTTP returns an error as net/http's Transport has it: of types that are not those of golang.org/x/net/http2, with the
// same texts. Only its error of a stream becomes one of these by [errors.As].
func asNetHTTP(err error) error {
	switch err := err.(type) {
	case xhttp2.StreamError:
		return streamError(err)
	case xhttp2.ConnectionError:
		return connectionError(err)
	case xhttp2.GoAwayError:
		return goAwayError(err)
	}
	if errors.Is(err, xhttp2.ErrFrameTooLarge) {
		before, after, _ := strings.Cut(err.Error(), errFrameTooLarge.Error())
		if before+after == "" {
			return errFrameTooLarge
		}
		return fmt.Errorf("%s%w%s", before, errFrameTooLarge, after)
	}
	return err
}

var errFrameTooLarge = errors.New(xhttp2.ErrFrameTooLarge.Error())

// streamError is the end of a stream by either side.
type streamError xhttp2.StreamError

func (e streamError) Error() string { return xhttp2.StreamError(e).Error() }

// As makes it a StreamError of golang.org/x/net/http2, or of any copy of that package: of a struct with the same fields.
func (e streamError) As(target any) bool {
	dst, src := reflect.ValueOf(target).Elem(), reflect.ValueOf(e)
	if dst.Kind() != reflect.Struct || dst.NumField() != src.NumField() {
		return false
	}
	for i := range src.NumField() {
		from, to := src.Type().Field(i), dst.Type().Field(i)
		if from.Name != to.Name || !from.Type.ConvertibleTo(to.Type) {
			return false
		}
	}
	for i := range src.NumField() {
		dst.Field(i).Set(src.Field(i).Convert(dst.Field(i).Type()))
	}
	return true
}

// connectionError is the end of a connection by us.
type connectionError xhttp2.ConnectionError

func (e connectionError) Error() string { return xhttp2.ConnectionError(e).Error() }

// goAwayError is the end of a connection by the server.
type goAwayError xhttp2.GoAwayError

func (e goAwayError) Error() string { return xhttp2.GoAwayError(e).Error() }

// CannotRetry is what net/http makes of an error after which a request could be sent again, but for its body.
func CannotRetry(err error) error {
	return fmt.Errorf("http2: Transport: cannot retry err [%v] after Request.Body was written; define Request.GetBody to avoid this error", err)
}

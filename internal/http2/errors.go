package http2

//lint:file-ignore SA1019 no other exported type holds what a GOAWAY says

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	xhttp2 "golang.org/x/net/http2"
)

// asNetHTTP returns err as net/http's Transport returns it: with the same text, but without the types of
// golang.org/x/net/http2. [errors.As] can turn only net/http's error of a stream into one of these types.
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

// streamError is the error of a stream that either side has ended.
type streamError xhttp2.StreamError

func (e streamError) Error() string { return xhttp2.StreamError(e).Error() }

// As sets target if it points to a StreamError of golang.org/x/net/http2, or of any copy of that package: to a struct with
// the same fields.
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

// connectionError is the error of a connection that we have ended.
type connectionError xhttp2.ConnectionError

func (e connectionError) Error() string { return xhttp2.ConnectionError(e).Error() }

// goAwayError is the error of a connection that the server has ended.
type goAwayError xhttp2.GoAwayError

func (e goAwayError) Error() string { return xhttp2.GoAwayError(e).Error() }

// CannotRetry returns net/http's error for a request that failed with err and could be sent again, except that its body has
// been read and has no GetBody.
func CannotRetry(err error) error {
	return fmt.Errorf("http2: Transport: cannot retry err [%v] after Request.Body was written; define Request.GetBody to avoid this error", err)
}

package httptestutil_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// fetch returns the body at address, or the reason why there is none. The
// reason leaves out the address, whose port differs each time.
func fetch(client *http.Client, address string) string {
	resp, err := client.Get(address)
	if err != nil {
		return "no answer: " + reason(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprintf("%q, then %v", body, err)
	}
	return string(body)
}

func reason(err error) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return err.Error()
}

// outcome says whether there is an answer at address. It is for failures that
// can reach a client in more than one way, such as a reset.
func outcome(client *http.Client, address string) string {
	resp, err := client.Get(address)
	if err != nil {
		return "failed"
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "failed"
	}
	return "answered"
}

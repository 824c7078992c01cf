package testkit

import "os"

// Tests speak HTTP/2, so it is turned on, whatever the environment says. The last one of several settings counts.
func init() { os.Setenv("GODEBUG", os.Getenv("GODEBUG")+",http2client=1") }

// Package godebug has tests that are built with HTTP/2 turned off by a //go:debug line, as a program may be.
package godebug

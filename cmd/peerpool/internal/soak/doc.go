// Package soak sends requests through peerpool to servers that misbehave, and keeps a ledger of how each request ended.
//
// Every request has a token. The token is in the path, and the bytes of the body depend on it. The servers write into the
// ledger which requests arrive and what they do with them. The callers write which answers they get. The ledger uses only
// these entries, and nothing that the Transport reports about itself. It finds out whether an answer belongs to another
// request, whether a request was lost that the rules of retries (docs/retries.md) would have saved, whether a request was
// executed twice, whether a body was changed, whether two tenants shared a connection, and whether anything is still open at
// the end.
package soak

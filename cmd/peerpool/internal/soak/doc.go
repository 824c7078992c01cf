// Package soak sends requests through peerpool to servers that misbehave, and keeps a ledger of what became of each.
//
// Every request has a token, in its path and, by way of what its body is made of, in its body. The servers enter into the
// ledger what arrives and what they do with it; the callers enter what they get. From these two alone, and not from
// anything that the Transport says of itself, the ledger judges: whether an answer belongs to its request, whether a
// request was lost that the rules of retries (docs/retries.md) would have saved, whether one was executed twice, whether a body
// arrived as it was, whether two tenants have shared a connection, and whether anything is left open in the end.
package soak

package soak

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
)

// token identifies a request.
type token uint64

func (t token) String() string { return strconv.FormatUint(uint64(t), 16) }

func parseToken(s string) (token, bool) {
	n, err := strconv.ParseUint(s, 16, 64)
	return token(n), err == nil
}

// salt makes the content of requests differ from that of answers.
type salt uint64

const (
	saltRequest salt = 1
	saltAnswer  salt = 2
)

// content returns n bytes that belong to this token alone.
func content(t token, s salt, n int) []byte {
	random := rand.NewPCG(uint64(t), uint64(s))
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, random.Uint64())
	}
	return b[:n]
}

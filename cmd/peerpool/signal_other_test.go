//go:build !unix

package main

func linger() {}

// Package socket sends to sockets and receives from them without waiting. Its functions are for the callbacks of a
// [syscall.RawConn].
//
// On Linux, they do not tell the scheduler that they call the system, because the call returns at once. That saves more than
// the time of telling. When all goroutines have been waiting, the first call that the scheduler is told of wakes the
// runtime's monitor, which then runs until all goroutines wait again.
//
// A program that is built with the race detector may rely on the order in which one of its goroutines sends and another one
// receives, as package net lets it. In such a program, the functions tell the race detector about that order.
package socket

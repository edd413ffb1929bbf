//go:build unix

package database

import (
	"net"
	"syscall"
)

// hasInput tells whether an idle connection has something to read, or was closed by the other side: a connection that the server has
// ended, most likely. It doesn't wait.
func hasInput(conn net.Conn) bool {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = wrapped.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		var buf [1]byte
		_, _, peeked = syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK)
		return true
	})
	return err != nil || peeked != syscall.EAGAIN
}

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
	// Control rather than Read: the driver may have left a reader behind that waits for the next input, and Read would wait for it.
	var peeked error
	err = raw.Control(func(fd uintptr) {
		var buf [1]byte
		_, _, peeked = syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK)
	})
	return err != nil || peeked != syscall.EAGAIN
}

// Go's net package: a goroutine for each connection.
package main

import (
	"log"
	"net"
	"os"
)

func serve(connection net.Conn, reply []byte) {
	defer connection.Close()
	buffer := make([]byte, 1024)
	for {
		if _, err := connection.Read(buffer); err != nil {
			return
		}
		if _, err := connection.Write(reply); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection, []byte(os.Args[1]))
	}
}

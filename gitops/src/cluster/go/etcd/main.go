// Etcd starts the server of etcd, whose own command is in a module that no module proxy serves.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}

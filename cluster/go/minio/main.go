// MinIO's server as its module has it, behind a guard against what its authors no longer repair.
//
// A program that links MinIO is under its license, AGPL-3.0, and so are the files of this folder.
package main

import (
	"log"
	"os"
	_ "unsafe" // for go:linkname

	minio "github.com/minio/minio/cmd"
	"github.com/minio/mux"

	"vision-node.dev/minio/guard"
)

// What MinIO sends each request through, the first one first. MinIO exports no way to add to it.
//
//go:linkname globalMiddlewares github.com/minio/minio/cmd.globalMiddlewares
var globalMiddlewares []mux.MiddlewareFunc

func main() {
	// Under another name in MinIO this would be an empty variable of our own, and the guard of no effect.
	if len(globalMiddlewares) == 0 {
		log.Fatal("this version of MinIO has no list of middlewares: the guard cannot be put before them")
	}
	globalMiddlewares = append([]mux.MiddlewareFunc{guard.Middleware}, globalMiddlewares...)
	minio.Main(os.Args)
}

// A server of the MongoDB protocol for the tests: FerretDB with SQLite files in one folder, loopback only.
//
//	mongodb FOLDER PORT [TLS_PORT CERTIFICATE KEY]
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func run(args []string) error {
	if len(args) != 2 && len(args) != 5 {
		return fmt.Errorf("usage: mongodb FOLDER PORT [TLS_PORT CERTIFICATE KEY]")
	}
	listener := ferretdb.ListenerConfig{TCP: "127.0.0.1:" + args[1]}
	if len(args) == 5 {
		listener.TLS, listener.TLSCertFile, listener.TLSKeyFile = "127.0.0.1:"+args[2], args[3], args[4]
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  listener,
		Handler:   "sqlite",
		SQLiteURL: "file:" + args[0] + "/",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return server.Run(ctx)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

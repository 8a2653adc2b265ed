// Toxiproxy's proxies and its API, as upstream's server command has them, but with the API on a Unix socket:
// upstream's listens on TCP and asks nobody for a password.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

func main() {
	version := flag.Bool("version", false, "print the version")
	socket := flag.String("socket", "", "where the API listens: a path")
	config := flag.String("config", "", "a JSON file with the proxies to begin with")
	flag.Parse()
	if *version {
		fmt.Printf("toxiproxy-server version %s\n", toxiproxy.Version)
		return
	}
	logger := zerolog.New(os.Stderr).With().Timestamp().Logger().Level(zerolog.InfoLevel)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), logger)
	server.PopulateConfig(*config)
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		logger.Fatal().Err(err).Msg("the API cannot listen")
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		logger.Fatal().Err(http.Serve(listener, server.Routes())).Msg("the API ended")
	}()
	<-ended
}

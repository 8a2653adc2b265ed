// Stands for the agent of an observability backend. The mediator shows the token of its mounted Secret to the gateway that
// GATEWAY_URL names and is ready only while the gateway accepts it (200); a refusal ends it. The agent asks the mediator.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	tokenFile = "/var/run/secrets/causely/token"
	retry     = 2 * time.Second
	renewal   = 15 * time.Second
)

var (
	version = "unknown"
	client  = &http.Client{Timeout: 5 * time.Second}
	ready   atomic.Bool
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println("agent", version)
		return
	}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	attempt := show
	if os.Getenv("STANDIN_NAME") == "agent" {
		attempt = report
	}
	if ports := os.Getenv("STANDIN_PORTS"); ports != "" {
		port, _, _ := strings.Cut(ports, ",")
		go func() { log.Fatal(http.ListenAndServe(":"+port, http.HandlerFunc(answer))) }()
	}
	for ending.Err() == nil {
		err := attempt(ending)
		if err != nil {
			log.Print(err)
		} else if !ready.Load() {
			log.Print("accepted")
		}
		ready.Store(err == nil)
		pause := renewal
		if err != nil {
			pause = retry
		}
		select {
		case <-ending.Done():
		case <-time.After(pause):
		}
	}
}

func answer(w http.ResponseWriter, _ *http.Request) {
	if !ready.Load() {
		http.Error(w, "the gateway has not accepted the token", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// show shows the token, read anew each time: a mounted Secret follows the one in the cluster.
func show(ctx context.Context) error {
	content, err := os.ReadFile(tokenFile)
	token := strings.TrimSpace(string(content))
	if err != nil || token == "" {
		log.Fatalf("no token in %s: %v", tokenFile, err)
	}
	gateway := os.Getenv("GATEWAY_URL")
	if gateway == "" {
		return nil // nobody to ask
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway, nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		log.Fatalf("%s refused the token: %s", gateway, response.Status)
	}
	return fmt.Errorf("%s: %s", gateway, response.Status)
}

// report asks the mediator, whose address comes from the ConfigMap.
func report(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+os.Getenv("endpoint")+"/ready", nil)
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("mediator: %s", response.Status)
	}
	return nil
}

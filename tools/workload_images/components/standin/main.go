// Stands for any component of the OpenTelemetry demo: it listens on the component's ports, answers by asking the components
// that its environment names, and fails as the flags of flagd say. What stands for a backend listens and answers too; all
// of them speak HTTP. Under the name of flagd it serves the flags; under that of the load generator it sends the requests.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	patience = 3 * time.Second
	deepest  = 8 // hops: a circle of components ends
	hops     = "X-Standin-Hops"
)

var (
	version = "unknown"
	client  = &http.Client{Timeout: patience}
	kept    [][]byte // what a leak keeps
	guard   sync.Mutex
)

// component is one container: what it is called, and whom it asks.
type component struct {
	name        string
	ports       []string
	downstreams map[string]string // by the variable that names it
	flags       flags
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println("standin", version)
		return
	}
	if filepath.Base(os.Args[0]) == "nc" {
		os.Exit(connect(os.Args[1:]))
	}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	self := describe()
	log.Printf("%s: listens on %v, asks %v", self.name, self.ports, self.downstreams)
	for _, port := range self.ports {
		go func() { log.Fatal(http.ListenAndServe(":"+port, http.HandlerFunc(self.serve))) }()
	}
	if self.name == "load-generator" {
		go self.generate(ending)
	} else if len(self.ports) == 0 {
		go self.work(ending)
	}
	<-ending.Done()
}

func describe() component {
	self := component{name: os.Getenv("STANDIN_NAME"), downstreams: map[string]string{}}
	own := variable(self.name)
	if listed := os.Getenv("STANDIN_PORTS"); listed != "" {
		self.ports = strings.Split(listed, ",")
	}
	if len(self.ports) > 0 { // the first is the Service's; where the component listens its environment says
		self.ports[0] = first(port(own), port("ENVOY"), self.ports[0])
	}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case strings.HasSuffix(name, "_TCP_ADDR"), strings.HasSuffix(name, "_SERVICE_HOST"):
			// Kubernetes' own for each Service: nobody asks all of them.
		case strings.HasSuffix(name, "_ADDR"), name == "APPLICATION_ENDPOINT":
			self.downstreams[name] = strings.TrimPrefix(value, "http://")
		case strings.HasSuffix(name, "_HOST"), strings.HasSuffix(name, "_ENDPOINT") && !strings.Contains(value, ":"):
			prefix, _, _ := strings.Cut(name, "_")
			at := port(prefix)
			if prefix == "FRONTEND" {
				at = first(at, "8080")
			}
			if prefix != "FLAGD" && at != "" {
				self.downstreams[name] = net.JoinHostPort(value, at)
			}
		case name == "DB_CONNECTION_STRING":
			if host := between(value, "@", "/") + between(value, "Host=", ";"); host != "" {
				self.downstreams[name] = host + ":5432"
			}
		}
	}
	if self.name == "flagd" {
		self.flags = flags{read: fromFile(flagFile())}
	} else if host := os.Getenv("FLAGD_HOST"); host != "" {
		at := first(port("FLAGD_OFREP"), port("FLAGD"), "8016")
		self.flags = flags{read: fromServer("http://" + net.JoinHostPort(host, at))}
	}
	return self
}

func (self component) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if self.name == "flagd" && strings.HasPrefix(path, evaluation) {
		self.flags.answer(w, strings.TrimPrefix(path, evaluation))
		return
	}
	if isProbe(path) {
		if self.name == "cart" && self.flags.on("failedReadinessProbe") {
			http.Error(w, "failedReadinessProbe is on", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
		return
	}
	if err := self.misbehave(r); err != nil {
		log.Printf("%s %s: %v", r.Method, path, err)
		http.Error(w, self.name+": "+err.Error(), http.StatusInternalServerError)
		return
	}
	depth, _ := strconv.Atoi(r.Header.Get(hops))
	said, err := self.ask(r.Context(), depth+1)
	answer := map[string]any{"component": self.name, "asked": said}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		log.Printf("%s %s: %v", r.Method, path, err)
		answer["error"] = err.Error()
		w.WriteHeader(http.StatusBadGateway)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// ask asks all downstreams at once; the error is that of one of them.
func (self component) ask(ctx context.Context, depth int) (map[string]string, error) {
	said := map[string]string{}
	if depth > deepest {
		return said, nil
	}
	var group sync.WaitGroup
	var failure error
	for name, address := range self.downstreams {
		for range self.times(name) {
			group.Go(func() {
				status, err := get(ctx, self.redirected(name, address), depth)
				guard.Lock()
				defer guard.Unlock()
				said[address] = status
				if err != nil {
					failure = fmt.Errorf("%s (%s): %w", name, address, err)
				}
			})
		}
	}
	group.Wait()
	return said, failure
}

func get(ctx context.Context, address string, depth int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "cannot be asked", err
	}
	request.Header.Set(hops, strconv.Itoa(depth))
	response, err := client.Do(request)
	if err != nil {
		return "does not answer", err
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if response.StatusCode != http.StatusOK {
		return response.Status, fmt.Errorf("%s: %.200s", response.Status, strings.TrimSpace(string(said)))
	}
	return response.Status, nil
}

// misbehave does what the flags ask of this component with one request.
func (self component) misbehave(r *http.Request) error {
	switch self.name {
	case "ad":
		if self.flags.on("adManualGc") {
			runtime.GC()
		}
		if self.flags.on("adHighCpu") {
			for began := time.Now(); time.Since(began) < 500*time.Millisecond; {
			}
		}
		return self.fail("adFailure", 0.1)
	case "cart":
		return self.fail("cartFailure", 1)
	case "email":
		leak(int(self.flags.number("emailMemoryLeak")) << 10)
	case "image-provider":
		time.Sleep(time.Duration(self.flags.number("imageSlowLoad")) * time.Millisecond)
	case "payment":
		return self.fail("paymentFailure", 1)
	case "product-catalog":
		return self.fail("productCatalogFailure", 0.1) // one product of ten
	case "recommendation":
		if self.flags.on("recommendationCacheFailure") {
			leak(1 << 20)
		}
	case "shipping":
		if self.flags.on("intlShippingSlowdown") {
			time.Sleep(2 * time.Second)
		}
	}
	return r.Context().Err()
}

// fail fails this share of the requests, of those that the flag names.
func (self component) fail(name string, share float64) error {
	if rand.Float64() < self.flags.number(name)*share {
		return fmt.Errorf("%s is on", name)
	}
	return nil
}

// times is how often a downstream is asked with one request.
func (self component) times(name string) int {
	if self.name == "checkout" && name == "KAFKA_ADDR" {
		return 1 + int(self.flags.number("kafkaQueueProblems"))
	}
	return 1
}

func (self component) redirected(name, address string) string {
	if self.name == "checkout" && name == "PAYMENT_ADDR" && self.flags.on("paymentUnreachable") {
		return "badAddress:8080" // as upstream does it
	}
	return address
}

// work is what a component does that nobody asks, such as a consumer of Kafka's.
func (self component) work(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := self.ask(ctx, 1); err != nil {
			log.Print(err)
		}
		pause(ctx, 10*time.Second)
	}
}

// generate sends what the users of the shop would: each a request every other second.
func (self component) generate(ctx context.Context) {
	target := first(os.Getenv("TARGET_ADDR"), "frontend-proxy:8080")
	var sent, failed int
	for ctx.Err() == nil {
		users := int(self.flags.number("loadGeneratorVUs"))
		if !self.flags.on("loadGeneratorTraffic") {
			users = 0
		}
		var group sync.WaitGroup
		for range users {
			group.Go(func() {
				_, err := get(ctx, target, 1)
				guard.Lock()
				defer guard.Unlock()
				sent++
				if err != nil {
					failed++
				}
			})
		}
		group.Wait()
		if users > 0 && sent%10 < users {
			log.Printf("%d requests sent, %d failed", sent, failed)
		}
		pause(ctx, 2*time.Second)
	}
}

func leak(bytes int) {
	if bytes == 0 {
		return
	}
	block := make([]byte, bytes)
	for at := 0; at < bytes; at += 512 {
		block[at] = 1 // a page counts once it is written to
	}
	guard.Lock()
	defer guard.Unlock()
	kept = append(kept, block)
}

func isProbe(path string) bool {
	for _, beginning := range []string{"/health", "/ready", "/live", "/-/", "/api/health", "/_cluster/health"} {
		if strings.HasPrefix(path, beginning) {
			return true
		}
	}
	return false
}

// connect is `nc -z HOST PORT`, which Debian's busybox lacks.
func connect(arguments []string) int {
	options := flag.NewFlagSet("nc", flag.ExitOnError)
	_ = options.Bool("z", true, "only see whether somebody listens")
	wait := options.Int("w", 3, "seconds")
	_ = options.Parse(arguments)
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(options.Arg(0), options.Arg(1)), time.Duration(*wait)*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nc:", err)
		return 1
	}
	connection.Close()
	return 0
}

func pause(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

// port is what a variable says, unless it is Kubernetes' own for a Service: tcp://ADDRESS:PORT.
func port(prefix string) string {
	said := os.Getenv(prefix + "_PORT")
	if strings.Contains(said, "/") {
		return ""
	}
	return said
}

func variable(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func between(text, before, after string) string {
	if _, rest, found := strings.Cut(text, before); found {
		inside, _, _ := strings.Cut(rest, after)
		return inside
	}
	return ""
}

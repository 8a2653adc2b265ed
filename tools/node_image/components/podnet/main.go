// One node's part of the pod network, in place of kindnetd, which no Go module holds: the node's CNI configuration from its
// podCIDR, a route to the pods of each other node, and masquerading of what leaves the pod network.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	account  = "/var/run/secrets/kubernetes.io/serviceaccount"
	folder   = "/etc/cni/net.d"
	name     = "10-podnet.conflist"
	leases   = "/run/cni-ipam-state"  // gone after a restart of the node, as its pods are
	eager    = 200 * time.Millisecond // until the node has its configuration: it is NotReady without
	relaxed  = 3 * time.Second
	patience = 10 * time.Second
)

var version = "unknown"

type node struct {
	address net.IP
	pods    *net.IPNet
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println("podnet", version)
		return
	}
	own := net.ParseIP(os.Getenv("HOST_IP"))
	_, network, err := net.ParseCIDR(os.Getenv("POD_SUBNET"))
	if own == nil || err != nil {
		log.Fatalf("HOST_IP %q and POD_SUBNET %q must be an address and a network", os.Getenv("HOST_IP"), os.Getenv("POD_SUBNET"))
	}
	client := connect()
	keepInside(network)
	pause := eager
	for ; ; time.Sleep(pause) {
		nodes, err := list(client)
		if err != nil {
			log.Print(err)
		}
		for _, other := range nodes {
			if !other.address.Equal(own) {
				report(netlink.RouteReplace(&netlink.Route{Dst: other.pods, Gw: other.address}), "route to %s", other.pods)
			} else if err := configure(other.pods); err != nil {
				log.Print(err)
			} else {
				pause = relaxed
			}
		}
		masquerade(network)
	}
}

// connect trusts the cluster's own authority only, which does not change while the pod lives.
func connect() *http.Client {
	authorities := x509.NewCertPool()
	certificate, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil || !authorities.AppendCertsFromPEM(certificate) {
		log.Fatalf("no certificate authority in %s: %v", account, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}, ForceAttemptHTTP2: true}
	return &http.Client{Transport: transport, Timeout: patience}
}

func list(client *http.Client) ([]node, error) {
	endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT") // kind's: it needs no kube-proxy
	if endpoint == "" {
		endpoint = net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	}
	request, err := http.NewRequest(http.MethodGet, "https://"+endpoint+"/api/v1/nodes?resourceVersion=0", nil)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(account, "token")) // each time: the kubelet renews it
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("listing nodes: %s", response.Status)
	}
	var found struct {
		Items []struct {
			Spec   struct{ PodCIDR string }
			Status struct{ Addresses []struct{ Type, Address string } }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return nil, err
	}
	var nodes []node
	for _, item := range found.Items {
		_, pods, err := net.ParseCIDR(item.Spec.PodCIDR)
		if err != nil {
			continue // not assigned yet
		}
		for _, address := range item.Status.Addresses {
			if address.Type == "InternalIP" {
				nodes = append(nodes, node{net.ParseIP(address.Address), pods})
				break
			}
		}
	}
	return nodes, nil
}

// keepInside rejects packets to pods that are gone: they would leave the machine by the default route.
func keepInside(network *net.IPNet) {
	route := &netlink.Route{Dst: network, Type: unix.RTN_UNREACHABLE}
	report(netlink.RouteReplace(route), "unreachable route for %s", network)
}

// configure writes this node's CNI configuration, whole or not at all.
func configure(pods *net.IPNet) error {
	type object = map[string]any
	content, err := json.Marshal(object{"cniVersion": "1.0.0", "name": "podnet", "plugins": []object{
		{"type": "ptp", "ipMasq": false, "ipam": object{
			"type": "host-local", "dataDir": leases, "routes": []object{{"dst": "0.0.0.0/0"}},
			"ranges": [][]object{{{"subnet": pods.String()}}},
		}},
		{"type": "portmap", "capabilities": object{"portMappings": true}},
	}})
	if err != nil {
		return err
	}
	target := filepath.Join(folder, name)
	if before, err := os.ReadFile(target); err == nil && string(before) == string(content) {
		return nil
	}
	temporary := filepath.Join(folder, "."+name)
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	log.Printf("pods of this node: %s", pods)
	return os.Rename(temporary, target)
}

func masquerade(network *net.IPNet) {
	rule := []string{
		"POSTROUTING", "-s", network.String(), "!", "-d", network.String(),
		"-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", "MASQUERADE",
	}
	if iptables("-C", rule) == nil {
		return
	}
	report(iptables("-A", rule), "masquerading of %s", network)
}

func iptables(verb string, rule []string) error {
	said, err := exec.Command("iptables", append([]string{"-w", "-t", "nat", verb}, rule...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func report(err error, format string, values ...any) {
	if err != nil {
		log.Printf(format+": %v", append(values, err)...)
	}
}

// The flags of the demo, over OFREP: https://github.com/open-feature/protocol

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

const evaluation = "/ofrep/v1/evaluate/flags/"

// flags tells values; a flag that nobody can tell is off.
type flags struct {
	read func(name string) (any, error)
}

func (f flags) value(name string) any {
	if f.read == nil {
		return nil
	}
	value, err := f.read(name)
	if err != nil {
		return nil
	}
	return value
}

func (f flags) on(name string) bool {
	value, _ := f.value(name).(bool)
	return value
}

func (f flags) number(name string) float64 {
	switch value := f.value(name).(type) {
	case float64:
		return value
	case bool:
		if value {
			return 1
		}
	}
	return 0
}

func (f flags) answer(w http.ResponseWriter, name string) {
	value, err := f.read(name)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"key": name, "errorCode": "FLAG_NOT_FOUND", "errorDetails": err.Error()})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"key": name, "value": value, "reason": "STATIC"})
}

func fromServer(base string) func(string) (any, error) {
	return func(name string) (any, error) {
		response, err := client.Post(base+evaluation+name, "application/json", bytes.NewBufferString(`{"context": {}}`))
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		var said struct{ Value any }
		err = json.NewDecoder(response.Body).Decode(&said)
		return said.Value, err
	}
}

// fromFile reads the file each time: an edit counts from the next request on, as with flagd.
func fromFile(path string) func(string) (any, error) {
	return func(name string) (any, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var known struct {
			Flags map[string]struct {
				State          string
				Variants       map[string]any
				DefaultVariant string
			}
		}
		if err := json.Unmarshal(content, &known); err != nil {
			return nil, err
		}
		found, exists := known.Flags[name]
		if !exists || found.State != "ENABLED" {
			return nil, fmt.Errorf("no flag %s is enabled in %s", name, path)
		}
		return found.Variants[found.DefaultVariant], nil
	}
}

// flagFile is what flagd's option --uri names.
func flagFile() string {
	for position, argument := range os.Args {
		if argument == "--uri" && position+1 < len(os.Args) {
			return strings.TrimPrefix(os.Args[position+1], "file:")
		}
	}
	return "/etc/flagd/demo.flagd.json"
}

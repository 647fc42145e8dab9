package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/acrkit/acrkit/testdata/bench/fakeacr"
)

func (b *bench) configure(cfg fakeacr.Config) (info fakeacr.Info, err error) {
	body, err := json.Marshal(cfg)
	if err != nil {
		return info, err
	}
	req, err := http.NewRequest(http.MethodPut, "http://"+b.server.Control+"/config", bytes.NewReader(body))
	if err != nil {
		return info, err
	}
	return info, getJSON(req, &info)
}

func (b *bench) stats() (st fakeacr.Stats, err error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+b.server.Control+"/stats", nil)
	if err != nil {
		return st, err
	}
	return st, getJSON(req, &st)
}

func getJSON(req *http.Request, v any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		msg, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, msg)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// since subtracts what was counted before the measurement.
func since(a, b fakeacr.Stats) fakeacr.Stats {
	a.Requests -= b.Requests
	for k, n := range b.Kinds {
		if a.Kinds[k] -= n; a.Kinds[k] == 0 {
			delete(a.Kinds, k)
		}
	}
	a.RegistryConn -= b.RegistryConn
	a.StorageConn -= b.StorageConn
	a.Unauthorized -= b.Unauthorized
	a.BodyIn -= b.BodyIn
	a.BodyOut -= b.BodyOut
	a.Completed -= b.Completed
	a.CPUSeconds -= b.CPUSeconds
	return a
}

// busySeconds is the CPU time that all processes of the machine have used.
func busySeconds() float64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		return 0
	}
	sum := 0.0
	for i, s := range strings.Fields(line)[1:] {
		n, _ := strconv.ParseFloat(s, 64)
		// user nice system idle iowait irq softirq steal; guest time is in user.
		if i != 3 && i != 4 && i < 8 {
			sum += n
		}
	}
	return sum / 100
}

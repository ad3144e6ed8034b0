// peer_names.go - names looked up by Go's own resolver: some goroutines on one core.
//
// usage: peer_names kept|new SECONDS    (lookups.h)
//
//	peer_names connect HOST:PORT    (prints the milliseconds it takes to connect)
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	goroutines = 100
	keptNames  = 100
)

var (
	resolver = &net.Resolver{PreferGo: true}
	taken    uint64
)

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "peer_names: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	check("getrusage", syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func timeConnect(address string) {
	dialer := net.Dialer{Resolver: resolver}
	begun := time.Now()
	conn, err := dialer.Dial("tcp", address)
	check("dial", err)
	fmt.Printf("%.3f\n", float64(time.Since(begun).Microseconds())/1e3)
	conn.Close()
}

func ask(kept bool, end time.Time) {
	for time.Now().Before(end) {
		number := atomic.AddUint64(&taken, 1)
		if kept {
			number %= keptNames
		}
		name := fmt.Sprintf("n%d.bench.example", number)
		_, err := resolver.LookupIPAddr(context.Background(), name)
		check(name, err)
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: peer_names kept|new SECONDS | connect HOST:PORT")
		os.Exit(2)
	}
	if os.Args[1] == "connect" {
		timeConnect(os.Args[2])
		return
	}
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	check("SECONDS", err)
	window := time.Duration(seconds * float64(time.Second))
	begin := time.Now().Add(window / 5)
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			ask(os.Args[1] == "kept", begin.Add(window))
		}()
	}
	time.Sleep(time.Until(begin))
	began, beganCPU, before := time.Now(), cpu(), atomic.LoadUint64(&taken)
	all.Wait()
	spent, took := cpu()-beganCPU, time.Since(began)
	count := float64(atomic.LoadUint64(&taken) - before)
	fmt.Printf("{\"lookups\": %.0f, \"lookups_per_s\": %.3f, \"cpu_us_per_lookup\": %.3f, "+
		"\"cpu_percent\": %.3f}\n", count, count/took.Seconds(),
		float64(spent.Nanoseconds())/1e3/count, 100*spent.Seconds()/took.Seconds())
}

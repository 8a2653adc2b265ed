package main

import (
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	look = 5 * time.Second
	// Of one core; beyond it, memory is needed more than it is missed.
	atRest = 0.1
	// A collection of the API server's memory takes 0.1 s to 0.2 s of processor time.
	pause = time.Minute
	// Of what is in use, in percent: how much a program takes before it collects garbage. Go's own choice is 100.
	whileStarting, afterwards = 150, 100
)

// giveBackAtRest has the program start with few collections, and return to the system what it does not use while it has
// little to do. Go by itself keeps twice what is in use, which after the start of a lab is never used again. Whoever sets
// GOGC has chosen otherwise.
func giveBackAtRest() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(whileStarting)
	go func() {
		var given time.Time
		worked := true
		for before := used(); ; {
			time.Sleep(look)
			now := used()
			rests := now-before < time.Duration(atRest*float64(look))
			if rests && (worked || time.Since(given) > pause) {
				debug.SetGCPercent(afterwards)
				debug.FreeOSMemory()
				given = time.Now()
			}
			worked = !rests
			before = used() // without what giving back took
		}
	}()
}

// used is the processor time that this program has taken.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

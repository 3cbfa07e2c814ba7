package zk

import (
	"strings"
	"time"
)

// Whether every server serves: it answers "srvr" and says in which mode. Takes the place of FLWSrvr in the harness, which
// cannot read what Apache's server answers since 3.6 (the day it was built is written 2025-08-19, no longer 08/19/2025).
func allServe(servers []string, timeout time.Duration) bool {
	for _, server := range servers {
		answer, err := fourLetterWord(server, "srvr", timeout)
		if err != nil || !strings.Contains(string(answer), "\nMode: ") {
			return false
		}
	}
	return true
}

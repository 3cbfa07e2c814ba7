// Command compat uses the server as Go applications do: nodes of every kind the client knows, watches, a lock,
// transactions, auth, and a session over a kill -9 of the server. One line per check; exits 1 at the first failure.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	sessionTimeout = 15 * time.Second
	wait           = 20 * time.Second
)

var open = zk.WorldACL(zk.PermAll)

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func main() {
	address := os.Args[len(os.Args)-1]
	conn := connect(address)
	nodes(conn)
	watches(conn, address)
	multi(conn)
	auth(conn, address)
	lock(conn, address)
	restart(conn, address)
	conn.Close()
	fmt.Println("done")
}

func connect(address string) *zk.Conn {
	conn, events, err := zk.Connect([]string{address}, sessionTimeout, zk.WithLogger(quiet{}))
	must("connect", err)
	deadline := time.After(wait)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				go func() {
					for range events {
					}
				}()
				return conn
			}
		case <-deadline:
			fail("no session within %v", wait)
		}
	}
}

func nodes(conn *zk.Conn) {
	create(conn, "/go", "", 0)
	create(conn, "/go/p", "one", 0)
	data, stat, err := conn.Get("/go/p")
	must("get", err)
	check("data and versions of a new node", string(data) == "one" && stat.Version == 0 && stat.Cversion == 0 && stat.DataLength == 3)
	check("czxid, mzxid and pzxid of a new node are one", stat.Czxid == stat.Mzxid && stat.Czxid == stat.Pzxid)
	set, err := conn.Set("/go/p", []byte("two"), 0)
	must("set", err)
	check("set raises version and mzxid", set.Version == 1 && set.Mzxid > stat.Mzxid && set.Czxid == stat.Czxid)
	_, err = conn.Set("/go/p", nil, 0)
	refused("set with an old version", zk.ErrBadVersion, err)
	_, err = conn.Create("/go/p", nil, 0, open)
	refused("create of what is there", zk.ErrNodeExists, err)
	_, err = conn.Create("/go/none/c", nil, 0, open)
	refused("create below nothing", zk.ErrNoNode, err)
	create(conn, "/go/p/c", "", 0)
	refused("delete of a parent", zk.ErrNotEmpty, conn.Delete("/go/p", -1))

	check("first sequential name", create(conn, "/go/p/s-", "", zk.FlagSequence) == "/go/p/s-0000000001")
	create(conn, "/go/e", "", zk.FlagEphemeral)
	_, stat, err = conn.Exists("/go/e")
	must("exists", err)
	check("an ephemeral has our session as its owner", stat.EphemeralOwner == conn.SessionID())
	_, err = conn.Create("/go/e/c", nil, 0, open)
	refused("a child of an ephemeral", zk.ErrNoChildrenForEphemerals, err)

	_, err = conn.CreateContainer("/go/c", nil, zk.FlagContainer, open)
	must("create a container", err)
	create(conn, "/go/c/x", "", 0)
	must("delete", conn.Delete("/go/c/x", -1))
	eventually("a container goes after its last child", func() bool { return !exists(conn, "/go/c") })
	_, err = conn.CreateTTL("/go/t", nil, zk.FlagTTL, open, 500*time.Millisecond)
	must("create a TTL node", err)
	eventually("a TTL node goes when its time is over", func() bool { return !exists(conn, "/go/t") })
	_, err = conn.Sync("/go")
	must("sync", err)
	children, stat, err := conn.Children("/go")
	must("children", err)
	check("children are counted", len(children) == 2 && stat.NumChildren == 2)
}

func watches(conn *zk.Conn, address string) {
	writer := connect(address)
	defer writer.Close()
	_, _, created, err := conn.ExistsW("/go/w")
	must("watch for creation", err)
	_, _, child, err := conn.ChildrenW("/go")
	must("watch children", err)
	create(writer, "/go/w", "", 0)
	event(created, zk.EventNodeCreated, "/go/w")
	event(child, zk.EventNodeChildrenChanged, "/go")
	_, _, changed, err := conn.GetW("/go/w")
	must("watch data", err)
	_, err = writer.Set("/go/w", []byte("new"), -1)
	must("set", err)
	event(changed, zk.EventNodeDataChanged, "/go/w")
	_, _, deleted, err := conn.GetW("/go/w")
	must("watch for deletion", err)
	must("delete", writer.Delete("/go/w", -1))
	event(deleted, zk.EventNodeDeleted, "/go/w")
}

func multi(conn *zk.Conn) {
	results, err := conn.Multi(
		&zk.CreateRequest{Path: "/go/m", Data: []byte("1"), Acl: open},
		&zk.SetDataRequest{Path: "/go/m", Data: []byte("2"), Version: 0},
		&zk.CheckVersionRequest{Path: "/go/m", Version: 1},
		&zk.CreateRequest{Path: "/go/m/s-", Acl: open, Flags: zk.FlagSequence},
		&zk.DeleteRequest{Path: "/go/m/s-0000000000", Version: -1},
	)
	must("multi", err)
	check("results of a multi", len(results) == 5 && results[0].String == "/go/m" && results[1].Stat.Version == 1 &&
		results[3].String == "/go/m/s-0000000000")
	results, err = conn.Multi(
		&zk.CreateRequest{Path: "/go/never", Acl: open},
		&zk.SetDataRequest{Path: "/go/m", Version: 7},
	)
	refused("a multi with a wrong version", zk.ErrBadVersion, err)
	check("each result says its own", results[0].Error == nil && errors.Is(results[1].Error, zk.ErrBadVersion))
	check("nothing of it was done", !exists(conn, "/go/never"))
}

func auth(conn *zk.Conn, address string) {
	bob := connect(address)
	defer bob.Close()
	must("addauth", bob.AddAuth("digest", []byte("bob:pw")))
	_, err := bob.Create("/go/bob", []byte("mine"), 0, zk.DigestACL(zk.PermAll, "bob", "pw"))
	must("create for bob", err)
	_, _, err = bob.Get("/go/bob")
	must("bob reads", err)
	_, _, err = conn.Get("/go/bob")
	refused("another", zk.ErrNoAuth, err)
	acl, stat, err := bob.GetACL("/go/bob")
	must("getACL", err)
	check("the ACL comes back", len(acl) == 1 && acl[0] == zk.DigestACL(zk.PermAll, "bob", "pw")[0] && stat.Aversion == 0)
	stat, err = bob.SetACL("/go/bob", open, 0)
	must("setACL", err)
	check("setACL raises aversion", stat.Aversion == 1)
	_, _, err = conn.Get("/go/bob")
	must("now another reads", err)
}

// Two clients add to a counter that only the lock protects.
func lock(conn *zk.Conn, address string) {
	create(conn, "/go/counter", "0", 0)
	other := connect(address)
	defer other.Close()
	const rounds = 15
	var group sync.WaitGroup
	for _, client := range []*zk.Conn{conn, other} {
		group.Add(1)
		go func(client *zk.Conn) {
			defer group.Done()
			guard := zk.NewLock(client, "/go/lock", open)
			for i := 0; i < rounds; i++ {
				must1(guard.Lock())
				data, _, err := client.Get("/go/counter")
				must1(err)
				var n int
				_, err = fmt.Sscan(string(data), &n)
				must1(err)
				_, err = client.Set("/go/counter", []byte(fmt.Sprint(n+1)), -1)
				must1(err)
				must1(guard.Unlock())
			}
		}(client)
	}
	group.Wait()
	data, _, err := conn.Get("/go/counter")
	must("read the counter", err)
	check("the lock let one in at a time", string(data) == fmt.Sprint(2*rounds))
}

// The server dies while a writer writes: the session, its ephemerals, its watches and all that was acknowledged stay.
func restart(conn *zk.Conn, address string) {
	session := conn.SessionID()
	create(conn, "/go/alive", "", zk.FlagEphemeral)
	create(conn, "/go/log", "", 0)
	_, _, watch, err := conn.ExistsW("/go/later")
	must("watch over a restart", err)

	writer := connect(address)
	defer writer.Close()
	acknowledged := make(map[string]string)
	tried := make(map[string]bool)
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			value := fmt.Sprint("value ", i)
			tried[value] = true
			path, err := writer.Create("/go/log/n-", []byte(value), zk.FlagSequence, open)
			if err == nil {
				acknowledged[path] = value
			} else {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("RESTART")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		fail("nobody restarts the server")
	}
	eventually("the session is back", func() bool { _, _, err := conn.Exists("/"); return err == nil })
	eventually("the writer is back", func() bool { _, _, err := writer.Exists("/"); return err == nil })
	time.Sleep(300 * time.Millisecond)
	close(stop)
	<-stopped

	check("it is the same session", conn.SessionID() == session)
	_, stat, err := conn.Exists("/go/alive")
	must("exists", err)
	check("its ephemeral is there", stat.EphemeralOwner == session)
	check("something was acknowledged", len(acknowledged) > 10)
	for path, value := range acknowledged {
		data, _, err := conn.Get(path)
		if err != nil || string(data) != value {
			fail("acknowledged %s = %q, now %q, %v", path, value, data, err)
		}
	}
	fmt.Println("ok every acknowledged create is there:", len(acknowledged))
	children, _, err := conn.Children("/go/log")
	must("children", err)
	seen := make(map[string]bool)
	for _, child := range children {
		data, _, err := conn.Get("/go/log/" + child)
		if err != nil || !tried[string(data)] || seen[string(data)] {
			fail("%s holds %q: never sent, or there twice", child, data)
		}
		seen[string(data)] = true
	}
	fmt.Println("ok nothing is there that was not sent, and nothing twice")
	create(conn, "/go/later", "", 0)
	event(watch, zk.EventNodeCreated, "/go/later")
}

func create(conn *zk.Conn, path, data string, flags int32) string {
	created, err := conn.Create(path, []byte(data), flags, open)
	must("create "+path, err)
	return created
}

func exists(conn *zk.Conn, path string) bool {
	there, _, err := conn.Exists(path)
	must1(err)
	return there
}

func event(events <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case got := <-events:
		check(fmt.Sprintf("event %v %s", kind, path), got.Type == kind && got.Path == path)
	case <-time.After(wait):
		fail("no event %v %s", kind, path)
	}
}

func eventually(what string, holds func() bool) {
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			fmt.Println("ok", what)
			return
		}
	}
	fail("%s: not within %v", what, wait)
}

func refused(what string, expected, err error) {
	check(fmt.Sprintf("%s is refused with %v (got %v)", what, expected, err), errors.Is(err, expected))
}

func must(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func must1(err error) { must("request", err) }

func check(what string, holds bool) {
	if !holds {
		fail("%s", what)
	}
	fmt.Println("ok", what)
}

func fail(format string, values ...interface{}) {
	fmt.Printf("FAILED "+format+"\n", values...)
	os.Exit(1)
}

package compat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;

/** What every program shares: one line per check, the first failure ends the process with status 1. */
final class Checks {
    /** Long enough that a pause of a loaded machine expires no session by itself. */
    static final int SESSION_TIMEOUT_MS = 15_000;
    static final int WAIT_MS = 20_000;

    private static final BufferedReader STDIN = new BufferedReader(new InputStreamReader(System.in));

    private Checks() {}

    interface Action {
        void run() throws Exception;
    }

    /** Runs a program; whatever it throws is its failure. Exits rather than returns: client threads may linger. */
    static void run(Action program) {
        try {
            program.run();
        } catch (Throwable e) {
            e.printStackTrace();
            fail("unexpected " + e);
        }
        System.out.println("done");
        System.out.flush();
        System.exit(0);
    }

    static synchronized void fail(String what) {
        System.out.println("FAILED " + what);
        System.out.flush();
        Runtime.getRuntime().halt(1);
    }

    static void check(String what, boolean holds) {
        if (!holds) {
            fail(what);
        }
        System.out.println("ok " + what);
    }

    static void equal(String what, Object expected, Object actual) {
        if (!Objects.deepEquals(expected, actual)) {
            fail(what + ": expected " + text(expected) + ", got " + text(actual));
        }
        System.out.println("ok " + what);
    }

    static void refused(String what, KeeperException.Code code, Action action) throws Exception {
        try {
            action.run();
        } catch (KeeperException e) {
            equal(what + " is refused with " + code, code, e.code());
            return;
        }
        fail(what + ": expected " + code + ", it succeeded");
    }

    /** Waits for the condition; a connection that is lost meanwhile only means not yet. */
    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WAIT_MS);
        while (System.nanoTime() < end) {
            try {
                if (condition.call()) {
                    System.out.println("ok " + what);
                    return;
                }
            } catch (KeeperException.ConnectionLossException e) {
                // Asked again below.
            }
            Thread.sleep(20);
        }
        fail(what + ": not within " + WAIT_MS + " ms");
    }

    /** Asks the test that runs this program to kill -9 the server and start it again; returns once it serves. */
    static void restartServer() throws IOException {
        System.out.println("RESTART");
        System.out.flush();
        if (STDIN.readLine() == null) {
            fail("nobody restarts the server");
        }
    }

    static ZooKeeper connect(String address) throws Exception {
        return connect(address, SESSION_TIMEOUT_MS, 0, null);
    }

    /** A connected handle; {@code sessionId} 0 for a new session. */
    static ZooKeeper connect(String address, int timeoutMs, long sessionId, byte[] password) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        Watcher watcher = event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        };
        ZooKeeper zk = sessionId == 0
            ? new ZooKeeper(address, timeoutMs, watcher)
            : new ZooKeeper(address, timeoutMs, watcher, sessionId, password);
        if (!connected.await(WAIT_MS, TimeUnit.MILLISECONDS)) {
            fail("no session within " + WAIT_MS + " ms");
        }
        return zk;
    }

    static byte[] bytes(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    private static String text(Object value) {
        return value instanceof byte[] b ? Arrays.toString(b) : String.valueOf(value);
    }
}

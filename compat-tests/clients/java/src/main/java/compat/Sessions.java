package compat;

import static compat.Checks.*;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.ZooKeeper;

/** Sessions resumed and expired, requests in order, the reads about a session and its quota, and acknowledged writes over a kill -9. */
public final class Sessions {
    private static final int IN_FLIGHT = 64;

    private Sessions() {}

    public static void main(String[] args) {
        run(() -> {
            ZooKeeper zk = connect(args[0]);
            zk.create("/sessions", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            resume(zk, args[0]);
            duplicate(zk, args[0]);
            wrongPassword(args[0]);
            reads(zk);
            quota(zk);
            order(zk);
            acknowledged(zk, args[0]);
            zk.close();
        });
    }

    private static void resume(ZooKeeper observer, String address) throws Exception {
        ZooKeeper owner = connect(address);
        owner.create("/sessions/resumed", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        ZooKeeper again = connect(address, SESSION_TIMEOUT_MS, owner.getSessionId(), owner.getSessionPasswd());
        equal("a session resumes by id and password", owner.getSessionId(), again.getSessionId());
        equal("its ephemeral stays", again.getSessionId(), observer.exists("/sessions/resumed", false).getEphemeralOwner());
        again.close();
        equal("and goes at its close", null, observer.exists("/sessions/resumed", false));
        owner.close();
    }

    private static void duplicate(ZooKeeper observer, String address) throws Exception {
        ZooKeeper owner = connect(address);
        owner.create("/sessions/dup", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        ZooKeeper killer = connect(address, SESSION_TIMEOUT_MS, owner.getSessionId(), owner.getSessionPasswd());
        killer.close();
        eventually("a session closed by a second handle is expired for the first", () -> owner.getState() == ZooKeeper.States.CLOSED);
        refused("a request of the expired handle", Code.SESSIONEXPIRED, () -> owner.exists("/", false));
        equal("its ephemeral is gone", null, observer.exists("/sessions/dup", false));
    }

    private static void wrongPassword(String address) throws Exception {
        ZooKeeper owner = connect(address);
        CountDownLatch expired = new CountDownLatch(1);
        ZooKeeper thief = new ZooKeeper(address, SESSION_TIMEOUT_MS, event -> {
            if (event.getState() == org.apache.zookeeper.Watcher.Event.KeeperState.Expired) {
                expired.countDown();
            }
        }, owner.getSessionId(), new byte[16]);
        check("a wrong password is told that the session expired", expired.await(WAIT_MS, TimeUnit.MILLISECONDS));
        eventually("and the owner's session lives", () -> owner.getState() == ZooKeeper.States.CONNECTED && owner.exists("/", false) != null);
        thief.close();
        owner.close();
    }

    private static void reads(ZooKeeper zk) throws Exception {
        zk.create("/sessions/r", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        for (String name : List.of("a", "b", "c")) {
            zk.create("/sessions/r/" + name, null, OPEN_ACL_UNSAFE, name.equals("c") ? CreateMode.PERSISTENT : CreateMode.EPHEMERAL);
        }
        zk.create("/sessions/r/c/d", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        equal("getAllChildrenNumber counts all below", 4, zk.getAllChildrenNumber("/sessions/r"));
        List<String> ephemerals = zk.getEphemerals("/sessions/r");
        Collections.sort(ephemerals);
        equal("getEphemerals", List.of("/sessions/r/a", "/sessions/r/b"), ephemerals);
        equal("getEphemerals elsewhere", List.of(), zk.getEphemerals("/nothing"));
        CountDownLatch synced = new CountDownLatch(1);
        zk.sync("/sessions", (rc, path, ctx) -> synced.countDown(), null);
        check("sync", synced.await(WAIT_MS, TimeUnit.MILLISECONDS));
    }

    private static void quota(ZooKeeper zk) throws Exception {
        zk.create("/limited", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/zookeeper/quota/limited", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/zookeeper/quota/limited/zookeeper_limits", bytes("count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3"),
            OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/zookeeper/quota/limited/zookeeper_stats", bytes("count=0,bytes=0"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/limited/a", bytes("12345"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/limited/b", bytes("12345"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        refused("one node too many", Code.QUOTAEXCEEDED, () -> zk.create("/limited/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        refused("one byte too many", Code.QUOTAEXCEEDED, () -> zk.setData("/limited/b", bytes("123456"), -1));
        equal("the statistics", "count=3,bytes=10", new String(zk.getData("/zookeeper/quota/limited/zookeeper_stats", false, null)));
        zk.delete("/limited/b", -1);
        zk.create("/limited/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        equal("room again", "count=3,bytes=5", new String(zk.getData("/zookeeper/quota/limited/zookeeper_stats", false, null)));
    }

    /** Callbacks come in the order of the requests, reads behind the writes they follow. */
    private static void order(ZooKeeper zk) throws Exception {
        zk.create("/sessions/order", new byte[0], OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        int rounds = 500;
        List<Integer> seen = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch all = new CountDownLatch(2 * rounds);
        for (int i = 0; i < rounds; i++) {
            zk.setData("/sessions/order", bytes(String.valueOf(i)), i, (rc, path, ctx, stat) -> {
                seen.add(rc == 0 ? stat.getVersion() : -1);
                all.countDown();
            }, null);
            zk.getData("/sessions/order", false, (rc, path, ctx, data, stat) -> {
                seen.add(stat.getVersion());
                all.countDown();
            }, null);
        }
        check("all answered", all.await(WAIT_MS, TimeUnit.MILLISECONDS));
        List<Integer> expected = new ArrayList<>();
        for (int i = 1; i <= rounds; i++) {
            expected.addAll(Arrays.asList(i, i));
        }
        equal("each read saw the write before it and none after", expected, seen);
    }

    /** Pipelined creates under a kill -9: what was acknowledged stays, what was not may or may not be there. */
    private static void acknowledged(ZooKeeper zk, String address) throws Exception {
        ZooKeeper writer = connect(address);
        zk.create("/sessions/log", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/sessions/alive", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        long session = zk.getSessionId();
        Map<String, String> acknowledged = new ConcurrentHashMap<>();
        AtomicInteger answered = new AtomicInteger();
        AtomicBoolean stop = new AtomicBoolean();
        java.util.concurrent.Semaphore room = new java.util.concurrent.Semaphore(IN_FLIGHT);
        Thread thread = new Thread(() -> {
            for (int i = 0; !stop.get(); i++) {
                String value = "value " + i;
                room.acquireUninterruptibly();
                writer.create("/sessions/log/n-", bytes(value), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL, (rc, path, ctx, name) -> {
                    if (rc == 0) {
                        acknowledged.put(name, value);
                    }
                    answered.incrementAndGet();
                    room.release();
                }, null);
            }
        });
        thread.start();
        eventually("writes are under way", () -> acknowledged.size() > 300);
        restartServer();
        eventually("the writer is back", () -> writer.getState() == ZooKeeper.States.CONNECTED);
        int before = acknowledged.size();
        eventually("and goes on", () -> acknowledged.size() > before + 100);
        stop.set(true);
        thread.join();
        room.acquire(IN_FLIGHT);
        eventually("the session is back", () -> zk.getState() == ZooKeeper.States.CONNECTED);
        equal("it is the same", session, zk.getSessionId());
        equal("its ephemeral is there", session, zk.exists("/sessions/alive", false).getEphemeralOwner());
        for (Map.Entry<String, String> each : acknowledged.entrySet()) {
            String found = new String(zk.getData(each.getKey(), false, null));
            if (!found.equals(each.getValue())) {
                fail("acknowledged " + each + ", found " + found);
            }
        }
        int there = zk.getChildren("/sessions/log", false).size();
        check("all " + acknowledged.size() + " acknowledged creates are there, and " + (there - acknowledged.size()) + " of unknown outcome",
            there >= acknowledged.size() && there <= answered.get());
        writer.close();
    }
}

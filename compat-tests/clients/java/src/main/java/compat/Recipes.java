package compat;

import static compat.Checks.*;

import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

/** Curator's recipes between two clients, all of them held over a kill -9 of the server. */
public final class Recipes {
    private final CuratorFramework one;
    private final CuratorFramework two;

    private Recipes(String address) throws Exception {
        one = client(address);
        two = client(address);
    }

    public static void main(String[] args) {
        run(() -> new Recipes(args[0]).all());
    }

    private static CuratorFramework client(String address) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(address)
            .sessionTimeoutMs(SESSION_TIMEOUT_MS).connectionTimeoutMs(10_000).retryPolicy(new RetryForever(100)).build();
        client.start();
        check("connected", client.blockUntilConnected(WAIT_MS, TimeUnit.MILLISECONDS));
        return client;
    }

    private void all() throws Exception {
        contention();
        transactions();
        background();

        InterProcessMutex held = new InterProcessMutex(one, "/cur/held");
        held.acquire();
        InterProcessMutex wanted = new InterProcessMutex(two, "/cur/held");
        check("a held mutex keeps another out", !wanted.acquire(200, TimeUnit.MILLISECONDS));

        LeaderLatch first = new LeaderLatch(one, "/cur/latch", "first");
        LeaderLatch second = new LeaderLatch(two, "/cur/latch", "second");
        first.start();
        first.await(WAIT_MS, TimeUnit.MILLISECONDS);
        second.start();
        check("the first latch leads", first.hasLeadership());
        eventually("both stand for election", () -> first.getParticipants().size() == 2);
        check("and the second does not lead", !second.hasLeadership());

        CuratorCache cache = CuratorCache.build(one, "/cur/cache");
        cache.start();
        two.create().creatingParentsIfNeeded().forPath("/cur/cache/a/b", bytes("1"));
        eventually("CuratorCache sees a creation deep below", () -> data(cache, "/cur/cache/a/b").equals("1"));
        two.setData().forPath("/cur/cache/a/b", bytes("2"));
        eventually("CuratorCache sees a change", () -> data(cache, "/cur/cache/a/b").equals("2"));

        PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false, "/cur/node", bytes("node"));
        node.start();
        check("PersistentNode is created", node.waitForInitialCreate(WAIT_MS, TimeUnit.MILLISECONDS));
        two.delete().forPath("/cur/node");
        eventually("PersistentNode comes back after a deletion", () -> two.checkExists().forPath("/cur/node") != null);
        PersistentTtlNode ttl = new PersistentTtlNode(one, "/cur/ttl", 2_000, bytes("ttl"));
        ttl.start();
        check("PersistentTtlNode is created", ttl.waitForInitialCreate(WAIT_MS, TimeUnit.MILLISECONDS));

        ServiceInstance<String> instance = ServiceInstance.<String>builder().name("shop").id("1").address("127.0.0.1").port(80).payload("p").build();
        ServiceDiscovery<String> server = discovery(one, instance);
        ServiceDiscovery<String> browser = discovery(two, null);
        eventually("discovery finds the instance", () -> browser.queryForInstances("shop").contains(instance));

        DistributedAtomicLong counter = new DistributedAtomicLong(one, "/cur/long", new RetryNTimes(20, 20));
        check("DistributedAtomicLong starts", counter.initialize(40L));
        long session = one.getZookeeperClient().getZooKeeper().getSessionId();

        restartServer();

        eventually("the session is back", () -> one.checkExists().forPath("/cur") != null && two.checkExists().forPath("/cur") != null);
        equal("it is the same", session, one.getZookeeperClient().getZooKeeper().getSessionId());
        check("the mutex is still held", held.isAcquiredInThisProcess() && !wanted.acquire(200, TimeUnit.MILLISECONDS));
        held.release();
        check("and passes on when released", wanted.acquire(WAIT_MS, TimeUnit.MILLISECONDS));
        wanted.release();

        eventually("exactly one latch leads", () -> first.hasLeadership() != second.hasLeadership());
        LeaderLatch leader = first.hasLeadership() ? first : second;
        LeaderLatch waiting = leader == first ? second : first;
        leader.close();
        eventually("leadership passes on", waiting::hasLeadership);

        two.setData().forPath("/cur/cache/a/b", bytes("3"));
        two.create().forPath("/cur/cache/a/c", bytes("new"));
        eventually("CuratorCache goes on", () -> data(cache, "/cur/cache/a/b").equals("3") && data(cache, "/cur/cache/a/c").equals("new"));
        equal("PersistentNode is there", "node", new String(two.getData().forPath("/cur/node")));
        two.delete().forPath("/cur/node");
        eventually("and comes back still", () -> two.checkExists().forPath("/cur/node") != null);
        Thread.sleep(3_000);
        check("PersistentTtlNode outlives its TTL while its owner refreshes it", two.checkExists().forPath("/cur/ttl") != null);
        ttl.close();
        eventually("and goes when the owner does", () -> two.checkExists().forPath("/cur/ttl") == null);
        eventually("discovery finds the instance still", () -> browser.queryForInstances("shop").contains(instance));
        server.unregisterService(instance);
        eventually("and no longer after it left", () -> browser.queryForInstances("shop").isEmpty());

        AtomicValue<Long> value = counter.add(2L);
        check("DistributedAtomicLong goes on", value.succeeded() && value.preValue() == 40L && value.postValue() == 42L);
        for (AutoCloseable each : List.of(waiting, cache, node, server, browser, one, two)) {
            each.close();
        }
    }

    /** Two clients add to a counter that only the mutex protects. */
    private void contention() throws Exception {
        int rounds = 15;
        one.create().creatingParentsIfNeeded().forPath("/cur/plain", bytes("0"));
        Thread[] threads = new Thread[2];
        for (int i = 0; i < threads.length; i++) {
            CuratorFramework client = i == 0 ? one : two;
            threads[i] = new Thread(() -> {
                try {
                    InterProcessMutex mutex = new InterProcessMutex(client, "/cur/mutex");
                    for (int round = 0; round < rounds; round++) {
                        mutex.acquire();
                        int value = Integer.parseInt(new String(client.getData().forPath("/cur/plain")));
                        client.setData().forPath("/cur/plain", bytes(String.valueOf(value + 1)));
                        mutex.release();
                    }
                } catch (Exception e) {
                    fail("mutex: " + e);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        equal("the mutex let one in at a time", String.valueOf(2 * rounds), new String(one.getData().forPath("/cur/plain")));
    }

    private void transactions() throws Exception {
        List<CuratorTransactionResult> results = one.transaction().forOperations(
            one.transactionOp().create().forPath("/cur/t", bytes("1")),
            one.transactionOp().setData().withVersion(0).forPath("/cur/t", bytes("2")),
            one.transactionOp().check().withVersion(1).forPath("/cur/t"));
        equal("a transaction's results", List.of("/cur/t", 1), List.of(results.get(0).getResultPath(), results.get(1).getResultStat().getVersion()));
        refused("a transaction with a wrong version", KeeperException.Code.BADVERSION, () -> one.transaction().forOperations(
            one.transactionOp().create().forPath("/cur/never"), one.transactionOp().check().withVersion(7).forPath("/cur/t")));
        equal("nothing of it was done", null, one.checkExists().forPath("/cur/never"));
    }

    private void background() throws Exception {
        String path = one.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/cur/protected-");
        check("create with protection " + path, path.matches("/cur/_c_[0-9a-f-]{36}-protected-\\d{10}"));
        one.delete().guaranteed().forPath(path);
        one.createContainers("/cur/container/deep");
        check("containers made on the way", one.checkExists().forPath("/cur/container/deep") != null);
        one.delete().deletingChildrenIfNeeded().forPath("/cur/container");
        equal("deleted with children", null, one.checkExists().forPath("/cur/container"));
    }

    private static ServiceDiscovery<String> discovery(CuratorFramework client, ServiceInstance<String> instance) throws Exception {
        ServiceDiscoveryBuilder<String> builder = ServiceDiscoveryBuilder.builder(String.class).client(client).basePath("/cur/services");
        ServiceDiscovery<String> discovery = (instance == null ? builder : builder.thisInstance(instance)).build();
        discovery.start();
        return discovery;
    }

    private static String data(CuratorCache cache, String path) {
        return cache.get(path).map(child -> new String(child.getData())).orElse("");
    }
}

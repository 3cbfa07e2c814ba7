package compat;

import static compat.Checks.*;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Nodes of every kind, the Stat fields, versions, names and the errors of the basic operations. */
public final class Nodes {
    private Nodes() {}

    public static void main(String[] args) {
        run(() -> {
            ZooKeeper zk = connect(args[0]);
            zk.create("/nodes", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            persistent(zk);
            sequential(zk);
            ephemeral(zk, args[0]);
            container(zk);
            ttl(zk);
            data(zk);
            paths(zk);
            zk.close();
        });
    }

    private static void persistent(ZooKeeper zk) throws Exception {
        long before = System.currentTimeMillis();
        Stat created = new Stat();
        equal("create returns the path", "/nodes/p", zk.create("/nodes/p", bytes("one"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, created));
        check("czxid, mzxid and pzxid of a new node are one", created.getCzxid() == created.getMzxid() && created.getCzxid() == created.getPzxid());
        check("ctime is the server's clock", Math.abs(created.getCtime() - before) < 60_000 && created.getCtime() == created.getMtime());
        equal("versions of a new node", List.of(0, 0, 0), List.of(created.getVersion(), created.getCversion(), created.getAversion()));
        equal("owner, data length and children of a new node", List.of(0L, 3, 0),
            List.of(created.getEphemeralOwner(), created.getDataLength(), created.getNumChildren()));
        equal("exists sees the Stat that create returned", created, zk.exists("/nodes/p", false));

        Thread.sleep(5);
        Stat set = zk.setData("/nodes/p", bytes("three"), 0);
        equal("setData raises version", 1, set.getVersion());
        check("setData moves mzxid and mtime only", set.getMzxid() > created.getMzxid() && set.getMtime() > created.getMtime()
            && set.getCzxid() == created.getCzxid() && set.getPzxid() == created.getPzxid() && set.getCtime() == created.getCtime());
        equal("setData changes the length", 5, set.getDataLength());
        refused("setData with an old version", Code.BADVERSION, () -> zk.setData("/nodes/p", bytes("x"), 0));
        refused("setData with a coming version", Code.BADVERSION, () -> zk.setData("/nodes/p", bytes("x"), 2));
        Stat last = zk.setData("/nodes/p", bytes("x"), -1);
        equal("setData with version -1", 2, last.getVersion());

        Stat child = new Stat();
        zk.create("/nodes/p/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, child);
        Stat parent = zk.exists("/nodes/p", false);
        equal("a child raises cversion and numChildren", List.of(1, 1), List.of(parent.getCversion(), parent.getNumChildren()));
        equal("pzxid is the child's czxid", child.getCzxid(), parent.getPzxid());
        equal("a child leaves version and mzxid", List.of(2, last.getMzxid()), List.of(parent.getVersion(), parent.getMzxid()));
        refused("delete of a parent", Code.NOTEMPTY, () -> zk.delete("/nodes/p", -1));
        refused("delete with a wrong version", Code.BADVERSION, () -> zk.delete("/nodes/p/c", 7));
        zk.delete("/nodes/p/c", 0);
        parent = zk.exists("/nodes/p", false);
        equal("a deleted child raises cversion again", List.of(2, 0), List.of(parent.getCversion(), parent.getNumChildren()));
        check("a deleted child moves pzxid", parent.getPzxid() > child.getCzxid());
        refused("create of what is there", Code.NODEEXISTS, () -> zk.create("/nodes/p", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        refused("create below nothing", Code.NONODE, () -> zk.create("/nodes/none/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        refused("delete of nothing", Code.NONODE, () -> zk.delete("/nodes/none", -1));
        refused("setData of nothing", Code.NONODE, () -> zk.setData("/nodes/none", null, -1));
        refused("getData of nothing", Code.NONODE, () -> zk.getData("/nodes/none", false, null));
        refused("getChildren of nothing", Code.NONODE, () -> zk.getChildren("/nodes/none", false));
        equal("exists of nothing", null, zk.exists("/nodes/none", false));
        zk.delete("/nodes/p", 2);
        equal("deleted", null, zk.exists("/nodes/p", false));
    }

    private static void sequential(ZooKeeper zk) throws Exception {
        zk.create("/nodes/s", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        equal("first sequential name", "/nodes/s/q-0000000000", zk.create("/nodes/s/q-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        equal("an ephemeral counts on", "/nodes/s/e-0000000001", zk.create("/nodes/s/e-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL));
        zk.create("/nodes/s/plain", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.delete("/nodes/s/plain", -1);
        refused("a failed create", Code.NODEEXISTS, () -> zk.create("/nodes/s/q-0000000000", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        equal("a plain child consumes a number, its deletion and a failed create none", "/nodes/s/0000000003",
            zk.create("/nodes/s/", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        List<String> children = zk.getChildren("/nodes/s", false);
        Collections.sort(children);
        equal("children", Arrays.asList("0000000003", "e-0000000001", "q-0000000000"), children);
    }

    private static void ephemeral(ZooKeeper zk, String address) throws Exception {
        ZooKeeper other = connect(address);
        Stat stat = new Stat();
        other.create("/nodes/e", bytes("e"), OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL, stat);
        equal("ephemeralOwner is the session", other.getSessionId(), stat.getEphemeralOwner());
        refused("a child of an ephemeral", Code.NOCHILDRENFOREPHEMERALS,
            () -> zk.create("/nodes/e/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        other.create("/nodes/e2", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        zk.delete("/nodes/e2", -1);
        equal("anyone may delete an ephemeral", null, other.exists("/nodes/e2", false));
        other.close();
        equal("an ephemeral goes with its session", null, zk.exists("/nodes/e", false));
    }

    private static void container(ZooKeeper zk) throws Exception {
        Stat stat = new Stat();
        zk.create("/nodes/c", bytes("c"), OPEN_ACL_UNSAFE, CreateMode.CONTAINER, stat);
        equal("a container shows no owner", 0L, stat.getEphemeralOwner());
        Thread.sleep(1500);
        check("a container that never had a child stays", zk.exists("/nodes/c", false) != null);
        zk.create("/nodes/c/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.delete("/nodes/c/x", -1);
        eventually("a container goes after its last child", () -> zk.exists("/nodes/c", false) == null);
    }

    private static void ttl(ZooKeeper zk) throws Exception {
        Stat stat = new Stat();
        zk.create("/nodes/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 1000);
        equal("a TTL node shows no owner", 0L, stat.getEphemeralOwner());
        String name = zk.create("/nodes/t-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 600_000);
        check("a sequential TTL node " + name, name.matches("/nodes/t-\\d{10}"));
        zk.create("/nodes/t/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Thread.sleep(2500);
        check("a TTL node with a child stays", zk.exists("/nodes/t", false) != null);
        zk.delete("/nodes/t/x", -1);
        eventually("a TTL node goes when its time is over", () -> zk.exists("/nodes/t", false) == null);
        check("a TTL node stays within its time", zk.exists(name, false) != null);
        try {
            zk.create("/nodes/t0", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 0);
            fail("the client takes a TTL of 0");
        } catch (IllegalArgumentException e) {
            check("a TTL of 0 is the client's own refusal", true);
        }
    }

    private static void data(ZooKeeper zk) throws Exception {
        zk.create("/nodes/null", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/nodes/empty", new byte[0], OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        equal("null data stays null", null, zk.getData("/nodes/null", false, null));
        equal("empty data stays empty", new byte[0], zk.getData("/nodes/empty", false, null));
        byte[] large = new byte[1_000_000];
        Arrays.fill(large, (byte) 0x5a);
        zk.create("/nodes/large", large, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat stat = new Stat();
        equal("a megabyte comes back", large, zk.getData("/nodes/large", false, stat));
        equal("its dataLength", large.length, stat.getDataLength());
        zk.delete("/nodes/large", -1);
        Stat empty = new Stat();
        equal("getChildren with a Stat", List.of(), zk.getChildren("/nodes/empty", false, empty));
        equal("its Stat", zk.exists("/nodes/empty", false), empty);
    }

    private static void paths(ZooKeeper zk) throws Exception {
        zk.create("/nodes/ünï-码", bytes("u"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        check("a name beyond ASCII", zk.getChildren("/nodes", false).contains("ünï-码"));
        equal("the children of / hold /zookeeper", true, zk.getChildren("/", false).contains("zookeeper"));
        List<String> system = zk.getChildren("/zookeeper", false);
        Collections.sort(system);
        equal("/zookeeper", List.of("config", "quota"), system);
        refused("delete of /zookeeper", Code.BADARGUMENTS, () -> zk.delete("/zookeeper", -1));
        refused("delete of /", Code.BADARGUMENTS, () -> zk.delete("/", -1));
        refused("a child of /zookeeper/config", Code.NOAUTH,
            () -> zk.create("/zookeeper/config/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
    }
}

package compat;

import static compat.Checks.*;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.List;
import java.util.stream.Collectors;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Transactions: what a success returns, what a failure leaves and says; reads in one request. */
public final class Multis {
    private Multis() {}

    public static void main(String[] args) {
        run(() -> {
            ZooKeeper zk = connect(args[0]);
            zk.create("/multi", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            success(zk);
            kinds(zk);
            failure(zk);
            reads(zk);
            zk.close();
        });
    }

    private static void success(ZooKeeper zk) throws Exception {
        List<OpResult> results = zk.multi(List.of(
            Op.create("/multi/a", bytes("1"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/multi/a/b", bytes("2"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.setData("/multi/a", bytes("three"), 0),
            Op.check("/multi/a", 1),
            Op.delete("/multi/a/b", 0),
            Op.create("/multi/s-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.create("/multi/s-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL)));
        equal("result of create", new OpResult.CreateResult("/multi/a"), results.get(0));
        Stat stat = ((OpResult.SetDataResult) results.get(2)).getStat();
        equal("result of setData: version, length, children at that moment", List.of(1, 5, 1),
            List.of(stat.getVersion(), stat.getDataLength(), stat.getNumChildren()));
        equal("one zxid for all", stat.getCzxid(), stat.getMzxid());
        equal("result of check", new OpResult.CheckResult(), results.get(3));
        equal("result of delete", new OpResult.DeleteResult(), results.get(4));
        equal("sequential names count within a multi", List.of("/multi/s-0000000001", "/multi/s-0000000002"),
            List.of(((OpResult.CreateResult) results.get(5)).getPath(), ((OpResult.CreateResult) results.get(6)).getPath()));
        equal("data after it", bytes("three"), zk.getData("/multi/a", false, null));
        equal("the child is gone", null, zk.exists("/multi/a/b", false));
        equal("the ephemeral one has its owner", zk.getSessionId(), zk.exists("/multi/s-0000000002", false).getEphemeralOwner());
        equal("transaction()", 2, zk.transaction().create("/multi/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)
            .delete("/multi/t", -1).commit().size());
    }

    private static void kinds(ZooKeeper zk) throws Exception {
        List<OpResult> results = zk.multi(List.of(
            Op.create("/multi/kc", null, OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
            Op.create("/multi/kt", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 600_000)));
        OpResult.CreateResult container = (OpResult.CreateResult) results.get(0);
        equal("a TTL node's result", "/multi/kt", ((OpResult.CreateResult) results.get(1)).getPath());
        equal("a container's result holds its Stat", zk.exists("/multi/kc", false), container.getStat());
        zk.create("/multi/kc/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.delete("/multi/kc/x", -1);
        eventually("a container made by a multi is one", () -> zk.exists("/multi/kc", false) == null);
        check("a TTL node made by a multi stays within its time", zk.exists("/multi/kt", false) != null);
    }

    private static void failure(ZooKeeper zk) throws Exception {
        zk.create("/multi/f", bytes("f"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat parent = zk.exists("/multi", false);
        codes(zk, "a wrong version in the middle", Code.BADVERSION,
            List.of(0, Code.BADVERSION.intValue(), Code.RUNTIMEINCONSISTENCY.intValue()),
            Op.create("/multi/never", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.setData("/multi/f", bytes("never"), 7),
            Op.create("/multi/never-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        codes(zk, "a failed check", Code.NONODE, List.of(Code.NONODE.intValue(), Code.RUNTIMEINCONSISTENCY.intValue()),
            Op.check("/multi/none", -1), Op.delete("/multi/f", -1));
        codes(zk, "a node with children", Code.NOTEMPTY, List.of(0, Code.NOTEMPTY.intValue()),
            Op.create("/multi/f/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.delete("/multi/f", -1));
        codes(zk, "twice the same", Code.NODEEXISTS, List.of(0, Code.NODEEXISTS.intValue()),
            Op.create("/multi/d", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/multi/d", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        equal("nothing of them was done", parent, zk.exists("/multi", false));
        equal("nor to the data", bytes("f"), zk.getData("/multi/f", false, null));
        String next = zk.create("/multi/n-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
        String after = zk.create("/multi/n-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
        equal("no sequence number was lost", number(next) + 1, number(after));
    }

    private static int number(String path) {
        return Integer.parseInt(path.substring(path.length() - 10));
    }

    private static void codes(ZooKeeper zk, String what, Code code, List<Integer> expected, Op... ops) throws Exception {
        try {
            zk.multi(List.of(ops));
        } catch (KeeperException e) {
            equal(what + ": the exception", code, e.code());
            equal(what + ": the results", expected,
                e.getResults().stream().map(r -> ((OpResult.ErrorResult) r).getErr()).collect(Collectors.toList()));
            return;
        }
        fail(what + ": it succeeded");
    }

    private static void reads(ZooKeeper zk) throws Exception {
        List<OpResult> results = zk.multi(List.of(Op.getData("/multi/f"), Op.getChildren("/multi/none"), Op.getChildren("/multi/f")));
        equal("getData in a multi", bytes("f"), ((OpResult.GetDataResult) results.get(0)).getData());
        equal("its Stat", zk.exists("/multi/f", false), ((OpResult.GetDataResult) results.get(0)).getStat());
        equal("a failed read has its own code", Code.NONODE.intValue(), ((OpResult.ErrorResult) results.get(1)).getErr());
        equal("and the next succeeds", List.of(), ((OpResult.GetChildrenResult) results.get(2)).getChildren());
    }
}

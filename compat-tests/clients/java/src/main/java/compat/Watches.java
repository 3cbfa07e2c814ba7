package compat;

import static compat.Checks.*;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;

/** Watches of every kind, their removal, and that they outlive the connection and the server's process. */
public final class Watches {
    private Watches() {}

    /** Keeps the node events it gets, in order; what the connection does is left out. */
    private static final class Seen implements Watcher {
        private final LinkedBlockingQueue<String> events = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() != Event.EventType.None) {
                events.add(event.getType() + " " + event.getPath());
            }
        }

        /** The events are exactly these, and none follows before a later request has been answered. */
        void are(String what, ZooKeeper owner, String... expected) throws Exception {
            List<String> got = new ArrayList<>();
            for (int i = 0; i < expected.length; i++) {
                String event = events.poll(WAIT_MS, TimeUnit.MILLISECONDS);
                got.add(event);
                if (event == null) {
                    break;
                }
            }
            owner.exists("/", false);
            Thread.sleep(30);
            events.drainTo(got);
            equal(what, List.of(expected), got);
        }
    }

    public static void main(String[] args) {
        run(() -> {
            ZooKeeper zk = connect(args[0]);
            ZooKeeper writer = connect(args[0]);
            zk.create("/watch", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            oneShot(zk, writer);
            persistent(zk, writer);
            recursive(zk, writer);
            removed(zk, writer);
            order(zk, writer);
            catchUp(zk, writer);
            restart(zk, writer);
            writer.close();
            zk.close();
        });
    }

    private static void oneShot(ZooKeeper zk, ZooKeeper writer) throws Exception {
        Seen data = new Seen();
        Seen exist = new Seen();
        Seen child = new Seen();
        check("exists of nothing sets a watch", zk.exists("/watch/a", exist) == null);
        refused("getData of nothing", Code.NONODE, () -> zk.getData("/watch/a", data, null));
        zk.getChildren("/watch", child);
        put(writer, "/watch/a");
        exist.are("exists watch", zk, "NodeCreated /watch/a");
        child.are("child watch", zk, "NodeChildrenChanged /watch");
        zk.getData("/watch/a", data, null);
        zk.getChildren("/watch/a", child);
        writer.setData("/watch/a", bytes("1"), -1);
        writer.setData("/watch/a", bytes("2"), -1);
        data.are("a data watch fires once", zk, "NodeDataChanged /watch/a");
        child.are("a child watch does not see data", zk);
        zk.getData("/watch/a", data, null);
        zk.exists("/watch/a", exist);
        writer.delete("/watch/a", -1);
        data.are("data watch at delete", zk, "NodeDeleted /watch/a");
        exist.are("exists watch at delete", zk, "NodeDeleted /watch/a");
        child.are("child watch at delete of the node itself", zk, "NodeDeleted /watch/a");
        zk.exists("/watch/m2", exist);
        zk.exists("/watch/m1", exist);
        writer.multi(List.of(Op.create("/watch/m1", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/watch/m2", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)));
        exist.are("a multi's events come in its order", zk, "NodeCreated /watch/m1", "NodeCreated /watch/m2");
    }

    private static void persistent(ZooKeeper zk, ZooKeeper writer) throws Exception {
        Seen seen = new Seen();
        zk.addWatch("/watch/p", seen, AddWatchMode.PERSISTENT);
        put(writer, "/watch/p");
        writer.setData("/watch/p", bytes("1"), -1);
        writer.setData("/watch/p", bytes("2"), -1);
        put(writer, "/watch/p/c");
        put(writer, "/watch/p/c/d");
        writer.delete("/watch/p/c/d", -1);
        writer.delete("/watch/p/c", -1);
        writer.delete("/watch/p", -1);
        put(writer, "/watch/p");
        seen.are("persistent watch", zk, "NodeCreated /watch/p", "NodeDataChanged /watch/p", "NodeDataChanged /watch/p",
            "NodeChildrenChanged /watch/p", "NodeChildrenChanged /watch/p", "NodeDeleted /watch/p", "NodeCreated /watch/p");
        zk.removeWatches("/watch/p", seen, Watcher.WatcherType.Any, false);
        seen.are("its removal tells the watcher", zk, "PersistentWatchRemoved /watch/p");
    }

    private static void recursive(ZooKeeper zk, ZooKeeper writer) throws Exception {
        Seen seen = new Seen();
        zk.addWatch("/watch/r", seen, AddWatchMode.PERSISTENT_RECURSIVE);
        put(writer, "/watch/r");
        put(writer, "/watch/r/c");
        put(writer, "/watch/r/c/d");
        put(writer, "/watch/rr");
        writer.setData("/watch/r/c/d", bytes("1"), -1);
        writer.delete("/watch/r/c/d", -1);
        writer.delete("/watch/r/c", -1);
        seen.are("recursive watch", zk, "NodeCreated /watch/r", "NodeCreated /watch/r/c", "NodeCreated /watch/r/c/d",
            "NodeDataChanged /watch/r/c/d", "NodeDeleted /watch/r/c/d", "NodeDeleted /watch/r/c");
        zk.removeWatches("/watch/r", seen, Watcher.WatcherType.PersistentRecursive, false);
        seen.are("its removal", zk, "PersistentWatchRemoved /watch/r");
    }

    private static void removed(ZooKeeper zk, ZooKeeper writer) throws Exception {
        Seen data = new Seen();
        Seen child = new Seen();
        put(writer, "/watch/x");
        refused("removal of a watch that is not there", Code.NOWATCHER,
            () -> zk.removeWatches("/watch/x", data, Watcher.WatcherType.Data, false));
        zk.getData("/watch/x", data, null);
        zk.getChildren("/watch/x", child);
        zk.removeWatches("/watch/x", data, Watcher.WatcherType.Data, false);
        data.are("removed data watch", zk, "DataWatchRemoved /watch/x");
        zk.removeAllWatches("/watch/x", Watcher.WatcherType.Children, false);
        child.are("all child watches removed", zk, "ChildWatchRemoved /watch/x");
        writer.setData("/watch/x", null, -1);
        put(writer, "/watch/x/c");
        data.are("no event after removal of the data watch", zk);
        child.are("no event after removal of the child watch", zk);
    }

    /** An event comes before the reply that already shows its change. */
    private static void order(ZooKeeper zk, ZooKeeper writer) throws Exception {
        put(writer, "/watch/o");
        for (int i = 0; i < 200; i++) {
            Seen seen = new Seen();
            int version = zk.getData("/watch/o", seen, null).length + zk.exists("/watch/o", false).getVersion();
            writer.setData("/watch/o", new byte[0], -1, (rc, path, ctx, stat) -> {}, null);
            LinkedBlockingQueue<String> log = seen.events;
            while (true) {
                LinkedBlockingQueue<Boolean> eventFirst = new LinkedBlockingQueue<>();
                zk.exists("/watch/o", false, (rc, path, ctx, stat) -> eventFirst.add(stat.getVersion() == version || !log.isEmpty()), null);
                // Callbacks and events share the client's event thread, so that their order is that of the wire.
                if (!eventFirst.take()) {
                    fail("a reply showed the new version before the event, round " + i);
                }
                if (!log.isEmpty()) {
                    break;
                }
            }
        }
        check("200 times the event was before the reply that showed the change", true);
    }

    /** What happens while the connection is down is told by setWatches at the next one. */
    private static void catchUp(ZooKeeper zk, ZooKeeper writer) throws Exception {
        Seen changed = new Seen();
        Seen deleted = new Seen();
        Seen created = new Seen();
        Seen child = new Seen();
        Seen untouched = new Seen();
        for (String name : List.of("changed", "deleted", "child", "untouched")) {
            put(writer, "/watch/" + name);
        }
        zk.getData("/watch/changed", changed, null);
        zk.getData("/watch/deleted", deleted, null);
        zk.exists("/watch/created", created);
        zk.getChildren("/watch/child", child);
        zk.getData("/watch/untouched", untouched, null);
        zk.getTestable().closeSocket();
        writer.setData("/watch/changed", bytes("new"), -1);
        writer.delete("/watch/deleted", -1);
        put(writer, "/watch/created");
        put(writer, "/watch/child/c");
        changed.are("changed while away", zk, "NodeDataChanged /watch/changed");
        deleted.are("deleted while away", zk, "NodeDeleted /watch/deleted");
        created.are("created while away", zk, "NodeCreated /watch/created");
        child.are("child made while away", zk, "NodeChildrenChanged /watch/child");
        untouched.are("untouched", zk);
        writer.setData("/watch/untouched", bytes("now"), -1);
        untouched.are("registered again", zk, "NodeDataChanged /watch/untouched");
    }

    private static void restart(ZooKeeper zk, ZooKeeper writer) throws Exception {
        Seen data = new Seen();
        Seen exist = new Seen();
        Seen child = new Seen();
        Seen persistent = new Seen();
        Seen recursive = new Seen();
        put(writer, "/watch/again");
        zk.getData("/watch/again", data, null);
        zk.exists("/watch/again/c", exist);
        zk.getChildren("/watch/again", child);
        zk.addWatch("/watch/again", persistent, AddWatchMode.PERSISTENT);
        zk.addWatch("/watch/again", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        restartServer();
        eventually("the watching session is back", () -> zk.exists("/", false) != null);
        eventually("the writing session is back", () -> writer.exists("/", false) != null);
        put(writer, "/watch/again/c");
        writer.setData("/watch/again", bytes("after"), -1);
        exist.are("exists watch over a restart", zk, "NodeCreated /watch/again/c");
        child.are("child watch over a restart", zk, "NodeChildrenChanged /watch/again");
        data.are("data watch over a restart", zk, "NodeDataChanged /watch/again");
        persistent.are("persistent watch over a restart", zk, "NodeChildrenChanged /watch/again", "NodeDataChanged /watch/again");
        recursive.are("recursive watch over a restart", zk, "NodeCreated /watch/again/c", "NodeDataChanged /watch/again");
    }

    private static void put(ZooKeeper zk, String path) throws Exception {
        zk.create(path, new byte[0], OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }
}

package compat;

import static compat.Checks.*;
import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.Arrays;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** ACLs with the schemes world, auth, digest, ip and super. The server's superDigest is that of super:secret. */
public final class Acls {
    private static final Id ANYONE = new Id("world", "anyone");

    private Acls() {}

    public static void main(String[] args) {
        run(() -> {
            ZooKeeper open = connect(args[0]);
            ZooKeeper bob = connect(args[0]);
            bob.addAuthInfo("digest", bytes("bob:pw"));
            ZooKeeper root = connect(args[0]);
            root.addAuthInfo("digest", bytes("super:secret"));
            open.create("/acls", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            world(open);
            auth(open, bob, root);
            digest(open, bob);
            ip(open);
            setAcl(open, bob);
            events(open, bob);
            whoAmI(open, bob);
            wrongAuth(args[0]);
            open.close();
            bob.close();
            root.close();
        });
    }

    private static void world(ZooKeeper zk) throws Exception {
        zk.create("/acls/read", bytes("r"), Arrays.asList(new ACL(Perms.READ, ANYONE)), CreateMode.PERSISTENT);
        equal("READ lets read", bytes("r"), zk.getData("/acls/read", false, null));
        refused("setData without WRITE", Code.NOAUTH, () -> zk.setData("/acls/read", null, -1));
        refused("create without CREATE", Code.NOAUTH, () -> zk.create("/acls/read/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        refused("setACL without ADMIN", Code.NOAUTH, () -> zk.setACL("/acls/read", OPEN_ACL_UNSAFE, -1));
        zk.delete("/acls/read", -1);
        check("deleting asks the parent only", zk.exists("/acls/read", false) == null);

        zk.create("/acls/noread", null, Arrays.asList(new ACL(Perms.WRITE | Perms.CREATE, ANYONE)), CreateMode.PERSISTENT);
        refused("getData without READ", Code.NOAUTH, () -> zk.getData("/acls/noread", false, null));
        refused("getChildren without READ", Code.NOAUTH, () -> zk.getChildren("/acls/noread", false));
        refused("exists without READ", Code.NOAUTH, () -> zk.exists("/acls/noread", false));
        refused("getACL without READ or ADMIN", Code.NOAUTH, () -> zk.getACL("/acls/noread", new Stat()));
        zk.create("/acls/noread/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        refused("delete without DELETE on the parent", Code.NOAUTH, () -> zk.delete("/acls/noread/c", -1));

        refused("an empty list", Code.INVALIDACL, () -> zk.create("/acls/bad", null, Arrays.asList(), CreateMode.PERSISTENT));
        refused("world with another id", Code.INVALIDACL,
            () -> zk.create("/acls/bad", null, Arrays.asList(new ACL(Perms.ALL, new Id("world", "bob"))), CreateMode.PERSISTENT));
        refused("an unknown scheme", Code.INVALIDACL,
            () -> zk.create("/acls/bad", null, Arrays.asList(new ACL(Perms.ALL, new Id("nosuch", "bob"))), CreateMode.PERSISTENT));
        refused("super as a scheme", Code.INVALIDACL,
            () -> zk.create("/acls/bad", null, Arrays.asList(new ACL(Perms.ALL, new Id("super", ""))), CreateMode.PERSISTENT));
    }

    private static void auth(ZooKeeper open, ZooKeeper bob, ZooKeeper root) throws Exception {
        refused("auth without an identity", Code.INVALIDACL, () -> open.create("/acls/auth", null, CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        bob.create("/acls/auth", bytes("mine"), CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        equal("auth becomes the creator's digest",
            Arrays.asList(new ACL(Perms.ALL, new Id("digest", DigestAuthenticationProvider.generateDigest("bob:pw")))),
            bob.getACL("/acls/auth", new Stat()));
        equal("the creator reads", bytes("mine"), bob.getData("/acls/auth", false, null));
        refused("another", Code.NOAUTH, () -> open.getData("/acls/auth", false, null));
        equal("super passes", bytes("mine"), root.getData("/acls/auth", false, null));
        root.setData("/acls/auth", bytes("super's"), 0);
        equal("super's setData", bytes("super's"), bob.getData("/acls/auth", false, null));
        root.setACL("/acls/auth", Arrays.asList(new ACL(Perms.READ, ANYONE)), 0);
        equal("super's setACL", bytes("super's"), open.getData("/acls/auth", false, null));
        refused("super does not pass other rules", Code.BADARGUMENTS, () -> root.delete("/zookeeper/config", -1));
    }

    private static void digest(ZooKeeper open, ZooKeeper bob) throws Exception {
        Id id = new Id("digest", DigestAuthenticationProvider.generateDigest("bob:pw"));
        open.create("/acls/digest", bytes("d"), Arrays.asList(new ACL(Perms.READ | Perms.ADMIN, id), new ACL(Perms.READ, ANYONE)), CreateMode.PERSISTENT);
        equal("getACL without ADMIN masks the hash", new Id("digest", "bob:x"), open.getACL("/acls/digest", new Stat()).get(0).getId());
        equal("getACL with ADMIN shows it", id, bob.getACL("/acls/digest", new Stat()).get(0).getId());
        refused("a digest without a colon", Code.INVALIDACL,
            () -> open.create("/acls/bad", null, Arrays.asList(new ACL(Perms.ALL, new Id("digest", "bob"))), CreateMode.PERSISTENT));
    }

    private static void ip(ZooKeeper zk) throws Exception {
        zk.create("/acls/ip", bytes("i"), Arrays.asList(new ACL(Perms.ALL, new Id("ip", "127.0.0.0/8"))), CreateMode.PERSISTENT);
        equal("an ip range that holds us", bytes("i"), zk.getData("/acls/ip", false, null));
        zk.create("/acls/ip1", bytes("i"), Arrays.asList(new ACL(Perms.ALL, new Id("ip", "127.0.0.1"))), CreateMode.PERSISTENT);
        equal("our address", bytes("i"), zk.getData("/acls/ip1", false, null));
        zk.create("/acls/ip2", bytes("i"), Arrays.asList(new ACL(Perms.ALL, new Id("ip", "192.0.2.0/24"))), CreateMode.PERSISTENT);
        refused("a range that does not hold us", Code.NOAUTH, () -> zk.getData("/acls/ip2", false, null));
        refused("too many bits", Code.INVALIDACL,
            () -> zk.create("/acls/bad", null, Arrays.asList(new ACL(Perms.ALL, new Id("ip", "127.0.0.1/33"))), CreateMode.PERSISTENT));
    }

    private static void setAcl(ZooKeeper open, ZooKeeper bob) throws Exception {
        open.create("/acls/set", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat before = open.exists("/acls/set", false);
        Stat after = bob.setACL("/acls/set", CREATOR_ALL_ACL, 0);
        equal("setACL raises aversion", 1, after.getAversion());
        before.setAversion(1);
        equal("and nothing else", before, after);
        refused("setACL with an old version", Code.BADVERSION, () -> bob.setACL("/acls/set", OPEN_ACL_UNSAFE, 0));
        refused("setACL by another", Code.NOAUTH, () -> open.setACL("/acls/set", OPEN_ACL_UNSAFE, 1));
        refused("setACL of nothing", Code.NONODE, () -> open.setACL("/acls/none", OPEN_ACL_UNSAFE, -1));
    }

    private static void events(ZooKeeper open, ZooKeeper bob) throws Exception {
        var seen = new java.util.concurrent.LinkedBlockingQueue<String>();
        open.addWatch("/acls/ev", event -> seen.add(event.getType() + " " + event.getPath()), org.apache.zookeeper.AddWatchMode.PERSISTENT_RECURSIVE);
        bob.create("/acls/ev", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        bob.create("/acls/ev/secret", null, CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        bob.create("/acls/ev/open", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        equal("the first event", "NodeCreated /acls/ev", seen.take());
        equal("no event tells of a node that may not be read", "NodeCreated /acls/ev/open", seen.take());
    }

    private static void whoAmI(ZooKeeper open, ZooKeeper bob) throws Exception {
        equal("whoAmI of a fresh connection", List.of(new ClientInfo("ip", "127.0.0.1")), open.whoAmI());
        check("whoAmI with a digest", bob.whoAmI().size() == 2 && bob.whoAmI().contains(new ClientInfo("digest", "bob")));
    }

    private static void wrongAuth(String address) throws Exception {
        ZooKeeper zk = connect(address);
        zk.addAuthInfo("nosuch", bytes("x"));
        eventually("an unknown scheme fails the handle's authentication", () -> zk.getState() == ZooKeeper.States.AUTH_FAILED);
        zk.close();
    }
}

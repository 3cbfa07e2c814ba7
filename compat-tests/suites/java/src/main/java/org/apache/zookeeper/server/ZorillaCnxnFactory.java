package org.apache.zookeeper.server;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import zorilla.suites.ZorillaProcess;

/**
 * Makes Apache's own tests talk to Zorilla: selected by the property zookeeper.serverCnxnFactory, it starts a Zorilla
 * where NIOServerCnxnFactory would begin to serve clients, with the directories, ticks and limits of the
 * ZooKeeperServer that the test has made. That object itself is only told that it runs, and that it does no more.
 */
public final class ZorillaCnxnFactory extends ServerCnxnFactory {
    private InetSocketAddress address;
    private int maxClientCnxns;
    private int backlog = -1;
    private ZorillaProcess process;

    @Override
    public void configure(InetSocketAddress asked, int maxClientCnxns, int backlog, boolean secure) throws IOException {
        if (secure) {
            throw new IOException("Zorilla has no TLS yet");
        }
        InetAddress host = asked.getAddress();
        if (host == null || host.isAnyLocalAddress()) {
            host = InetAddress.getByName("127.0.0.1");
        }
        int port = asked.getPort() == 0 ? ZorillaProcess.freePort() : asked.getPort();
        this.address = new InetSocketAddress(host, port);
        this.maxClientCnxns = maxClientCnxns;
        this.backlog = backlog;
        initMaxCnxns();
    }

    @Override
    public void startup(ZooKeeperServer server, boolean startServer) throws IOException, InterruptedException {
        setZooKeeperServer(server);
        if (startServer) {
            process = ZorillaProcess.start(config(server));
            server.setState(ZooKeeperServer.State.RUNNING);
        }
    }

    private Map<String, String> config(ZooKeeperServer server) {
        Map<String, String> config = new LinkedHashMap<>();
        config.put("clientPort", Integer.toString(address.getPort()));
        config.put("clientPortAddress", address.getAddress().getHostAddress());
        config.put("dataDir", server.getTxnLogFactory().getSnapDir().getParent());
        config.put("dataLogDir", server.getTxnLogFactory().getDataLogDir().getParent());
        config.put("tickTime", Integer.toString(server.getTickTime()));
        config.put("minSessionTimeout", Integer.toString(server.getMinSessionTimeout()));
        config.put("maxSessionTimeout", Integer.toString(server.getMaxSessionTimeout()));
        config.put("maxClientCnxns", Integer.toString(Math.max(maxClientCnxns, 0)));
        config.put("snapCount", Integer.toString(SyncRequestProcessor.getSnapCount()));
        return config;
    }

    @Override
    public void shutdown() {
        if (process != null) {
            process.stop();
            process = null;
            zkServer.setState(ZooKeeperServer.State.SHUTDOWN);
        }
    }

    @Override
    public void join() throws InterruptedException {
        if (process != null) {
            process.join();
        }
    }

    @Override
    public void start() {
        // startup() has done it
    }

    @Override
    public void reconfigure(InetSocketAddress other) {
        throw new UnsupportedOperationException("Zorilla cannot change its client port");
    }

    @Override
    public InetSocketAddress getLocalAddress() {
        return address;
    }

    @Override
    public int getLocalPort() {
        return address.getPort();
    }

    @Override
    public int getMaxClientCnxnsPerHost() {
        return maxClientCnxns;
    }

    /** Of a server that runs, too: that one is started again, since Zorilla's limit does not change while it runs. */
    @Override
    public void setMaxClientCnxnsPerHost(int max) {
        maxClientCnxns = max;
        if (process != null) {
            try {
                shutdown();
                startup(zkServer, true);
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    @Override
    public int getSocketListenBacklog() {
        return backlog;
    }

    // The connections are in another process: a test that asks for them here asks for Apache's internals.

    @Override
    public Iterable<ServerCnxn> getConnections() {
        return Collections.emptyList();
    }

    @Override
    public void closeAll(ServerCnxn.DisconnectReason reason) {
        throw new UnsupportedOperationException("Zorilla's connections are not in this JVM");
    }

    @Override
    public void resetAllConnectionStats() {
        throw new UnsupportedOperationException("Zorilla's connections are not in this JVM");
    }

    @Override
    public Iterable<Map<String, Object>> getAllConnectionInfo(boolean brief) {
        return Collections.emptyList();
    }
}

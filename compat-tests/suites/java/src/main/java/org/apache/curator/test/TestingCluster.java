package org.apache.curator.test;

import java.io.Closeable;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.zookeeper.ZooKeeper;
import org.opentest4j.TestAbortedException;

/**
 * In front of the class of this name in curator-test, so that no test of Zorilla runs against an ensemble of Apache's
 * servers unnoticed.
 */
public class TestingCluster implements Closeable {
    private static final String REASON = "needs an ensemble, which Zorilla does not form yet";

    public TestingCluster(int size) {
        throw new TestAbortedException(REASON);
    }

    public TestingCluster(InstanceSpec... specs) {
        throw new TestAbortedException(REASON);
    }

    public TestingCluster(Collection<InstanceSpec> specs) {
        throw new TestAbortedException(REASON);
    }

    public TestingCluster(Map<InstanceSpec, Collection<InstanceSpec>> specs) {
        throw new TestAbortedException(REASON);
    }

    public static Map<InstanceSpec, Collection<InstanceSpec>> makeSpecs(int size) {
        throw new TestAbortedException(REASON);
    }

    public static Map<InstanceSpec, Collection<InstanceSpec>> makeSpecs(int size, boolean enabled) {
        throw new TestAbortedException(REASON);
    }

    // Nothing below is reached: there is no instance. It is here for the verifier.

    public void start() {
        throw new TestAbortedException(REASON);
    }

    public void stop() {
        throw new TestAbortedException(REASON);
    }

    @Override
    public void close() {
        // a teardown may close what was never made
    }

    public Collection<InstanceSpec> getInstances() {
        return Collections.emptyList();
    }

    public List<TestingZooKeeperServer> getServers() {
        return Collections.emptyList();
    }

    public String getConnectString() {
        throw new TestAbortedException(REASON);
    }

    public boolean killServer(InstanceSpec spec) {
        throw new TestAbortedException(REASON);
    }

    public boolean restartServer(InstanceSpec spec) {
        throw new TestAbortedException(REASON);
    }

    public InstanceSpec findConnectionInstance(ZooKeeper client) {
        throw new TestAbortedException(REASON);
    }
}

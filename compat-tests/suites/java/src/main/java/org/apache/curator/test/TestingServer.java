package org.apache.curator.test;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.curator.test.compatibility.Timing2;
import zorilla.suites.ZorillaProcess;

/**
 * In front of the class of this name in curator-test: the same methods, with Zorilla as a process in the place of a
 * server within the JVM.
 */
public class TestingServer implements Closeable {
    private enum State { NEW, RUNNING, STOPPED, CLOSED }

    private final InstanceSpec spec;
    private State state = State.NEW;
    private ZorillaProcess process;

    public TestingServer() throws Exception {
        this(-1, null, true);
    }

    public TestingServer(boolean start) throws Exception {
        this(-1, null, start);
    }

    public TestingServer(int port) throws Exception {
        this(port, null, true);
    }

    public TestingServer(int port, boolean start) throws Exception {
        this(port, null, start);
    }

    public TestingServer(int port, File directory) throws Exception {
        this(port, directory, true);
    }

    public TestingServer(int port, File directory, boolean start) throws Exception {
        this(new InstanceSpec(directory, port, -1, -1, true, -1), start);
    }

    public TestingServer(InstanceSpec spec, boolean start) throws Exception {
        this.spec = spec;
        if (start) {
            start();
        }
    }

    public int getPort() {
        return spec.getPort();
    }

    public File getTempDirectory() {
        return spec.getDataDirectory();
    }

    public String getConnectString() {
        return spec.getConnectString();
    }

    /** Starts a server that has not run yet; after {@link #stop()} only {@link #restart()} does. */
    public synchronized void start() throws Exception {
        if (state == State.NEW) {
            process = ZorillaProcess.start(config());
            state = State.RUNNING;
        }
    }

    public synchronized void stop() throws IOException {
        if (state == State.RUNNING) {
            process.stop();
            state = State.STOPPED;
        }
    }

    /** SIGKILL: what nothing within a JVM can do to itself. */
    public synchronized void kill() {
        if (state == State.RUNNING) {
            process.kill();
            state = State.STOPPED;
        }
    }

    public synchronized void restart() throws Exception {
        if (state == State.CLOSED) {
            throw new IllegalStateException("closed: its data is gone");
        }
        stop();
        state = State.NEW;
        start();
    }

    @Override
    public synchronized void close() throws IOException {
        stop();
        if (state == State.STOPPED) {
            state = State.CLOSED;
            if (spec.deleteDataDirectoryOnClose()) {
                DirectoryUtils.deleteRecursively(spec.getDataDirectory());
            }
        }
    }

    /** As curator-test's QuorumConfigBuilder sets Apache's server up. */
    private Map<String, String> config() throws IOException {
        Map<String, String> config = new LinkedHashMap<>();
        config.put("dataDir", spec.getDataDirectory().getCanonicalPath());
        config.put("clientPort", Integer.toString(spec.getPort()));
        config.put("clientPortAddress", "127.0.0.1");
        String tickTime = Integer.toString(spec.getTickTime() >= 0 ? spec.getTickTime() : new Timing2().tickTime());
        config.put("tickTime", tickTime);
        config.put("minSessionTimeout", tickTime);
        if (spec.getMaxClientCnxns() >= 0) {
            config.put("maxClientCnxns", Integer.toString(spec.getMaxClientCnxns()));
        }
        config.put("4lw.commands.whitelist", "*");
        spec.getCustomProperties().forEach((key, value) -> config.put(key, String.valueOf(value)));
        return config;
    }
}

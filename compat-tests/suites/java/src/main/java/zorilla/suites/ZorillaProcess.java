package zorilla.suites;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One Zorilla as a process of its own: started from a zoo.cfg, ready when it answers a handshake.
 *
 * The binary is $ZORILLA_BIN; configuration files and logs go to $SUITES_DIRECTORY. System properties of
 * the server are handed on, because tests set Apache's server up with them.
 */
public final class ZorillaProcess {
    private static final int READY_SECONDS = 60;
    private static final int STOP_SECONDS = 30;
    private static final AtomicInteger STARTED = new AtomicInteger();
    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();
    private static final List<String> HANDED_ON = List.of("zookeeper.", "znode.container.", "jute.maxbuffer");
    /** Properties that speak to the JVM the tests run in. */
    private static final List<String> NOT_HANDED_ON =
            List.of("zookeeper.serverCnxnFactory", "zookeeper.junit.", "zookeeper.jmx.", "zookeeper.clientCnxnSocket");

    private final Process process;
    private final Path log;
    private final InetSocketAddress address;

    private ZorillaProcess(Process process, Path log, InetSocketAddress address) {
        this.process = process;
        this.log = log;
        this.address = address;
    }

    /**
     * Starts a server with these keys of zoo.cfg, `clientPort` and `clientPortAddress` among them, and waits until it
     * serves. A port that somebody else has is a BindException, as in a server within the JVM.
     */
    public static ZorillaProcess start(Map<String, String> config) throws IOException, InterruptedException {
        InetAddress host = InetAddress.getByName(config.get("clientPortAddress"));
        InetSocketAddress address = new InetSocketAddress(host, Integer.parseInt(config.get("clientPort")));
        try (ServerSocket probe = new ServerSocket()) {
            probe.setReuseAddress(true);
            probe.bind(address);
        }
        Path directory = Path.of(System.getenv("SUITES_DIRECTORY"));
        String name = "server-" + ProcessHandle.current().pid() + "-" + STARTED.incrementAndGet();
        Path file = directory.resolve(name + ".cfg");
        Path log = directory.resolve(name + ".log");
        List<String> lines = new ArrayList<>();
        new TreeMap<>(config).forEach((key, value) -> lines.add(key + "=" + value));
        Files.write(file, lines);

        List<String> command = new ArrayList<>(List.of(System.getenv("ZORILLA_BIN"), "serve"));
        for (String property : System.getProperties().stringPropertyNames()) {
            if (HANDED_ON.stream().anyMatch(property::startsWith)
                    && NOT_HANDED_ON.stream().noneMatch(property::startsWith)) {
                command.add("-D" + property + "=" + System.getProperty(property));
            }
        }
        command.add(file.toString());
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .redirectInput(new File("/dev/null"))
                .start();
        RUNNING.add(process);
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
        ZorillaProcess zorilla = new ZorillaProcess(process, log, address);
        zorilla.awaitReady();
        return zorilla;
    }

    /** How many have been started in this JVM, whatever became of them. */
    public static int started() {
        return STARTED.get();
    }

    /** Whether one of them runs. */
    public static boolean anyAlive() {
        return RUNNING.stream().anyMatch(Process::isAlive);
    }

    /** A loopback port that nobody listens on. */
    public static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    /** SIGTERM, and waits for the end. */
    public void stop() {
        end(false);
    }

    /** SIGKILL, and waits for the end. */
    public void kill() {
        end(true);
    }

    public boolean isAlive() {
        return process.isAlive();
    }

    public void join() throws InterruptedException {
        process.waitFor();
    }

    private void end(boolean forcibly) {
        boolean interrupted = Thread.interrupted();
        try {
            if (forcibly) {
                process.destroyForcibly();
            } else {
                process.destroy();
            }
            RUNNING.remove(process);
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IllegalStateException("Zorilla ignored SIGTERM for " + STOP_SECONDS + " s, see " + log);
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void awaitReady() throws IOException, InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(READY_SECONDS);
        while (System.nanoTime() < deadline) {
            if (!process.isAlive()) {
                throw new IOException("Zorilla ended at start with code " + process.exitValue() + "\n" + Files.readString(log));
            }
            if (answersHandshake()) {
                return;
            }
            Thread.sleep(10);
        }
        process.destroyForcibly();
        throw new IOException("Zorilla did not answer a handshake within " + READY_SECONDS + " s, see " + log);
    }

    /** Asks for a session that cannot exist: it is told that it expired, and leaves no trace in the server. */
    private boolean answersHandshake() {
        try (Socket socket = new Socket()) {
            socket.connect(address, 2000);
            socket.setSoTimeout(2000);
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(29);
            out.writeInt(0); // protocolVersion
            out.writeLong(0); // lastZxidSeen
            out.writeInt(4000); // timeOut, ms
            out.writeLong(1); // sessionId
            out.writeInt(0); // password
            out.writeBoolean(false); // readOnly
            out.flush();
            return new DataInputStream(socket.getInputStream()).readInt() > 0;
        } catch (IOException e) {
            return false;
        }
    }
}

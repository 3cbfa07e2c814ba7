package zorilla.suites;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectUniqueId;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Lists the test methods of classes, or runs some of them.
 *
 * `list FILE`: a class name per line in; "name TAB unique id" per line out, or "class#unreadable TAB !why" for one that JUnit cannot
 * read. `run FILE RESULTS`: such lines in; into RESULTS a line at each end of a test, so that what a JVM that had to be
 * ended has done is not lost.
 */
public final class Runner {
    /** Of one test method, its setup and its teardown each. A test that hangs is interrupted. */
    private static final String METHOD_TIMEOUT = "120 s";

    /** Then a test that starts no server says nothing about Zorilla, and does not count as passed. */
    private static final boolean FOR_ZORILLA = System.getenv("ZORILLA_BIN") != null;
    private static final String FACTORY = "zookeeper.serverCnxnFactory";
    private static final String OUR_FACTORY = System.getProperty(FACTORY);

    public static void main(String[] arguments) throws IOException {
        List<String> lines = Files.readAllLines(Path.of(arguments[1]));
        if (arguments[0].equals("list")) {
            lines.forEach(Runner::list);
            System.out.flush();
        } else {
            run(lines, Path.of(arguments[2]));
        }
        // Tests leave threads behind.
        Runtime.getRuntime().halt(0);
    }

    private static void list(String name) {
        try {
            Class<?> type = Class.forName(name, false, Runner.class.getClassLoader());
            TestPlan plan = LauncherFactory.create()
                    .discover(LauncherDiscoveryRequestBuilder.request().selectors(selectClass(type)).build());
            for (TestIdentifier root : plan.getRoots()) {
                for (TestIdentifier test : plan.getDescendants(root)) {
                    test.getSource().filter(MethodSource.class::isInstance).ifPresent(source ->
                            System.out.println(name + "#" + ((MethodSource) source).getMethodName() + "\t" + test.getUniqueId()));
                }
            }
        } catch (Throwable why) {
            System.out.println(name + "#unreadable\t!" + why.toString().replaceAll("\\s+", " "));
        }
    }

    private static void run(List<String> lines, Path results) throws IOException {
        Map<String, String> names = new TreeMap<>();
        LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request();
        for (String line : lines) {
            String[] parts = line.split("\t");
            names.put(parts[1], parts[0]);
            request.selectors(selectUniqueId(parts[1]));
        }
        request.configurationParameter("junit.jupiter.execution.timeout.default", METHOD_TIMEOUT);
        Launcher launcher = LauncherFactory.create();
        launcher.execute(request.build(), new Listener(names, results));
    }

    /** Writes an outcome for each method; one with several invocations fails with the first of them that fails. */
    private static final class Listener implements TestExecutionListener {
        private final Map<String, String> names;
        private final Path results;
        private final Map<String, Throwable> failed = new TreeMap<>();
        /** How many servers had been started when a test began; -1: one was running. */
        private final Map<String, Integer> startedBefore = new TreeMap<>();
        private TestPlan plan;

        Listener(Map<String, String> names, Path results) {
            this.names = names;
            this.results = results;
        }

        @Override
        public void testPlanExecutionStarted(TestPlan started) {
            plan = started;
        }

        @Override
        public void executionStarted(TestIdentifier test) {
            if (OUR_FACTORY != null) {
                // A test that wants another factory leaves it to those behind it.
                System.setProperty(FACTORY, OUR_FACTORY);
            }
            startedBefore.put(test.getUniqueId(), ZorillaProcess.anyAlive() ? -1 : ZorillaProcess.started());
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            for (TestIdentifier each : withDescendants(test)) {
                write(each.getUniqueId(), "skipped", reason);
            }
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            String id = test.getUniqueId();
            Throwable why = result.getThrowable().orElse(null);
            if (names.containsKey(id)) {
                Throwable inner = failed.get(id);
                if (inner != null || result.getStatus() == TestExecutionResult.Status.FAILED) {
                    write(id, "failed", trace(inner != null ? inner : why));
                } else if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
                    write(id, "skipped", why == null ? "aborted" : String.valueOf(why.getMessage()));
                } else if (FOR_ZORILLA && startedBefore.get(id) == ZorillaProcess.started()) {
                    write(id, "skipped", "starts no server");
                } else {
                    write(id, "passed", "");
                }
            } else if (result.getStatus() == TestExecutionResult.Status.FAILED) {
                // An invocation of a parameterized test, or the setup of a whole class.
                test.getParentId().filter(names::containsKey).ifPresent(parent -> failed.putIfAbsent(parent, why));
                for (TestIdentifier each : withDescendants(test)) {
                    write(each.getUniqueId(), "failed", trace(why));
                }
            }
        }

        private List<TestIdentifier> withDescendants(TestIdentifier test) {
            List<TestIdentifier> all = new java.util.ArrayList<>(plan.getDescendants(test));
            all.add(test);
            return all;
        }

        private void write(String uniqueId, String result, String detail) {
            String name = names.get(uniqueId);
            if (name == null) {
                return;
            }
            String encoded = Base64.getEncoder().encodeToString(detail.getBytes(StandardCharsets.UTF_8));
            try {
                Files.writeString(results, name + "\t" + result + "\t" + encoded + "\n",
                        StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }

        private static String trace(Throwable why) {
            StringWriter text = new StringWriter();
            if (why != null) {
                why.printStackTrace(new PrintWriter(text));
            }
            return text.toString();
        }
    }

    private Runner() {}
}

package org.apache.zookeeper.test;

import java.util.Collections;
import java.util.List;
import java.util.Set;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import org.opentest4j.TestAbortedException;

/**
 * In front of the class of this name in Apache's tests, which looks for the beans of a server in this JVM. Zorilla has
 * none: what a base class asks for in passing is granted, a test that reads a bean is not run.
 */
public class JMXEnv {
    private static final String REASON = "JMX beans belong to a server within the JVM";

    public static void setUp() {
        // no connector to start
    }

    public static void tearDown() {
        // no connector to stop
    }

    public static void dump() {
        // no beans to show
    }

    public static Set<ObjectName> ensureAll(String... expectedNames) {
        return Collections.emptySet();
    }

    public static Set<ObjectName> ensureOnly(String... expectedNames) {
        return Collections.emptySet();
    }

    public static void ensureNone(String... expectedNames) {
        // there are none
    }

    public static Set<ObjectName> ensureParent(String... expectedNames) {
        return Collections.emptySet();
    }

    public static MBeanServerConnection conn() {
        throw new TestAbortedException(REASON);
    }

    public static Object ensureBeanAttribute(String expectedName, String expectedAttribute) {
        throw new TestAbortedException(REASON);
    }

    public static List<ObjectName> getServerBeans() {
        throw new TestAbortedException(REASON);
    }

    public static ObjectName getServerBean() {
        throw new TestAbortedException(REASON);
    }
}

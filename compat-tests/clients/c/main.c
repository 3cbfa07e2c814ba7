/* The C client at work: create, get, set, watch, multi. One line per check; exits 1 at the first that fails. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define SESSION_TIMEOUT_MS 15000
#define WAIT_MS 20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int connected;
static int seen_type;
static char seen_path[64];

static void check(const char *what, int holds) {
    printf("%s %s\n", holds ? "ok" : "FAILED", what);
    fflush(stdout);
    if (!holds) exit(1);
}

static void watcher(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh;
    (void)context;
    pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) {
        connected = state == ZOO_CONNECTED_STATE;
    } else {
        seen_type = type;
        snprintf(seen_path, sizeof seen_path, "%s", path);
    }
    pthread_mutex_unlock(&lock);
}

static void eventually(const char *what, int *value, int expected) {
    for (int waited = 0; waited < WAIT_MS; waited += 10) {
        pthread_mutex_lock(&lock);
        int now = *value;
        pthread_mutex_unlock(&lock);
        if (now == expected) {
            check(what, 1);
            return;
        }
        usleep(10000);
    }
    check(what, 0);
}

static void nodes(zhandle_t *zk) {
    char buffer[64];
    int length = sizeof buffer;
    struct Stat stat;
    check("create", zoo_create(zk, "/c", "one", 3, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, buffer, sizeof buffer) == ZOK);
    check("create of what is there", zoo_create(zk, "/c", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0) == ZNODEEXISTS);
    check("get", zoo_get(zk, "/c", 0, buffer, &length, &stat) == ZOK && length == 3 && memcmp(buffer, "one", 3) == 0);
    check("Stat of a new node", stat.version == 0 && stat.czxid == stat.mzxid && stat.dataLength == 3);
    check("set", zoo_set2(zk, "/c", "two", 3, 0, &stat) == ZOK && stat.version == 1);
    check("set with an old version", zoo_set(zk, "/c", "x", 1, 0) == ZBADVERSION);
    check("sequential name", zoo_create(zk, "/c/s-", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, buffer, sizeof buffer) == ZOK &&
                                 strcmp(buffer, "/c/s-0000000000") == 0);
    check("ephemeral", zoo_create(zk, "/c/e", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0) == ZOK &&
                           zoo_exists(zk, "/c/e", 0, &stat) == ZOK && stat.ephemeralOwner == zoo_client_id(zk)->client_id);
    struct String_vector children;
    check("children", zoo_get_children(zk, "/c", 0, &children) == ZOK && children.count == 2);
    deallocate_String_vector(&children);
    check("delete of a parent", zoo_delete(zk, "/c", -1) == ZNOTEMPTY);
}

static void watches(zhandle_t *zk) {
    check("exists of nothing", zoo_exists(zk, "/c/w", 1, NULL) == ZNONODE);
    check("create", zoo_create(zk, "/c/w", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0) == ZOK);
    eventually("exists watch", &seen_type, ZOO_CREATED_EVENT);
    check("its path", strcmp(seen_path, "/c/w") == 0);
    check("watch", zoo_exists(zk, "/c/w", 1, NULL) == ZOK);
    check("set", zoo_set(zk, "/c/w", "1", 1, -1) == ZOK);
    eventually("data watch", &seen_type, ZOO_CHANGED_EVENT);
}

static void multi(zhandle_t *zk) {
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    char path[64];
    struct Stat stat;
    zoo_create_op_init(&ops[0], "/c/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_set_op_init(&ops[1], "/c/m", "22", 2, 0, &stat);
    zoo_check_op_init(&ops[2], "/c/m", 1);
    check("multi", zoo_multi(zk, 3, ops, results) == ZOK && strcmp(path, "/c/m") == 0 && stat.version == 1 && stat.dataLength == 2);
    zoo_create_op_init(&ops[0], "/c/never", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_check_op_init(&ops[1], "/c/m", 7);
    zoo_delete_op_init(&ops[2], "/c/m", -1);
    check("a multi with a wrong version", zoo_multi(zk, 3, ops, results) == ZBADVERSION);
    check("each result says its own",
          results[0].err == ZOK && results[1].err == ZBADVERSION && results[2].err == ZRUNTIMEINCONSISTENCY);
    check("nothing of it was done", zoo_exists(zk, "/c/never", 0, NULL) == ZNONODE);
}

static void restart(zhandle_t *zk) {
    char line[64];
    int64_t session = zoo_client_id(zk)->client_id;
    struct Stat stat;
    puts("RESTART");
    fflush(stdout);
    check("restarted", fgets(line, sizeof line, stdin) != NULL);
    int rc = ZCONNECTIONLOSS;
    for (int waited = 0; waited < WAIT_MS && rc != ZOK; waited += 50) {
        rc = zoo_exists(zk, "/c/e", 0, &stat);
        usleep(50000);
    }
    check("the session and its ephemeral are back", rc == ZOK && stat.ephemeralOwner == session &&
                                                        zoo_client_id(zk)->client_id == session);
    check("the data is there", zoo_exists(zk, "/c/m", 0, &stat) == ZOK && stat.version == 1);
}

int main(int argc, char **argv) {
    zoo_set_debug_level(0);
    zhandle_t *zk = zookeeper_init(argv[argc - 1], watcher, SESSION_TIMEOUT_MS, NULL, NULL, 0);
    check("handle", zk != NULL);
    eventually("connected", &connected, 1);
    nodes(zk);
    watches(zk);
    multi(zk);
    restart(zk);
    zookeeper_close(zk);
    puts("done");
    return 0;
}

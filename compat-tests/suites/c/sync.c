/* The synchronous API, which only the library with threads has. */
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

static void nodes(void) {
    zhandle_t *zk = open_handle();
    char buffer[TEXT_BYTES];
    int length = sizeof buffer;
    struct Stat stat;
    SAME(ZOK, zoo_create(zk, "/s", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, buffer, sizeof buffer));
    SAME_TEXT("/s", buffer);
    SAME(ZNODEEXISTS, zoo_create(zk, "/s", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    SAME(ZOK, zoo_get(zk, "/s", 0, buffer, &length, &stat));
    SAME(3, length);
    SAME(0, stat.version);
    SAME(ZOK, zoo_set(zk, "/s", "two", 3, 0));
    SAME(ZBADVERSION, zoo_set(zk, "/s", "two", 3, 0));
    SAME(ZOK, zoo_set2(zk, "/s", "", 0, 1, &stat));
    SAME(2, stat.version);
    SAME(ZOK, zoo_exists(zk, "/s", 0, &stat));
    SAME(0, stat.dataLength);
    SAME(ZOK, zoo_delete(zk, "/s", 2));
    SAME(ZNONODE, zoo_exists(zk, "/s", 0, &stat));
    SAME(ZNONODE, zoo_delete(zk, "/s", -1));
}

static void create2_and_ttl(void) {
    zhandle_t *zk = open_handle();
    char path[TEXT_BYTES];
    struct Stat stat;
    SAME(ZOK, zoo_create2(zk, "/s2", "22", 2, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path, &stat));
    SAME(2, stat.dataLength);
    SAME(ZOK, zoo_create2_ttl(zk, "/s2/t-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 100000, path,
                              sizeof path, &stat));
    SAME_TEXT("/s2/t-0000000000", path);
    SAME(ZOK, zoo_create_ttl(zk, "/s2/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 100000, path, sizeof path));
    SAME(ZBADARGUMENTS, zoo_create_ttl(zk, "/s2/u", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 0, NULL, 0));
    SAME(ZBADARGUMENTS, zoo_create_ttl(zk, "/s2/u", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, 1000, NULL, 0));
}

static void children(void) {
    zhandle_t *zk = open_handle();
    struct String_vector names;
    struct Stat stat;
    make(zk, "/k", "");
    make(zk, "/k/a", "");
    make(zk, "/k/b", "");
    SAME(ZOK, zoo_get_children(zk, "/k", 0, &names));
    SAME(2, names.count);
    deallocate_String_vector(&names);
    SAME(ZOK, zoo_get_children2(zk, "/k", 0, &names, &stat));
    SAME(2, names.count);
    SAME(2, stat.numChildren);
    deallocate_String_vector(&names);
    SAME(ZNOTEMPTY, zoo_delete(zk, "/k", -1));
}

static void acls(void) {
    zhandle_t *zk = open_handle();
    struct ACL_vector acl;
    struct Stat stat;
    make(zk, "/a", "");
    SAME(ZOK, zoo_set_acl(zk, "/a", 0, &ZOO_READ_ACL_UNSAFE));
    SAME(ZOK, zoo_get_acl(zk, "/a", &acl, &stat));
    SAME(1, acl.count);
    SAME(ZOO_PERM_READ, acl.data[0].perms);
    SAME(1, stat.aversion);
    deallocate_ACL_vector(&acl);
    SAME(ZNOAUTH, zoo_set(zk, "/a", "x", 1, -1));
    // What may not be administered can still be deleted: that is the parent's to allow.
    SAME(ZNOAUTH, zoo_set_acl(zk, "/a", 1, &ZOO_OPEN_ACL_UNSAFE));
    SAME(ZOK, zoo_delete(zk, "/a", 0));
}

static void multis(void) {
    zhandle_t *zk = open_handle();
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    char path[TEXT_BYTES];
    struct Stat stat;
    zoo_create_op_init(&ops[0], "/sm", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_set_op_init(&ops[1], "/sm", "x", 1, 0, &stat);
    zoo_check_op_init(&ops[2], "/sm", 1);
    SAME(ZOK, zoo_multi(zk, 3, ops, results));
    SAME(1, stat.version);
    SAME(ZNODEEXISTS, zoo_multi(zk, 3, ops, results));
    SAME(ZNODEEXISTS, results[0].err);
    SAME(ZRUNTIMEINCONSISTENCY, results[1].err);
}

static void watches(void) {
    zhandle_t *zk = open_handle();
    struct watch data = {0}, child = {0}, created = {0}, removed = {0};
    char buffer[8];
    int length = sizeof buffer;
    struct Stat stat;
    struct String_vector names;
    SAME(ZNONODE, zoo_wexists(zk, "/sw", watched, &created, &stat));
    make(zk, "/sw", "");
    WAIT(atomic_load(&created.count));
    SAME(ZOK, zoo_wget(zk, "/sw", watched, &data, buffer, &length, &stat));
    SAME(ZOK, zoo_wget_children(zk, "/sw", watched, &child, &names));
    deallocate_String_vector(&names);
    SAME(ZOK, zoo_wexists(zk, "/sw", watched, &removed, &stat));
    SAME(ZOK, zoo_remove_watches(zk, "/sw", ZWATCHTYPE_DATA, watched, &removed, 0));
    SAME(ZNOWATCHER, zoo_remove_watches(zk, "/sw", ZWATCHTYPE_DATA, watched, &removed, 0));
    SAME(ZOK, zoo_set(zk, "/sw", "x", 1, -1));
    make(zk, "/sw/c", "");
    WAIT(atomic_load(&data.count) && atomic_load(&child.count));
    SAME(0, atomic_load(&removed.count));
    SAME(ZNOWATCHER, zoo_remove_all_watches(zk, "/sw", ZWATCHTYPE_ANY, 0));
}

static void data_of_nearly_a_mebibyte(void) {
    zhandle_t *zk = open_handle();
    enum { BYTES = 1000000 };
    static char data[BYTES], back[BYTES + 1];
    for (int i = 0; i < BYTES; i++) data[i] = (char)(i * 7);
    int length = sizeof back;
    SAME(ZOK, zoo_create(zk, "/large", data, BYTES, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    SAME(ZOK, zoo_get(zk, "/large", 0, back, &length, NULL));
    SAME(BYTES, length);
    CHECK(memcmp(data, back, BYTES) == 0);
}

/* A request above jute.maxbuffer ends the connection, not the session. */
static void data_of_two_mebibytes_is_too_much(void) {
    zhandle_t *zk = open_handle();
    enum { BYTES = 2 << 20 };
    static char data[BYTES];
    clientid_t id = *zoo_client_id(zk);
    SAME(ZCONNECTIONLOSS, zoo_create(zk, "/huge", data, BYTES, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    WAIT(zoo_state(zk) == ZOO_CONNECTED_STATE && zoo_exists(zk, "/huge", 0, NULL) == ZNONODE);
    SAME(id.client_id, zoo_client_id(zk)->client_id);
}

static void *count_up(void *zk) {
    for (int done = 0; done < 100;) {
        char buffer[16] = {0};
        int length = sizeof buffer - 1;
        struct Stat stat;
        SAME(ZOK, zoo_get(zk, "/counter", 0, buffer, &length, &stat));
        snprintf(buffer, sizeof buffer, "%d", atoi(buffer) + 1);
        int rc = zoo_set(zk, "/counter", buffer, (int)strlen(buffer), stat.version);
        CHECK(rc == ZOK || rc == ZBADVERSION);
        done += rc == ZOK;
    }
    return NULL;
}

static void four_threads_count_together(void) {
    pthread_t threads[4];
    zhandle_t *zk = open_handle(), *other = open_handle();
    char buffer[16] = {0};
    int length = sizeof buffer - 1;
    struct Stat stat;
    make(zk, "/counter", "0");
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, count_up, i % 2 ? zk : other) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    SAME(ZOK, zoo_get(zk, "/counter", 0, buffer, &length, &stat));
    SAME(400, atoi(buffer));
    SAME(400, stat.version);
}

static void the_configuration(void) {
    zhandle_t *zk = open_handle();
    char buffer[TEXT_BYTES];
    int length = sizeof buffer;
    struct Stat stat;
    SAME(ZOK, zoo_getconfig(zk, 0, buffer, &length, &stat));
    CHECK(length <= 0);
    // Neither allowed by the configuration nor by an ACL.
    CHECK(zoo_reconfig(zk, "server.2=127.0.0.1:1:2;3", NULL, NULL, -1, buffer, &length, &stat) < 0);
}

static void where_it_is_connected(void) {
    zhandle_t *zk = open_handle();
    struct sockaddr_in host;
    socklen_t length = sizeof host;
    CHECK(zookeeper_get_connected_host(zk, (struct sockaddr *)&host, &length));
    SAME(INADDR_LOOPBACK, ntohl(host.sin_addr.s_addr));
    SAME(atoi(strchr(address, ':') + 1), ntohs(host.sin_port));
    SAME(ZOK, zoo_set_servers(zk, address));
    SAME(ZOK, zoo_exists(zk, "/", 0, NULL));
}

const struct test sync_tests[] = {
    {"sync_nodes", nodes},
    {"sync_create2_and_ttl", create2_and_ttl},
    {"sync_children", children},
    {"sync_acls", acls},
    {"sync_multis", multis},
    {"sync_watches", watches},
    {"sync_data_of_nearly_a_mebibyte", data_of_nearly_a_mebibyte},
    {"sync_data_of_two_mebibytes_is_too_much", data_of_two_mebibytes_is_too_much},
    {"sync_four_threads_count_together", four_threads_count_together},
    {"sync_the_configuration", the_configuration},
    {"sync_where_it_is_connected", where_it_is_connected},
    {NULL, NULL},
};

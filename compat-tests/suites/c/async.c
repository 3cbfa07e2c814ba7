/* The asynchronous API: what both libraries, with threads and without, can do. */
#include "suite.h"

static struct answer answer;

static void create_get_set_delete(void) {
    zhandle_t *zk = open_handle();
    ANSWER(ZOK, &answer, zoo_acreate(zk, "/cgsd", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
    SAME_TEXT("/cgsd", answer.text);
    ANSWER(ZOK, &answer, zoo_aget(zk, "/cgsd", 0, answered_data, &answer));
    SAME_TEXT("one", answer.text);
    SAME(0, answer.stat.version);
    SAME(answer.stat.czxid, answer.stat.mzxid);
    ANSWER(ZOK, &answer, zoo_aset(zk, "/cgsd", "three", 5, 0, answered_stat, &answer));
    SAME(1, answer.stat.version);
    SAME(5, answer.stat.dataLength);
    ANSWER(ZOK, &answer, zoo_adelete(zk, "/cgsd", 1, answered, &answer));
    ANSWER(ZNONODE, &answer, zoo_aexists(zk, "/cgsd", 0, answered_stat, &answer));
}

static void create2_answers_a_stat(void) {
    zhandle_t *zk = open_handle();
    ANSWER(ZOK, &answer, zoo_acreate2(zk, "/c2", "four", 4, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text_stat, &answer));
    SAME_TEXT("/c2", answer.text);
    SAME(4, answer.stat.dataLength);
    CHECK(answer.stat.czxid > 0 && answer.stat.czxid == answer.stat.pzxid);
}

static void null_data_is_not_empty_data(void) {
    zhandle_t *zk = open_handle();
    ANSWER(ZOK, &answer, zoo_acreate(zk, "/null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
    ANSWER(ZOK, &answer, zoo_aget(zk, "/null", 0, answered_data, &answer));
    SAME(-1, answer.length);
    ANSWER(ZOK, &answer, zoo_aset(zk, "/null", "", 0, -1, answered_stat, &answer));
    ANSWER(ZOK, &answer, zoo_aget(zk, "/null", 0, answered_data, &answer));
    SAME(0, answer.length);
}

static void failures_have_their_codes(void) {
    zhandle_t *zk = open_handle();
    struct ACL acl = {31, {"nothing", "x"}};
    struct ACL_vector unknown = {1, &acl};
    make(zk, "/fail", "");
    make(zk, "/fail/child", "");
    ANSWER(ZOK, &answer, zoo_acreate(zk, "/fail/e", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, answered_text, &answer));
    ANSWER(ZNODEEXISTS, &answer, zoo_acreate(zk, "/fail", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
    ANSWER(ZNONODE, &answer, zoo_acreate(zk, "/none/child", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
    ANSWER(ZNOCHILDRENFOREPHEMERALS, &answer,
           zoo_acreate(zk, "/fail/e/c", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
    ANSWER(ZINVALIDACL, &answer, zoo_acreate(zk, "/fail/acl", "", 0, &unknown, 0, answered_text, &answer));
    ANSWER(ZBADVERSION, &answer, zoo_aset(zk, "/fail", "x", 1, 7, answered_stat, &answer));
    ANSWER(ZNONODE, &answer, zoo_aset(zk, "/none", "x", 1, -1, answered_stat, &answer));
    ANSWER(ZNOTEMPTY, &answer, zoo_adelete(zk, "/fail", -1, answered, &answer));
    ANSWER(ZBADVERSION, &answer, zoo_adelete(zk, "/fail/child", 3, answered, &answer));
    ANSWER(ZNONODE, &answer, zoo_aget(zk, "/none", 0, answered_data, &answer));
    ANSWER(ZNONODE, &answer, zoo_aget_children(zk, "/none", 0, answered_names, &answer));
    ANSWER(ZNONODE, &answer, zoo_aget_acl(zk, "/none", answered_acl, &answer));
    SAME(ZBADARGUMENTS, zoo_aget(zk, "no/slash", 0, answered_data, &answer));
}

static void sequential_names_count_on(void) {
    zhandle_t *zk = open_handle();
    make(zk, "/seq", "");
    for (int i = 0; i < 3; i++) {
        char expected[TEXT_BYTES];
        snprintf(expected, sizeof expected, "/seq/n-%010d", i);
        ANSWER(ZOK, &answer, zoo_acreate(zk, "/seq/n-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE | ZOO_EPHEMERAL,
                                         answered_text, &answer));
        SAME_TEXT(expected, answer.text);
    }
}

static void a_ttl_node_goes(void) {
    zhandle_t *zk = open_handle();
    struct watch gone = {0};
    ANSWER(ZOK, &answer, zoo_acreate_ttl(zk, "/ttl", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 200,
                                         answered_text, &answer));
    ANSWER(ZOK, &answer, zoo_awexists(zk, "/ttl", watched, &gone, answered_stat, &answer));
    WAIT(atomic_load(&gone.count));
    SAME(ZOO_DELETED_EVENT, gone.type);
}

static void a_container_goes_after_its_child(void) {
    zhandle_t *zk = open_handle();
    struct watch gone = {0};
    ANSWER(ZOK, &answer, zoo_acreate(zk, "/box", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, answered_text, &answer));
    make(zk, "/box/child", "");
    ANSWER(ZOK, &answer, zoo_awexists(zk, "/box", watched, &gone, answered_stat, &answer));
    ANSWER(ZOK, &answer, zoo_adelete(zk, "/box/child", -1, answered, &answer));
    WAIT(atomic_load(&gone.count));
    SAME(ZOO_DELETED_EVENT, gone.type);
}

static void watches_fire_once_for_what_they_were_set(void) {
    zhandle_t *zk = open_handle(), *other = open_handle();
    struct watch created = {0}, data = {0}, child = {0}, deleted = {0};
    ANSWER(ZNONODE, &answer, zoo_awexists(zk, "/w", watched, &created, answered_stat, &answer));
    make(other, "/w", "");
    WAIT(atomic_load(&created.count));
    SAME(ZOO_CREATED_EVENT, created.type);
    SAME_TEXT("/w", created.path);
    ANSWER(ZOK, &answer, zoo_awget(zk, "/w", watched, &data, answered_data, &answer));
    ANSWER(ZOK, &answer, zoo_awget_children(zk, "/w", watched, &child, answered_names, &answer));
    make(other, "/w/c", "");
    WAIT(atomic_load(&child.count));
    SAME(ZOO_CHILD_EVENT, child.type);
    for (int i = 0; i < 3; i++) ANSWER(ZOK, &answer, zoo_aset(other, "/w", "x", 1, -1, answered_stat, &answer));
    WAIT(atomic_load(&data.count));
    SAME(ZOO_CHANGED_EVENT, data.type);
    ANSWER(ZOK, &answer, zoo_awexists(zk, "/w/c", watched, &deleted, answered_stat, &answer));
    ANSWER(ZOK, &answer, zoo_adelete(other, "/w/c", -1, answered, &answer));
    WAIT(atomic_load(&deleted.count));
    SAME(ZOO_DELETED_EVENT, deleted.type);
    // An answer that comes after everything above shows that nothing else was on its way.
    ANSWER(ZOK, &answer, zoo_async(zk, "/w", answered_text, &answer));
    SAME(1, atomic_load(&created.count));
    SAME(1, atomic_load(&data.count));
    SAME(1, atomic_load(&child.count));
}

static void removed_watches_do_not_fire(void) {
    zhandle_t *zk = open_handle(), *other = open_handle();
    struct watch data = {0}, child = {0}, both = {0};
    make(zk, "/rw", "");
    ANSWER(ZOK, &answer, zoo_awget(zk, "/rw", watched, &data, answered_data, &answer));
    ANSWER(ZOK, &answer, zoo_awget_children(zk, "/rw", watched, &child, answered_names, &answer));
    ANSWER(ZOK, &answer, zoo_aremove_watches(zk, "/rw", ZWATCHTYPE_DATA, watched, &data, 0, (void_completion_t *)answered, &answer));
    SAME(ZNOWATCHER, zoo_aremove_watches(zk, "/rw", ZWATCHTYPE_DATA, watched, &data, 0, (void_completion_t *)answered, &answer));
    ANSWER(ZOK, &answer, zoo_aset(other, "/rw", "x", 1, -1, answered_stat, &answer));
    make(other, "/rw/c", "");
    WAIT(atomic_load(&child.count));
    SAME(0, atomic_load(&data.count));
    ANSWER(ZOK, &answer, zoo_awget(zk, "/rw", watched, &both, answered_data, &answer));
    ANSWER(ZOK, &answer, zoo_aremove_all_watches(zk, "/rw", ZWATCHTYPE_ANY, 0, (void_completion_t *)answered, &answer));
    ANSWER(ZOK, &answer, zoo_aset(other, "/rw", "y", 1, -1, answered_stat, &answer));
    ANSWER(ZOK, &answer, zoo_async(zk, "/rw", answered_text, &answer));
    SAME(0, atomic_load(&both.count));
}

static void children_with_a_stat(void) {
    zhandle_t *zk = open_handle();
    make(zk, "/kids", "");
    ANSWER(ZOK, &answer, zoo_aget_children2(zk, "/kids", 0, answered_names_stat, &answer));
    SAME(0, answer.count);
    make(zk, "/kids/a", "");
    make(zk, "/kids/b", "");
    ANSWER(ZOK, &answer, zoo_aget_children2(zk, "/kids", 0, answered_names_stat, &answer));
    SAME(2, answer.count);
    SAME('a' + 'b', answer.names[0][0] + answer.names[1][0]);
    SAME(2, answer.stat.numChildren);
    SAME(2, answer.stat.cversion);
}

static void a_multi_is_done_whole(void) {
    zhandle_t *zk = open_handle();
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    char path[TEXT_BYTES], name[TEXT_BYTES];
    struct Stat stat;
    zoo_create_op_init(&ops[0], "/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_create_op_init(&ops[1], "/m/s-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, name, sizeof name);
    zoo_set_op_init(&ops[2], "/m", "22", 2, 0, &stat);
    zoo_check_op_init(&ops[3], "/m", 1);
    zoo_delete_op_init(&ops[4], "/m/s-0000000000", 0);
    ANSWER(ZOK, &answer, zoo_amulti(zk, 5, ops, results, answered, &answer));
    for (int i = 0; i < 5; i++) SAME(ZOK, results[i].err);
    SAME_TEXT("/m", path);
    SAME_TEXT("/m/s-0000000000", name);
    SAME(1, stat.version);
    ANSWER(ZOK, &answer, zoo_aget_children(zk, "/m", 0, answered_names, &answer));
    SAME(0, answer.count);
}

static void a_multi_that_fails_does_nothing(void) {
    zhandle_t *zk = open_handle();
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    char path[TEXT_BYTES];
    make(zk, "/mf", "");
    zoo_create_op_init(&ops[0], "/mf/a", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_check_op_init(&ops[1], "/mf", 7);
    zoo_delete_op_init(&ops[2], "/mf", -1);
    ANSWER(ZBADVERSION, &answer, zoo_amulti(zk, 3, ops, results, answered, &answer));
    SAME(ZOK, results[0].err);
    SAME(ZBADVERSION, results[1].err);
    SAME(ZRUNTIMEINCONSISTENCY, results[2].err);
    ANSWER(ZNONODE, &answer, zoo_aexists(zk, "/mf/a", 0, answered_stat, &answer));
}

static void an_empty_multi(void) {
    zhandle_t *zk = open_handle();
    zoo_op_t ops[1];
    zoo_op_result_t results[1];
    ANSWER(ZOK, &answer, zoo_amulti(zk, 0, ops, results, answered, &answer));
}

static void acls_are_kept_and_versioned(void) {
    zhandle_t *zk = open_handle();
    struct ACL entries[] = {{ZOO_PERM_READ, {"world", "anyone"}}, {ZOO_PERM_ALL, {"ip", "127.0.0.1"}}};
    struct ACL_vector acl = {2, entries};
    make(zk, "/acl", "");
    ANSWER(ZOK, &answer, zoo_aset_acl(zk, "/acl", 0, &acl, answered, &answer));
    ANSWER(ZBADVERSION, &answer, zoo_aset_acl(zk, "/acl", 0, &acl, answered, &answer));
    ANSWER(ZOK, &answer, zoo_aget_acl(zk, "/acl", answered_acl, &answer));
    SAME(2, answer.count);
    SAME(ZOO_PERM_READ, answer.perms[0]);
    SAME_TEXT("world:anyone", answer.names[0]);
    SAME_TEXT("ip:127.0.0.1", answer.names[1]);
    SAME(1, answer.stat.aversion);
}

static void digest_credentials_open_what_is_theirs(void) {
    zhandle_t *bob = open_handle(), *other = open_handle();
    ANSWER(ZOK, &answer, zoo_add_auth(bob, "digest", "bob:secret", 10, answered, &answer));
    ANSWER(ZOK, &answer, zoo_acreate(bob, "/bob", "mine", 4, &ZOO_CREATOR_ALL_ACL, 0, answered_text, &answer));
    ANSWER(ZOK, &answer, zoo_aget(bob, "/bob", 0, answered_data, &answer));
    SAME_TEXT("mine", answer.text);
    ANSWER(ZNOAUTH, &answer, zoo_aget(other, "/bob", 0, answered_data, &answer));
    ANSWER(ZNOAUTH, &answer, zoo_aset(other, "/bob", "x", 1, -1, answered_stat, &answer));
    ANSWER(ZNOAUTH, &answer, zoo_aexists(other, "/bob", 0, answered_stat, &answer));
    ANSWER(ZINVALIDACL, &answer, zoo_acreate(other, "/nobody", "", 0, &ZOO_CREATOR_ALL_ACL, 0, answered_text, &answer));
}

static void an_unknown_scheme_fails_the_session(void) {
    zhandle_t *zk = open_handle();
    ANSWER(ZAUTHFAILED, &answer, zoo_add_auth(zk, "nothing", "x", 1, answered, &answer));
    WAIT(zoo_state(zk) == ZOO_AUTH_FAILED_STATE);
}

static void the_configuration_of_one_server_is_empty(void) {
    zhandle_t *zk = open_handle();
    ANSWER(ZOK, &answer, zoo_agetconfig(zk, 0, answered_data, &answer));
    CHECK(answer.length <= 0);
}

static atomic_int in_order;

static void count_in_order(int rc, const char *value, const void *data) {
    (void)value;
    if (rc == ZOK && atomic_load(&in_order) == (int)(intptr_t)data) atomic_fetch_add(&in_order, 1);
}

static void a_thousand_requests_are_answered_in_order(void) {
    zhandle_t *zk = open_handle();
    make(zk, "/many", "");
    for (int i = 0; i < 1000; i++) {
        char path[TEXT_BYTES];
        snprintf(path, sizeof path, "/many/%d", i);
        SAME(ZOK, zoo_acreate(zk, path, "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, count_in_order, (void *)(intptr_t)i));
    }
    WAIT(atomic_load(&in_order) == 1000);
    ANSWER(ZOK, &answer, zoo_aget_children2(zk, "/many", 0, answered_names_stat, &answer));
    SAME(1000, answer.stat.numChildren);
}

const struct test async_tests[] = {
    {"create_get_set_delete", create_get_set_delete},
    {"create2_answers_a_stat", create2_answers_a_stat},
    {"null_data_is_not_empty_data", null_data_is_not_empty_data},
    {"failures_have_their_codes", failures_have_their_codes},
    {"sequential_names_count_on", sequential_names_count_on},
    {"a_ttl_node_goes", a_ttl_node_goes},
    {"a_container_goes_after_its_child", a_container_goes_after_its_child},
    {"watches_fire_once_for_what_they_were_set", watches_fire_once_for_what_they_were_set},
    {"removed_watches_do_not_fire", removed_watches_do_not_fire},
    {"children_with_a_stat", children_with_a_stat},
    {"a_multi_is_done_whole", a_multi_is_done_whole},
    {"a_multi_that_fails_does_nothing", a_multi_that_fails_does_nothing},
    {"an_empty_multi", an_empty_multi},
    {"acls_are_kept_and_versioned", acls_are_kept_and_versioned},
    {"digest_credentials_open_what_is_theirs", digest_credentials_open_what_is_theirs},
    {"an_unknown_scheme_fails_the_session", an_unknown_scheme_fails_the_session},
    {"the_configuration_of_one_server_is_empty", the_configuration_of_one_server_is_empty},
    {"a_thousand_requests_are_answered_in_order", a_thousand_requests_are_answered_in_order},
    {NULL, NULL},
};

/* Sessions: what they are granted, how they move, how they end, and what survives a restart of the server. */
#include "suite.h"

#include <signal.h>
#include <sys/wait.h>

static struct answer answer;

static void timeouts_are_negotiated(void) {
    SAME(5000, zoo_recv_timeout(open_as("", 5000, NULL, NULL)));
    // Two ticks of 500 ms at least, and what the configuration allows at most.
    SAME(1000, zoo_recv_timeout(open_as("", 10, NULL, NULL)));
    SAME(60000, zoo_recv_timeout(open_as("", 3600000, NULL, NULL)));
}

static void an_ephemeral_goes_with_its_session(void) {
    zhandle_t *zk = open_handle(), *other = open_handle();
    struct watch gone = {0};
    ANSWER(ZOK, &answer, zoo_acreate(other, "/eph", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, answered_text, &answer));
    ANSWER(ZOK, &answer, zoo_awexists(zk, "/eph", watched, &gone, answered_stat, &answer));
    SAME(zoo_client_id(other)->client_id, answer.stat.ephemeralOwner);
    close_handle(other);
    WAIT(atomic_load(&gone.count));
    SAME(ZOO_DELETED_EVENT, gone.type);
}

/* Another process, with a session of `timeout_ms` and its ephemeral `path`, that ends well once the session is expired. */
struct holder {
    pid_t pid;
    clientid_t id;
};

static struct holder hold(int timeout_ms, const char *path) {
    int pipe_ends[2];
    CHECK(pipe(pipe_ends) == 0);
    struct holder holder = {.pid = fork()};
    CHECK(holder.pid >= 0);
    if (holder.pid == 0) {
        zhandle_t *zk = open_as("", timeout_ms, NULL, NULL);
        ANSWER(ZOK, &answer, zoo_acreate(zk, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, answered_text, &answer));
        CHECK(write(pipe_ends[1], zoo_client_id(zk), sizeof(clientid_t)) == sizeof(clientid_t));
        WAIT(zoo_state(zk) == ZOO_EXPIRED_SESSION_STATE);
        _exit(0);
    }
    CHECK(read(pipe_ends[0], &holder.id, sizeof holder.id) == sizeof holder.id);
    return holder;
}

static void it_finds_its_session_expired(struct holder holder) {
    int status;
    CHECK(kill(holder.pid, SIGCONT) == 0);
    CHECK(waitpid(holder.pid, &status, 0) == holder.pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_session_goes_on_in_another_process(void) {
    struct holder holder = hold(TIMEOUT_MS, "/moves");
    CHECK(kill(holder.pid, SIGKILL) == 0);
    zhandle_t *zk = open_as("", TIMEOUT_MS, &holder.id, NULL);
    SAME(holder.id.client_id, zoo_client_id(zk)->client_id);
    ANSWER(ZOK, &answer, zoo_aexists(zk, "/moves", 0, answered_stat, &answer));
    SAME(holder.id.client_id, answer.stat.ephemeralOwner);
}

static void a_wrong_password_opens_no_session(void) {
    zhandle_t *zk = open_handle();
    clientid_t id = *zoo_client_id(zk);
    id.passwd[3] ^= 1;
    zhandle_t *thief = begin_open("", TIMEOUT_MS, &id, NULL);
    WAIT(zoo_state(thief) == ZOO_EXPIRED_SESSION_STATE);
    SAME(ZINVALIDSTATE, is_unrecoverable(thief));
    ANSWER(ZOK, &answer, zoo_aexists(zk, "/", 0, answered_stat, &answer));
}

static void a_session_closed_elsewhere_is_expired_here(void) {
    struct holder holder = hold(TIMEOUT_MS, "/elsewhere");
    // It must not take its session back before this process has closed it.
    CHECK(kill(holder.pid, SIGSTOP) == 0);
    close_handle(open_as("", TIMEOUT_MS, &holder.id, NULL));
    it_finds_its_session_expired(holder);
}

static void silence_expires_a_session(void) {
    struct holder holder = hold(1000, "/silent");
    CHECK(kill(holder.pid, SIGSTOP) == 0);
    zhandle_t *zk = open_handle();
    for (answer.rc = ZOK; answer.rc == ZOK;) {
        memset(&answer, 0, sizeof answer);
        SAME(ZOK, zoo_aexists(zk, "/silent", 0, answered_stat, &answer));
        WAIT(atomic_load(&answer.done));
        usleep(50000);
    }
    SAME(ZNONODE, answer.rc);
    it_finds_its_session_expired(holder);
}

static void a_chroot_is_all_that_a_handle_sees(void) {
    zhandle_t *zk = open_handle();
    struct watch created = {0};
    make(zk, "/ch", "");
    make(zk, "/ch/base", "in");
    zhandle_t *inside = open_as("/ch/base", TIMEOUT_MS, NULL, NULL);
    ANSWER(ZOK, &answer, zoo_aget(inside, "/", 0, answered_data, &answer));
    SAME_TEXT("in", answer.text);
    ANSWER(ZNONODE, &answer, zoo_awexists(inside, "/a", watched, &created, answered_stat, &answer));
    ANSWER(ZOK, &answer, zoo_acreate(inside, "/a", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
    SAME_TEXT("/a", answer.text);
    WAIT(atomic_load(&created.count));
    SAME_TEXT("/a", created.path);
    ANSWER(ZOK, &answer, zoo_aexists(zk, "/ch/base/a", 0, answered_stat, &answer));
}

/* Writes until one is taken: while the server is away they fail. */
static void set_at_last(zhandle_t *zk, const char *path, const char *data) {
    do {
        memset(&answer, 0, sizeof answer);
        if (zoo_aset(zk, path, data, (int)strlen(data), -1, answered_stat, &answer) == ZOK)
            WAIT(atomic_load(&answer.done));
        else
            answer.rc = ZCONNECTIONLOSS;
        pump();
    } while (answer.rc == ZCONNECTIONLOSS || answer.rc == ZOPERATIONTIMEOUT);
    SAME(ZOK, answer.rc);
}

static void restart_keeps_the_session_its_ephemerals_and_its_watches(void) {
    zhandle_t *zk = open_handle(), *other = open_handle();
    struct watch data = {0}, created = {0}, child = {0};
    make(zk, "/re", "kept");
    ANSWER(ZOK, &answer, zoo_acreate(zk, "/re/e", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, answered_text, &answer));
    ANSWER(ZOK, &answer, zoo_awget(zk, "/re", watched, &data, answered_data, &answer));
    ANSWER(ZNONODE, &answer, zoo_awexists(zk, "/re/new", watched, &created, answered_stat, &answer));
    ANSWER(ZOK, &answer, zoo_awget_children(zk, "/re", watched, &child, answered_names, &answer));
    clientid_t id = *zoo_client_id(zk);
    restart_server();
    set_at_last(other, "/re", "changed");
    WAIT(atomic_load(&data.count));
    SAME(ZOO_CHANGED_EVENT, data.type);
    SAME(0, atomic_load(&created.count) + atomic_load(&child.count));
    make(other, "/re/new", "");
    WAIT(atomic_load(&created.count) && atomic_load(&child.count));
    SAME(ZOO_CREATED_EVENT, created.type);
    SAME(ZOO_CHILD_EVENT, child.type);
    SAME(id.client_id, zoo_client_id(zk)->client_id);
    ANSWER(ZOK, &answer, zoo_aexists(zk, "/re/e", 0, answered_stat, &answer));
    SAME(id.client_id, answer.stat.ephemeralOwner);
}

static void restart_keeps_credentials(void) {
    zhandle_t *bob = open_handle();
    ANSWER(ZOK, &answer, zoo_add_auth(bob, "digest", "bob:secret", 10, answered, &answer));
    ANSWER(ZOK, &answer, zoo_acreate(bob, "/cred", "", 0, &ZOO_CREATOR_ALL_ACL, 0, answered_text, &answer));
    restart_server();
    set_at_last(bob, "/cred", "mine");
    SAME(1, answer.stat.version);
}

const struct test session_tests[] = {
    {"timeouts_are_negotiated", timeouts_are_negotiated},
    {"an_ephemeral_goes_with_its_session", an_ephemeral_goes_with_its_session},
    {"a_session_goes_on_in_another_process", a_session_goes_on_in_another_process},
    {"a_wrong_password_opens_no_session", a_wrong_password_opens_no_session},
    {"a_session_closed_elsewhere_is_expired_here", a_session_closed_elsewhere_is_expired_here},
    {"silence_expires_a_session", silence_expires_a_session},
    {"a_chroot_is_all_that_a_handle_sees", a_chroot_is_all_that_a_handle_sees},
    {"restart_keeps_the_session_its_ephemerals_and_its_watches", restart_keeps_the_session_its_ephemerals_and_its_watches},
    {"restart_keeps_credentials", restart_keeps_credentials},
    {NULL, NULL},
};

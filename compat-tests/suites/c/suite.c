/* Runs one test by name, or lists them: `suite --list`, `suite TEST ADDRESS`. Prints "done" at the end. */
#include "suite.h"

#include <poll.h>
#include <sys/time.h>
#include <time.h>

#define HANDLES_MAX 16
#define TEST_SECONDS 90

const char *address;
static zhandle_t *handles[HANDLES_MAX];

double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

#ifdef THREADED
void pump(void) { usleep(1000); }
#else
static void work(zhandle_t *zk) {
    int fd = -1, interest = 0;
    struct timeval patience;
    if (zookeeper_interest(zk, &fd, &interest, &patience) != ZOK || fd < 0) return;
    struct pollfd ready = {.fd = fd};
    ready.events = (interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0);
    poll(&ready, 1, 1);
    int events = (ready.revents & (POLLIN | POLLHUP | POLLERR) ? ZOOKEEPER_READ : 0) |
                 (ready.revents & POLLOUT ? ZOOKEEPER_WRITE : 0);
    zookeeper_process(zk, events);
}

void pump(void) {
    for (int i = 0; i < HANDLES_MAX; i++)
        if (handles[i]) work(handles[i]);
    usleep(200);
}
#endif

static void ignore(zhandle_t *zk, int type, int state, const char *path, void *context) {
    (void)zk, (void)type, (void)state, (void)path, (void)context;
}

zhandle_t *begin_open(const char *chroot, int timeout_ms, const clientid_t *id, watcher_fn watcher) {
    char hosts[TEXT_BYTES];
    snprintf(hosts, sizeof hosts, "%s%s", address, chroot);
    zhandle_t *zk = zookeeper_init(hosts, watcher ? watcher : ignore, timeout_ms, id, NULL, 0);
    CHECK(zk);
    int i = 0;
    while (handles[i]) i++;
    CHECK(i < HANDLES_MAX - 1);
    handles[i] = zk;
    return zk;
}

zhandle_t *open_as(const char *chroot, int timeout_ms, const clientid_t *id, watcher_fn watcher) {
    zhandle_t *zk = begin_open(chroot, timeout_ms, id, watcher);
    WAIT(zoo_state(zk) == ZOO_CONNECTED_STATE);
    return zk;
}

zhandle_t *open_handle(void) { return open_as("", TIMEOUT_MS, NULL, NULL); }

void close_handle(zhandle_t *zk) {
    for (int i = 0; i < HANDLES_MAX; i++)
        if (handles[i] == zk) handles[i] = NULL;
    zookeeper_close(zk);
}

void restart_server(void) {
    char line[64];
    puts("RESTART");
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin));
}

void watched(zhandle_t *zk, int type, int state, const char *path, void *context) {
    (void)zk, (void)state;
    struct watch *watch = context;
    // Session events go to every watch.
    if (type == ZOO_SESSION_EVENT) return;
    watch->type = type;
    snprintf(watch->path, sizeof watch->path, "%s", path);
    atomic_fetch_add(&watch->count, 1);
}

static struct answer *answer_of(int rc, const void *data) {
    struct answer *answer = (struct answer *)data;
    answer->rc = rc;
    return answer;
}

static void keep_stat(struct answer *answer, const struct Stat *stat) {
    if (stat) answer->stat = *stat;
}

static void keep_names(struct answer *answer, const struct String_vector *names) {
    answer->count = names ? names->count : -1;
    for (int i = 0; i < answer->count && i < 8; i++) snprintf(answer->names[i], TEXT_BYTES, "%s", names->data[i]);
}

static void finish(struct answer *answer) { atomic_store(&answer->done, 1); }

void answered(int rc, const void *data) { finish(answer_of(rc, data)); }

void answered_stat(int rc, const struct Stat *stat, const void *data) {
    struct answer *answer = answer_of(rc, data);
    keep_stat(answer, stat);
    finish(answer);
}

void answered_data(int rc, const char *value, int length, const struct Stat *stat, const void *data) {
    struct answer *answer = answer_of(rc, data);
    keep_stat(answer, stat);
    answer->length = length;
    if (value && length >= 0) snprintf(answer->text, TEXT_BYTES, "%.*s", length, value);
    finish(answer);
}

void answered_text(int rc, const char *value, const void *data) { answered_text_stat(rc, value, NULL, data); }

void answered_text_stat(int rc, const char *value, const struct Stat *stat, const void *data) {
    struct answer *answer = answer_of(rc, data);
    keep_stat(answer, stat);
    if (value) snprintf(answer->text, TEXT_BYTES, "%s", value);
    finish(answer);
}

void answered_names(int rc, const struct String_vector *names, const void *data) {
    answered_names_stat(rc, names, NULL, data);
}

void answered_names_stat(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    struct answer *answer = answer_of(rc, data);
    keep_stat(answer, stat);
    keep_names(answer, names);
    finish(answer);
}

void answered_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data) {
    struct answer *answer = answer_of(rc, data);
    keep_stat(answer, stat);
    answer->count = acl ? acl->count : -1;
    for (int i = 0; i < answer->count && i < 8; i++) {
        answer->perms[i] = acl->data[i].perms;
        snprintf(answer->names[i], TEXT_BYTES, "%s:%s", acl->data[i].id.scheme, acl->data[i].id.id);
    }
    finish(answer);
}

void make(zhandle_t *zk, const char *path, const char *data) {
    struct answer answer;
    ANSWER(ZOK, &answer,
           zoo_acreate(zk, path, data, (int)strlen(data), &ZOO_OPEN_ACL_UNSAFE, 0, answered_text, &answer));
}

static const struct test *const suites[] = {
    async_tests,
    session_tests,
#ifdef THREADED
    sync_tests,
#endif
};

int main(int count, char **words) {
    CHECK(count >= 2);
    address = words[count - 1];
    zoo_set_debug_level(0);
    alarm(TEST_SECONDS);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        for (const struct test *test = suites[i]; test->name; test++) {
            if (!strcmp(words[1], "--list")) puts(test->name);
            if (strcmp(words[1], test->name)) continue;
            test->run();
            for (int open = 0; open < HANDLES_MAX; open++)
                if (handles[open]) zookeeper_close(handles[open]);
            puts("done");
            return 0;
        }
    return strcmp(words[1], "--list") ? 2 : 0;
}

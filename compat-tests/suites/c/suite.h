/* What the tests of the C client share. A test runs in a process of its own and has failed when that exits with 1. */
#ifndef SUITE_H
#define SUITE_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define TIMEOUT_MS 10000
#define WAIT_SECONDS 30
#define TEXT_BYTES 256

struct test {
    const char *name;
    void (*run)(void);
};

/* Each list ends with an entry without a name. */
extern const struct test async_tests[];
extern const struct test session_tests[];
extern const struct test sync_tests[];

extern const char *address;

#define CHECK(holds)                                                                   \
    do {                                                                               \
        if (!(holds)) {                                                                \
            printf("FAILED %s:%d: %s\n", __FILE__, __LINE__, #holds);                  \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

#define SAME(expected, actual)                                                         \
    do {                                                                               \
        long long wanted = (expected), got = (actual);                                 \
        if (wanted != got) {                                                           \
            printf("FAILED %s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #actual, got, wanted); \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

#define SAME_TEXT(expected, actual)                                                    \
    do {                                                                               \
        const char *wanted = (expected), *got = (actual);                              \
        if (strcmp(wanted, got)) {                                                     \
            printf("FAILED %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #actual, got, wanted); \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* Lets the client work until `holds`; with the single-threaded library, it works only here. */
#define WAIT(holds)                                                                    \
    do {                                                                               \
        for (double since = seconds(); !(holds); pump())                               \
            if (seconds() - since > WAIT_SECONDS) {                                    \
                printf("FAILED %s:%d: waited for %s\n", __FILE__, __LINE__, #holds);   \
                exit(1);                                                               \
            }                                                                          \
    } while (0)

double seconds(void);
void pump(void);

/* A connected handle. `open_as` asks for a session of its own, for `timeout_ms`, below `chroot`, or for that of `id`. */
zhandle_t *open_handle(void);
zhandle_t *open_as(const char *chroot, int timeout_ms, const clientid_t *id, watcher_fn watcher);
/* The same, not waited for. */
zhandle_t *begin_open(const char *chroot, int timeout_ms, const clientid_t *id, watcher_fn watcher);
void close_handle(zhandle_t *zk);

/* Has the server killed and started again, while the client does what it wants. */
void restart_server(void);

/* A watch: `count` fires so far, and what the last one said. Pass `watched` and the struct. */
struct watch {
    int type;
    char path[TEXT_BYTES];
    atomic_int count;
};
void watched(zhandle_t *zk, int type, int state, const char *path, void *context);

/* The answer to an asynchronous request. */
struct answer {
    int rc;
    struct Stat stat;
    char text[TEXT_BYTES];
    int length;
    int count;
    char names[8][TEXT_BYTES];
    int perms[8];
    atomic_int done;
};
void answered(int rc, const void *data);
void answered_stat(int rc, const struct Stat *stat, const void *data);
void answered_data(int rc, const char *value, int length, const struct Stat *stat, const void *data);
void answered_text(int rc, const char *value, const void *data);
void answered_text_stat(int rc, const char *value, const struct Stat *stat, const void *data);
void answered_names(int rc, const struct String_vector *names, const void *data);
void answered_names_stat(int rc, const struct String_vector *names, const struct Stat *stat, const void *data);
void answered_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data);

/* Waits for the answer and expects `code` in it; `begun` is what the request returned. */
#define ANSWER(code, answer, begun)                                                    \
    do {                                                                               \
        memset((answer), 0, sizeof *(answer));                                         \
        SAME(ZOK, begun);                                                              \
        WAIT(atomic_load(&(answer)->done));                                            \
        SAME(code, (answer)->rc);                                                      \
    } while (0)

/* Creates a persistent node that is open to everyone. */
void make(zhandle_t *zk, const char *path, const char *data);

#endif

/* What a server does to its files, recorded; and faults that its files can have, injected. LD_PRELOAD.
 *
 *   SHIM_ROOT    only files below this directory are looked at
 *   SHIM_TRACE   records are appended to this file (see trace.rs for their form)
 *   SHIM_FAULTS  a page with rules, which may be rewritten while the server runs (see faults.py)
 *
 * Every operation is recorded twice: before it is done, with all its bytes, and when it has returned. So a write is
 * known to be covered by a sync exactly if it had returned before the sync began. What is sent to clients stands in
 * the same order among them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, CLOSE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, SEND, ACCEPT, START, UNSUPPORTED, FAULT, NOTE, LINK };
enum phase { BEGIN, END, INSTANT };
enum what { NOTHING, FILE_FD, SOCKET_FD };

struct head {
    uint32_t length, pid;
    uint8_t kind, phase;
    uint16_t unused;
    int32_t fd;
    uint64_t id;
    int64_t a, b;
} __attribute__((packed));

#define FDS 8192
#define PATH_BYTES 400
#define RULES 16
#define PAGE 4096
/* In the page of rules: a count that changes with them, how often one was applied, how often one could have been. */
#define FIRED_AT (PAGE - 8)
#define SEEN_AT (PAGE - 4)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uchar what_of[FDS];
static char path_of[FDS][PATH_BYTES];
static int trace_fd = -1;
static const char *root;
static size_t root_length;
static _Atomic uint64_t next_id = 1;
static volatile unsigned char *page;

struct rule {
    char op[16], glob[64], action[16];
    long skip, count, seen;
};
static struct rule rules[RULES];
static int rule_count;
static uint32_t generation;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static int tracked_path(const char *path) {
    return root && path && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || !path[root_length]);
}
static enum what what(int fd) { return fd >= 0 && fd < FDS ? what_of[fd] : NOTHING; }

static void record(enum kind kind, enum phase phase, uint64_t id, int fd, int64_t a, int64_t b, const void *data, size_t length) {
    if (trace_fd < 0) return;
    struct head head = {htobe32(sizeof head + length), htobe32(getpid()), kind, phase, 0, htobe32(fd), htobe64(id), htobe64(a), htobe64(b)};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
    pthread_mutex_lock(&lock);
    ssize_t written = syscall(SYS_writev, trace_fd, parts, 2);
    pthread_mutex_unlock(&lock);
    if (written != (ssize_t)(sizeof head + length)) {
        static const char text[] = "shim: the trace could not be written\n";
        syscall(SYS_write, 2, text, sizeof text - 1);
        abort();
    }
}
static uint64_t begin(enum kind kind, int fd, int64_t a, const void *data, size_t length) {
    uint64_t id = next_id++;
    record(kind, BEGIN, id, fd, a, 0, data, length);
    return id;
}
static void end(enum kind kind, uint64_t id, int fd, int64_t result) {
    int kept = errno;
    record(kind, END, id, fd, 0, result, NULL, 0);
    errno = kept;
}

static uint32_t page_number(int at) {
    return (uint32_t)page[at] << 24 | page[at + 1] << 16 | page[at + 2] << 8 | page[at + 3];
}
static void page_count(int at) {
    uint32_t number = page_number(at) + 1;
    for (int i = 3; i >= 0; i--, number >>= 8) page[at + i] = number & 0xff;
}
static void read_rules(void) {
    char text[PAGE];
    memcpy(text, (const void *)(page + 4), PAGE - 16);
    text[PAGE - 17] = 0;
    rule_count = 0;
    char *rest = text, *line;
    while ((line = strtok_r(rest, "\n", &rest)) && rule_count < RULES) {
        struct rule *rule = &rules[rule_count];
        rule->seen = 0;
        if (sscanf(line, "%15s %63s %ld %ld %15s", rule->op, rule->glob, &rule->skip, &rule->count, rule->action) == 5) rule_count++;
    }
}

/* 0: none. Above: that errno. -1: do half of it. */
static int fault(const char *op, const char *path) {
    if (!page) return 0;
    int found = 0;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    pthread_mutex_lock(&lock);
    uint32_t now = page_number(0);
    if (now != generation) {
        generation = now;
        read_rules();
    }
    for (int i = 0; i < rule_count && !found; i++) {
        struct rule *rule = &rules[i];
        if (strcmp(rule->op, op) || fnmatch(rule->glob, name, 0)) continue;
        rule->seen++;
        page_count(SEEN_AT);
        if (rule->seen <= rule->skip || (rule->count >= 0 && rule->seen > rule->skip + rule->count)) continue;
        page_count(FIRED_AT);
        found = strcmp(rule->action, "short") ? atoi(rule->action) : -1;
    }
    pthread_mutex_unlock(&lock);
    if (found) record(FAULT, INSTANT, 0, -1, found, 0, path, strlen(path));
    return found;
}

__attribute__((constructor)) static void start(void) {
    root = getenv("SHIM_ROOT");
    if (!root) return;
    root_length = strlen(root);
    const char *trace = getenv("SHIM_TRACE"), *faults = getenv("SHIM_FAULTS");
    if (trace) {
        trace_fd = syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (trace_fd < 0) abort();
        record(START, INSTANT, 0, -1, 0, 0, NULL, 0);
    }
    if (faults) {
        int fd = syscall(SYS_openat, AT_FDCWD, faults, O_RDWR | O_CLOEXEC, 0);
        if (fd < 0) abort();
        page = (unsigned char *)syscall(SYS_mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED) abort();
        syscall(SYS_close, fd);
    }
}

static int refused(int error) {
    errno = error;
    return -1;
}

static int do_open(const char *path, int flags, mode_t mode) {
    int tracked = tracked_path(path), creates = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    uint64_t id = 0;
    if (tracked) {
        int error = fault(creates ? "create" : "open", path);
        if (error > 0) return refused(error);
        id = begin(OPEN, -1, flags, path, strlen(path));
    }
    int fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (tracked) {
        int kept = errno;
        if (fd >= FDS || strlen(path) >= PATH_BYTES) abort();
        if (fd >= 0) {
            strcpy(path_of[fd], path);
            what_of[fd] = FILE_FD;
        }
        errno = kept;
        end(OPEN, id, fd, fd);
    } else if (fd >= 0 && fd < FDS) {
        what_of[fd] = NOTHING;
    }
    return fd;
}
#define OPEN_BODY                                              \
    mode_t mode = 0;                                           \
    if (flags & (O_CREAT | __O_TMPFILE)) {                     \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                          \
    }                                                          \
    return do_open(path, flags, mode);
int open(const char *path, int flags, ...) { OPEN_BODY }
int open64(const char *path, int flags, ...) { OPEN_BODY }

FILE *fopen(const char *path, const char *mode) {
    if (tracked_path(path) && strpbrk(mode, "wa+")) record(UNSUPPORTED, INSTANT, 0, -1, 0, 0, path, strlen(path));
    return REAL(fopen)(path, mode);
}
int dup(int fd) {
    if (what(fd) == FILE_FD) record(UNSUPPORTED, INSTANT, 0, fd, 0, 0, path_of[fd], strlen(path_of[fd]));
    return REAL(dup)(fd);
}
static void *do_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset) {
    if (what(fd) == FILE_FD && (prot & PROT_WRITE) && (flags & MAP_SHARED))
        record(UNSUPPORTED, INSTANT, 0, fd, 0, 0, path_of[fd], strlen(path_of[fd]));
    return (void *)syscall(SYS_mmap, at, length, prot, flags, fd, offset);
}
void *mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset) { return do_mmap(at, length, prot, flags, fd, offset); }
void *mmap64(void *at, size_t length, int prot, int flags, int fd, off_t offset) { return do_mmap(at, length, prot, flags, fd, offset); }

int close(int fd) {
    if (what(fd) != NOTHING) {
        record(CLOSE, INSTANT, 0, fd, 0, 0, NULL, 0);
        what_of[fd] = NOTHING;
    }
    return syscall(SYS_close, fd);
}
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    int made = syscall(SYS_accept4, fd, address, length, flags);
    if (made >= 0 && made < FDS && root) {
        record(ACCEPT, INSTANT, 0, made, 0, 0, NULL, 0);
        what_of[made] = SOCKET_FD;
    }
    return made;
}

/* Recorded before the client can see it; how much of it the kernel took is told at the end. */
ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    if (what(fd) != SOCKET_FD) return REAL(send)(fd, bytes, count, flags);
    uint64_t id = begin(SEND, fd, 0, bytes, count);
    ssize_t done = REAL(send)(fd, bytes, count, flags);
    end(SEND, id, fd, done);
    return done;
}

static ssize_t do_write(int fd, const void *bytes, size_t count, off_t at) {
    int error = fault("write", path_of[fd]);
    if (error > 0) return refused(error);
    if (error < 0 && count > 1) count /= 2;
    off_t offset = at;
    if (at < 0) {
        struct stat stat;
        int flags = syscall(SYS_fcntl, fd, F_GETFL);
        offset = flags & O_APPEND ? (fstat(fd, &stat) ? 0 : stat.st_size) : lseek(fd, 0, SEEK_CUR);
    }
    uint64_t id = begin(WRITE, fd, offset, bytes, count);
    ssize_t done = at < 0 ? syscall(SYS_write, fd, bytes, count) : syscall(SYS_pwrite64, fd, bytes, count, at);
    end(WRITE, id, fd, done);
    return done;
}
ssize_t write(int fd, const void *bytes, size_t count) {
    switch (what(fd)) {
    case FILE_FD: return do_write(fd, bytes, count, -1);
    case SOCKET_FD: return send(fd, bytes, count, MSG_NOSIGNAL);
    default: return syscall(SYS_write, fd, bytes, count);
    }
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return what(fd) == FILE_FD ? do_write(fd, bytes, count, at) : syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) { return pwrite(fd, bytes, count, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (what(fd) == FILE_FD) record(UNSUPPORTED, INSTANT, 0, fd, 0, 0, path_of[fd], strlen(path_of[fd]));
    if (what(fd) != SOCKET_FD) return syscall(SYS_writev, fd, parts, count);
    uint64_t first = atomic_fetch_add(&next_id, count);
    for (int i = 0; i < count; i++) record(SEND, BEGIN, first + i, fd, 0, 0, parts[i].iov_base, parts[i].iov_len);
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    ssize_t left = done > 0 ? done : 0;
    for (int i = 0; i < count; i++) {
        ssize_t piece = (ssize_t)parts[i].iov_len < left ? (ssize_t)parts[i].iov_len : left;
        end(SEND, first + i, fd, piece);
        left -= piece;
    }
    return done;
}

static ssize_t do_read(int fd, void *into, size_t count, off_t at) {
    if (what(fd) == FILE_FD) {
        int error = fault("read", path_of[fd]);
        if (error > 0) return refused(error);
        if (error < 0 && count > 1) count /= 2;
    }
    return at < 0 ? syscall(SYS_read, fd, into, count) : syscall(SYS_pread64, fd, into, count, at);
}
ssize_t read(int fd, void *into, size_t count) { return do_read(fd, into, count, -1); }
ssize_t pread(int fd, void *into, size_t count, off_t at) { return do_read(fd, into, count, at); }
ssize_t pread64(int fd, void *into, size_t count, off_t at) { return do_read(fd, into, count, at); }

#define ON_FILE(KIND, OP, A, CALL)                        \
    if (what(fd) != FILE_FD) return CALL;                 \
    int error = fault(OP, path_of[fd]);                   \
    if (error > 0) return refused(error);                 \
    uint64_t id = begin(KIND, fd, A, NULL, 0);            \
    int done = CALL;                                      \
    end(KIND, id, fd, done);                              \
    return done;
int fsync(int fd) { ON_FILE(SYNC, "sync", 1, syscall(SYS_fsync, fd)) }
int fdatasync(int fd) { ON_FILE(SYNC, "sync", 0, syscall(SYS_fdatasync, fd)) }
int ftruncate(int fd, off_t length) { ON_FILE(TRUNCATE, "truncate", length, syscall(SYS_ftruncate, fd, length)) }
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

#define ON_PATH(KIND, OP, PATH, DATA, LENGTH, CALL)       \
    if (!tracked_path(PATH)) return CALL;                 \
    int error = fault(OP, PATH);                          \
    if (error > 0) return refused(error);                 \
    uint64_t id = begin(KIND, -1, 0, DATA, LENGTH);       \
    int done = CALL;                                      \
    end(KIND, id, -1, done);                              \
    return done;
int unlink(const char *path) { ON_PATH(UNLINK, "unlink", path, path, strlen(path), syscall(SYS_unlink, path)) }
int mkdir(const char *path, mode_t mode) { ON_PATH(MKDIR, "mkdir", path, path, strlen(path), syscall(SYS_mkdir, path, mode)) }
int rmdir(const char *path) { ON_PATH(RMDIR, "rmdir", path, path, strlen(path), syscall(SYS_rmdir, path)) }
#define TWO_PATHS(KIND, OP, NUMBER)                                        \
    char both[2 * PATH_BYTES];                                            \
    size_t length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);   \
    if (length >= sizeof both) abort();                                   \
    ON_PATH(KIND, OP, to, both, length, syscall(NUMBER, from, to))
int rename(const char *from, const char *to) { TWO_PATHS(RENAME, "rename", SYS_rename) }
int link(const char *from, const char *to) { TWO_PATHS(LINK, "link", SYS_link) }

/* Notes every write, truncation, sync, rename and removal below a folder, in order.
 *
 * LD_PRELOAD this; POWERCUT_ROOT names the folder, POWERCUT_LOG the log. Each record is one
 * append of: kind u8, path length u16, offset u64, length u32 (little endian), path, data.
 * A write is noted before it is made and a sync after it is done: what the log says is synced
 * was synced, whenever the process is killed. Memory maps are not seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *root;
static size_t root_length;
static int log_fd = -1;
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    root = getenv("POWERCUT_ROOT");
    const char *path = getenv("POWERCUT_LOG");
    if (root == NULL || path == NULL) return;
    root_length = strlen(root);
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int below(const char *path) {
    return log_fd >= 0 && strncmp(path, root, root_length) == 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    if (log_fd < 0 || fd == log_fd) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return below(path);
}

static void note(char kind, const char *path, uint64_t offset, const void *data, uint32_t length) {
    int before = errno;
    uint16_t path_length = (uint16_t)strlen(path);
    size_t total = 15 + path_length + length;
    char *record = malloc(total);
    record[0] = kind;
    memcpy(record + 1, &path_length, 2);
    memcpy(record + 3, &offset, 8);
    memcpy(record + 11, &length, 4);
    memcpy(record + 15, path, path_length);
    if (length) memcpy(record + 15 + path_length, data, length);
    if (real_write(log_fd, record, total) != (ssize_t)total) abort();
    free(record);
    errno = before;
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    struct stat found;
    if (path_of(fd, path) && fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        off_t at = fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
        note('w', path, (uint64_t)at, data, (uint32_t)length);
    }
    return real_write(fd, data, length);
}

#define PWRITE(name, type)                                                          \
    ssize_t name(int fd, const void *data, size_t length, type offset) {            \
        static ssize_t (*real)(int, const void *, size_t, type);                    \
        if (real == NULL) real = dlsym(RTLD_NEXT, #name);                           \
        char path[PATH_MAX];                                                        \
        if (path_of(fd, path)) note('w', path, (uint64_t)offset, data, (uint32_t)length); \
        return real(fd, data, length, offset);                                      \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, type)                                                        \
    int name(int fd, type length) {                                                 \
        static int (*real)(int, type);                                              \
        if (real == NULL) real = dlsym(RTLD_NEXT, #name);                           \
        char path[PATH_MAX];                                                        \
        if (path_of(fd, path)) note('t', path, (uint64_t)length, NULL, 0);          \
        return real(fd, length);                                                    \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                  \
    int name(int fd) {                                                              \
        static int (*real)(int);                                                    \
        if (real == NULL) real = dlsym(RTLD_NEXT, #name);                           \
        int done = real(fd);                                                        \
        char path[PATH_MAX];                                                        \
        if (done == 0 && path_of(fd, path)) note('s', path, 0, NULL, 0);            \
        return done;                                                                \
    }
SYNC(fsync)
SYNC(fdatasync)

static void absolute(int at, const char *path, char *out) {
    char folder[PATH_MAX], link[64];
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    ssize_t n = readlink(link, folder, PATH_MAX - 1);
    folder[n > 0 ? n : 0] = 0;
    snprintf(out, PATH_MAX, "%.2000s/%.2000s", folder, path);
}

static void opened(int at, const char *path, int flags) {
    char whole[PATH_MAX];
    if (log_fd < 0 || !(flags & (O_TRUNC | O_CREAT))) return;
    absolute(at, path, whole);
    if (!below(whole)) return;
    if (flags & O_TRUNC) note('t', whole, 0, NULL, 0);
    else if (access(whole, F_OK) != 0) note('c', whole, 0, NULL, 0);
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        static int (*real)(const char *, int, ...);                                 \
        if (real == NULL) real = dlsym(RTLD_NEXT, #name);                           \
        va_list more;                                                               \
        va_start(more, flags);                                                      \
        mode_t mode = va_arg(more, mode_t);                                         \
        va_end(more);                                                               \
        opened(AT_FDCWD, path, flags);                                              \
        return real(path, flags, mode);                                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                \
    int name(int at, const char *path, int flags, ...) {                            \
        static int (*real)(int, const char *, int, ...);                            \
        if (real == NULL) real = dlsym(RTLD_NEXT, #name);                           \
        va_list more;                                                               \
        va_start(more, flags);                                                      \
        mode_t mode = va_arg(more, mode_t);                                         \
        va_end(more);                                                               \
        opened(at, path, flags);                                                    \
        return real(at, path, flags, mode);                                         \
    }
OPENAT(openat)
OPENAT(openat64)

int unlink(const char *path) {
    static int (*real)(const char *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "unlink");
    char whole[PATH_MAX];
    if (log_fd >= 0) {
        absolute(AT_FDCWD, path, whole);
        if (below(whole)) note('u', whole, 0, NULL, 0);
    }
    return real(path);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "rename");
    char a[PATH_MAX], b[PATH_MAX];
    int done = real(from, to);
    if (log_fd >= 0 && done == 0) {
        absolute(AT_FDCWD, from, a);
        absolute(AT_FDCWD, to, b);
        if (below(b)) note('r', a, 0, b, (uint32_t)strlen(b));
    }
    return done;
}

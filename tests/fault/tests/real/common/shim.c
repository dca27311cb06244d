/* Preloaded by crash: kills the process before its nth write to a folder, counted from the moment when the
 * test calls tandem_shim_arm. What is a write: bytes, lengths, names and locks of files, and their way to the disk.
 *
 * TANDEM_SHIM_DIR   the folder
 * TANDEM_SHIM_ARMED if it is set, writes are counted from the process's beginning
 * TANDEM_SHIM_KILL  n; without it nothing is killed
 * TANDEM_SHIM_LOG   a file to which each write is appended as a line: its number, what it is, the file */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long kill_at, count;
static int log_fd = -1, armed;
static const char *dir;

void tandem_shim_arm(void)
{
    const char *at = getenv("TANDEM_SHIM_KILL"), *log = getenv("TANDEM_SHIM_LOG");
    dir = getenv("TANDEM_SHIM_DIR");
    kill_at = at ? atol(at) : 0;
    log_fd = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    armed = dir != NULL;
}

/* From the beginning, where the process is not the test's own. */
__attribute__((constructor)) static void begin(void)
{
    if (getenv("TANDEM_SHIM_ARMED"))
        tandem_shim_arm();
}

static void step(const char *what, const char *path)
{
    char line[PATH_MAX + 64];
    if (strncmp(path, dir, strlen(dir)) != 0)
        return;
    long n = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    int len = snprintf(line, sizeof line, "%ld %s %s%s\n", n, what, path + strlen(dir) + 1, n == kill_at ? " killed before" : "");
    if (log_fd >= 0)
        syscall(SYS_write, log_fd, line, (size_t)len);
    if (n == kill_at) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

static void step_on(const char *what, int fd)
{
    char link[64], path[PATH_MAX];
    int saved = errno;
    if (!armed)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len > 0) {
        path[len] = 0;
        step(what, path);
    }
    errno = saved;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t len)
{
    REAL(write);
    step_on("write", fd);
    return real(fd, bytes, len);
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    REAL(pwrite);
    step_on("write", fd);
    return real(fd, bytes, len, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    REAL(pwrite64);
    step_on("write", fd);
    return real(fd, bytes, len, at);
}
int fsync(int fd)
{
    REAL(fsync);
    step_on("sync", fd);
    return real(fd);
}
int fdatasync(int fd)
{
    REAL(fdatasync);
    step_on("sync", fd);
    return real(fd);
}
int ftruncate(int fd, off_t len)
{
    REAL(ftruncate);
    step_on("truncate", fd);
    return real(fd, len);
}
int ftruncate64(int fd, off64_t len)
{
    REAL(ftruncate64);
    step_on("truncate", fd);
    return real(fd, len);
}
int rename(const char *from, const char *to)
{
    REAL(rename);
    if (armed)
        step("rename to", to);
    return real(from, to);
}
int link(const char *from, const char *to)
{
    REAL(link);
    if (armed)
        step("link to", to);
    return real(from, to);
}
int unlink(const char *path)
{
    REAL(unlink);
    if (armed)
        step("unlink", path);
    return real(path);
}
int flock(int fd, int how)
{
    int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    step_on("lock", fd);
    return real(fd, how);
}

/* SQLite's locks: between two of them it writes to the index of its write-ahead file, which is mapped memory. And SoftHSM's, which
 * waits for them: what it writes under them goes another way than by the calls above. */
static int lock(int fd, int cmd, void *argument)
{
    if ((cmd == F_SETLK || cmd == F_SETLKW) && ((struct flock *)argument)->l_type != F_RDLCK)
        step_on(((struct flock *)argument)->l_type == F_UNLCK ? "unlock" : "lock", fd);
    return (int)syscall(SYS_fcntl, fd, cmd, argument);
}
int fcntl(int fd, int cmd, ...)
{
    va_list rest;
    va_start(rest, cmd);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return lock(fd, cmd, argument);
}
int fcntl64(int fd, int cmd, ...)
{
    va_list rest;
    va_start(rest, cmd);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return lock(fd, cmd, argument);
}

/* A disk that forgets what was not synced.
 *
 * Preloaded into a process (LD_PRELOAD), this library stands between it and the
 * files directly inside one directory. Writes go through, but each is remembered
 * with what it replaced until the file is synced; names that were made or
 * removed are remembered until the directory is synced. At a chosen operation
 * the power goes: everything remembered is undone, then, as disks do, some of
 * it may be applied again, whole or torn at 512-byte sectors, and the process
 * ends without a chance to do anything more.
 *
 * Settings (environment):
 *   POWERLOSS_DIR    the directory, as the process names it
 *   POWERLOSS_AFTER  end at this operation (write, truncate, sync, name); 0: never
 *   POWERLOSS_SEED   decides what survives; seed % 3: 0 nothing, 1 any subset,
 *                    2 a prefix whose last write is torn
 *   POWERLOSS_FULL   while this file exists, writes fail with ENOSPC
 *   POWERLOSS_EIO    while this file exists, syncs fail with EIO and keep nothing
 *
 * Not covered: memory-mapped files. SQLite maps only its "-shm" index, which it
 * rebuilds after a crash; it is left alone here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 4096
#define SECTOR 512
#define CUT_STATUS 99

enum op_kind { OP_WRITE, OP_TRUNCATE };

/* One change to a file's bytes since its last sync. */
struct op {
    enum op_kind kind;
    off_t offset;     /* of a write; new length of a truncation */
    size_t length;    /* of a write, or of the bytes a truncation cut off */
    off_t old_size;
    char *before;     /* bytes that were replaced or cut off */
    size_t before_length;
    char *after;      /* bytes that were written */
    struct op *previous, *next;
};

struct file {
    dev_t device;
    ino_t inode;
    int fd; /* our own, never closed: closing would drop the process's locks */
    struct op *first, *last;
    struct file *next;
};

enum name_kind { NAME_MADE, NAME_REMOVED };

/* One change to the directory since its last sync. */
struct name {
    enum name_kind kind;
    char path[PATH_MAX];
    char kept[PATH_MAX]; /* where a removed file is kept */
    struct name *previous;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static struct name *names;
static struct file *open_file[MAX_FD];
static int is_directory[MAX_FD];
static char directory[PATH_MAX];
static size_t directory_length;
static uint64_t operations, cut_after, state;
static unsigned mode, kept_count;
static const char *full_flag, *eio_flag;

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_unlink)(const char *);
static int (*real_close)(int);

static void *find(const char *symbol)
{
    void *found = dlsym(RTLD_NEXT, symbol);
    if (found == NULL)
        abort();
    return found;
}

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

__attribute__((constructor)) static void start(void)
{
    real_open = find("open");
    real_write = find("write");
    real_pwrite = find("pwrite");
    real_ftruncate = find("ftruncate");
    real_fsync = find("fsync");
    real_unlink = find("unlink");
    real_close = find("close");
    const char *path = getenv("POWERLOSS_DIR");
    if (path == NULL || strlen(path) >= sizeof directory)
        abort();
    strcpy(directory, path);
    directory_length = strlen(directory);
    cut_after = number_of("POWERLOSS_AFTER");
    mode = number_of("POWERLOSS_SEED") % 3;
    state = number_of("POWERLOSS_SEED") * 0x9e3779b97f4a7c15u + 1;
    full_flag = getenv("POWERLOSS_FULL");
    eio_flag = getenv("POWERLOSS_EIO");
}

static uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int flagged(const char *flag)
{
    return flag != NULL && access(flag, F_OK) == 0;
}

/* A file directly inside the directory that is not a shared-memory index. */
static int is_ours(const char *path)
{
    if (strncmp(path, directory, directory_length) != 0 || path[directory_length] != '/')
        return 0;
    const char *name = path + directory_length + 1;
    size_t length = strlen(name);
    return strchr(name, '/') == NULL && !(length > 4 && strcmp(name + length - 4, "-shm") == 0);
}

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < MAX_FD ? open_file[fd] : NULL;
}

static void read_exactly(int fd, char *to, size_t length, off_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(fd, to + done, length - done, offset + (off_t)done);
        if (got <= 0)
            abort();
        done += (size_t)got;
    }
}

static void write_exactly(int fd, const char *from, size_t length, off_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t put = real_pwrite(fd, from + done, length - done, offset + (off_t)done);
        if (put <= 0)
            abort();
        done += (size_t)put;
    }
}

static off_t size_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        abort();
    return status.st_size;
}

static void remember(struct file *file, enum op_kind kind, off_t offset, const void *bytes, size_t length)
{
    struct op *op = calloc(1, sizeof *op);
    if (op == NULL)
        abort();
    op->kind = kind;
    op->offset = offset;
    op->length = length;
    op->old_size = size_of(file->fd);
    off_t covered = op->old_size - offset;
    if (kind == OP_WRITE && covered > (off_t)length)
        covered = (off_t)length;
    if (covered > 0) {
        op->before_length = (size_t)covered;
        op->before = malloc(op->before_length);
        if (op->before == NULL)
            abort();
        read_exactly(file->fd, op->before, op->before_length, offset);
    }
    if (kind == OP_WRITE) {
        op->after = malloc(length);
        if (op->after == NULL)
            abort();
        memcpy(op->after, bytes, length);
    }
    op->previous = file->last;
    if (file->last != NULL)
        file->last->next = op;
    else
        file->first = op;
    file->last = op;
}

static void forget_all(struct file *file)
{
    struct op *op = file->first;
    while (op != NULL) {
        struct op *next = op->next;
        free(op->before);
        free(op->after);
        free(op);
        op = next;
    }
    file->first = file->last = NULL;
}

static void undo(struct file *file)
{
    for (struct op *op = file->last; op != NULL; op = op->previous) {
        if (real_ftruncate(file->fd, op->old_size) != 0)
            abort();
        if (op->before != NULL)
            write_exactly(file->fd, op->before, op->before_length, op->offset);
    }
}

static void apply(struct file *file, const struct op *op, int torn)
{
    if (op->kind == OP_TRUNCATE) {
        if (real_ftruncate(file->fd, op->offset) != 0)
            abort();
        return;
    }
    if (!torn) {
        write_exactly(file->fd, op->after, op->length, op->offset);
        return;
    }
    for (size_t at = 0; at < op->length;) {
        size_t end = at + SECTOR - (size_t)((op->offset + (off_t)at) % SECTOR);
        if (end > op->length)
            end = op->length;
        if (random_number() % 2 == 0)
            write_exactly(file->fd, op->after + at, end - at, op->offset + (off_t)at);
        at = end;
    }
}

/* What of the unsynced changes reached the disk after all. */
static void redo_some(struct file *file)
{
    if (mode == 1) {
        for (struct op *op = file->first; op != NULL; op = op->next)
            if (random_number() % 2 == 0)
                apply(file, op, random_number() % 4 == 0);
    } else if (mode == 2) {
        uint64_t count = 0;
        for (struct op *op = file->first; op != NULL; op = op->next)
            count++;
        uint64_t keep = random_number() % (count + 1);
        for (struct op *op = file->first; op != NULL && keep > 0; op = op->next)
            apply(file, op, --keep == 0);
    }
}

static void undo_names(void)
{
    for (struct name *name = names; name != NULL; name = name->previous) {
        int survives = mode != 0 && random_number() % 2 == 0;
        if (name->kind == NAME_MADE && !survives)
            real_unlink(name->path);
        else if (name->kind == NAME_REMOVED && !survives && access(name->path, F_OK) != 0)
            rename(name->kept, name->path); /* the kept file stands beside the directory */
        else if (name->kind == NAME_REMOVED)
            real_unlink(name->kept);
    }
}

static void lose_power(void)
{
    for (struct file *file = files; file != NULL; file = file->next) {
        undo(file);
        redo_some(file);
    }
    undo_names();
    _exit(CUT_STATUS);
}

/* Counts an operation that is about to be confirmed to the caller. */
static void count(void)
{
    operations++;
    if (cut_after != 0 && operations >= cut_after)
        lose_power();
}

static void remember_name(enum name_kind kind, const char *path, const char *kept)
{
    struct name *name = calloc(1, sizeof *name);
    if (name == NULL)
        abort();
    name->kind = kind;
    snprintf(name->path, sizeof name->path, "%s", path);
    snprintf(name->kept, sizeof name->kept, "%s", kept);
    name->previous = names;
    names = name;
    count();
}

static void forget_names(void)
{
    while (names != NULL) {
        struct name *previous = names->previous;
        if (names->kind == NAME_REMOVED)
            real_unlink(names->kept);
        free(names);
        names = previous;
    }
}

static void track(int fd, const char *path, int made)
{
    struct stat status;
    if (fd >= MAX_FD || fstat(fd, &status) != 0)
        abort();
    if (S_ISDIR(status.st_mode)) {
        is_directory[fd] = strcmp(path, directory) == 0;
        return;
    }
    struct file *file = files;
    while (file != NULL && (file->inode != status.st_ino || file->device != status.st_dev))
        file = file->next;
    if (file == NULL) {
        file = calloc(1, sizeof *file);
        if (file == NULL)
            abort();
        file->device = status.st_dev;
        file->inode = status.st_ino;
        file->fd = real_open(path, O_RDWR | O_CLOEXEC);
        if (file->fd < 0)
            abort();
        file->next = files;
        files = file;
    }
    open_file[fd] = file;
    if (made)
        remember_name(NAME_MADE, path, "");
}

static int open_any(const char *path, int flags, mode_t permissions)
{
    int ours = is_ours(path) || strcmp(path, directory) == 0;
    if (!ours)
        return real_open(path, flags, permissions);
    pthread_mutex_lock(&lock);
    int made = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
    int fd = real_open(path, flags, permissions);
    if (fd >= 0)
        track(fd, path, made);
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t permissions_of(int flags, va_list *arguments)
{
    return (flags & O_CREAT) != 0 ? (mode_t)va_arg(*arguments, int) : 0;
}

#define DEFINE_OPEN(NAME)                                       \
    int NAME(const char *path, int flags, ...)                  \
    {                                                           \
        va_list arguments;                                      \
        va_start(arguments, flags);                             \
        mode_t permissions = permissions_of(flags, &arguments); \
        va_end(arguments);                                      \
        return open_any(path, flags, permissions);              \
    }

DEFINE_OPEN(open)
DEFINE_OPEN(open64)

/* Nothing here opens relative to a directory; if that changes, fail loudly. */
#define DEFINE_OPENAT(NAME)                                                        \
    int NAME(int at, const char *path, int flags, ...)                             \
    {                                                                              \
        va_list arguments;                                                         \
        va_start(arguments, flags);                                                \
        mode_t permissions = permissions_of(flags, &arguments);                    \
        va_end(arguments);                                                         \
        if (at != AT_FDCWD && path[0] != '/' && at < MAX_FD && is_directory[at])   \
            abort();                                                               \
        if (at == AT_FDCWD || path[0] == '/')                                      \
            return open_any(path, flags, permissions);                             \
        static int (*real)(int, const char *, int, ...);                           \
        if (real == NULL)                                                          \
            real = find(#NAME);                                                    \
        return real(at, path, flags, permissions);                                 \
    }

DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

static ssize_t write_at(int fd, struct file *file, const void *bytes, size_t length, off_t offset, int moves)
{
    if (flagged(full_flag)) {
        errno = ENOSPC;
        return -1;
    }
    pthread_mutex_lock(&lock);
    remember(file, OP_WRITE, offset, bytes, length);
    write_exactly(file->fd, bytes, length, offset);
    if (moves)
        lseek(fd, offset + (off_t)length, SEEK_SET);
    count();
    pthread_mutex_unlock(&lock);
    return (ssize_t)length;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    struct file *file = file_of(fd);
    if (file == NULL)
        return real_write(fd, bytes, length);
    return write_at(fd, file, bytes, length, lseek(fd, 0, SEEK_CUR), 1);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    struct file *file = file_of(fd);
    if (file == NULL)
        return real_pwrite(fd, bytes, length, offset);
    return write_at(fd, file, bytes, length, offset, 0);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    return pwrite(fd, bytes, length, offset);
}

static int truncate_any(int fd, off_t length)
{
    struct file *file = file_of(fd);
    if (file == NULL)
        return real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    remember(file, OP_TRUNCATE, length, NULL, 0);
    int result = real_ftruncate(fd, length);
    count();
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t length)
{
    return truncate_any(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return truncate_any(fd, length);
}

/* The disk is the memory of this library, so a sync is only bookkeeping; a
 * short pause stands for the time a disk takes, in which work gathers. */
static int sync_any(int fd)
{
    struct file *file = file_of(fd);
    int of_directory = fd >= 0 && fd < MAX_FD && is_directory[fd];
    if (file == NULL && !of_directory)
        return real_fsync(fd);
    usleep(100);
    if (flagged(eio_flag)) {
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&lock);
    count();
    if (of_directory)
        forget_names();
    else
        forget_all(file);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd)
{
    return sync_any(fd);
}

int fdatasync(int fd)
{
    return sync_any(fd);
}

int unlink(const char *path)
{
    if (!is_ours(path))
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%.*s.removed-%u", (int)directory_length, directory, kept_count++);
    int result = link(path, kept);
    if (result == 0)
        result = real_unlink(path);
    if (result == 0)
        remember_name(NAME_REMOVED, path, kept);
    pthread_mutex_unlock(&lock);
    return result;
}

int close(int fd)
{
    if (fd >= 0 && fd < MAX_FD) {
        pthread_mutex_lock(&lock);
        open_file[fd] = NULL;
        is_directory[fd] = 0;
        pthread_mutex_unlock(&lock);
    }
    return real_close(fd);
}

/* Ways to write that nobody uses today: fail loudly rather than miss them. */
ssize_t writev(int fd, const struct iovec *parts, int count_of_parts)
{
    static ssize_t (*real)(int, const struct iovec *, int);
    if (file_of(fd) != NULL)
        abort();
    if (real == NULL)
        real = find("writev");
    return real(fd, parts, count_of_parts);
}

int rename(const char *from, const char *to)
{
    static int (*real)(const char *, const char *);
    if (is_ours(from) && strstr(to, ".removed-") == NULL && strstr(from, ".removed-") == NULL)
        abort();
    if (real == NULL)
        real = find("rename");
    return real(from, to);
}

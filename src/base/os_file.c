/* os_file.c — reading files and folders, and locks. See os.h.
 *
 * Refuses what is no regular file: a pipe or device has no size to check against. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ------------------------------------------------------------------------------- */

/* O_NONBLOCK: opening a pipe without a writer must not hang before it is refused. */
static lorac_status open_regular(const char *path, int *handle, size_t *size, lorac_error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(err, path, "open");
    lorac_status status = LORAC_OK;
    if (fstat(fd, &info) != 0)
        status = fail_errno(err, path, "read");
    else if (S_ISDIR(info.st_mode))
        status = fail(err, LORAC_IO, path, "is a folder, a file was expected");
    else if (!S_ISREG(info.st_mode))
        status = fail(err, LORAC_IO, path, "is not a regular file");
    else if (info.st_size < 0 || (uintmax_t)info.st_size > SIZE_MAX / 2)
        status = fail(err, LORAC_IO, path, "is too large");
    if (status != LORAC_OK)
        close(fd);
    else
        *handle = fd, *size = (size_t)info.st_size;
    return status;
}

static lorac_status read_all(int handle, uint8_t *to, size_t size, const char *path, lorac_error *err)
{
    for (size_t at = 0; at < size;) {
        size_t part = size - at < 1u << 30 ? size - at : 1u << 30;
        ssize_t n = read(handle, to + at, part);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, path, "read");
        if (n == 0) return fail(err, LORAC_IO, path, "became shorter while it was read");
        at += (size_t)n;
    }
    return LORAC_OK;
}

/* The bytes and a NUL behind them. */
static lorac_status read_copy(struct memory *m, int handle, size_t size, const char *path, char **bytes,
                              lorac_error *err)
{
    char *copy = mem_alloc(m, size + 1);
    if (!copy) return fail(err, LORAC_OUT_OF_MEMORY, path, "no memory to read it (%zu bytes)", size);
    lorac_status status = read_all(handle, (uint8_t *)copy, size, path, err);
    if (status != LORAC_OK)
        mem_free(m, copy);
    else
        *bytes = copy;
    return status;
}

lorac_status os_file_open(struct memory *m, const char *path, bool map, struct os_file *file, lorac_error *err)
{
    int handle = -1;
    size_t size = 0;
    *file = (struct os_file){.memory = m};
    TRY(open_regular(path, &handle, &size, err));
    lorac_status status = LORAC_OK;
    if (map && size) { /* an empty range cannot be mapped */
        void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, handle, 0);
        if (data == MAP_FAILED)
            status = fail_errno(err, path, "map");
        else
            *file = (struct os_file){.data = data, .size = size, .mapped = true, .memory = m};
    } else {
        char *data;
        status = read_copy(m, handle, size, path, &data, err);
        if (status == LORAC_OK) file->data = (uint8_t *)data, file->size = size;
    }
    close(handle);
    return status;
}

void os_file_release(const struct os_file *file, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (file->mapped) madvise((void *)file->data, bytes / page * page, MADV_DONTNEED);
}

void os_file_close(struct os_file *file)
{
    if (file->mapped)
        munmap((void *)file->data, file->size);
    else if (file->data)
        mem_free(file->memory, (void *)file->data);
    *file = (struct os_file){.memory = file->memory};
}

lorac_status os_read(struct memory *m, const char *path, size_t cap, char **bytes, size_t *size, lorac_error *err)
{
    int handle = -1;
    size_t length = 0;
    *bytes = NULL;
    TRY(open_regular(path, &handle, &length, err));
    lorac_status status = length > cap ? fail(err, LORAC_FORMAT, path,
                                              "has %zu bytes, at most %zu are read from such a file", length, cap)
                                       : read_copy(m, handle, length, path, bytes, err);
    if (status == LORAC_OK) *size = length;
    close(handle);
    return status;
}

bool os_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool os_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool os_is_inside(const char *folder, const char *path)
{
    char *outer = realpath(folder, NULL), *inner = realpath(path, NULL);
    size_t length = outer ? strlen(outer) : 0;
    bool inside = outer && inner && !strncmp(inner, outer, length) && (!inner[length] || inner[length] == '/');
    free(outer);
    free(inner);
    return inside;
}

/* ---- folders ----------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static lorac_status add_name(struct list *names, const char *name, lorac_error *err)
{
    char *copy = mem_text(names->memory, name, strlen(name));
    char **slot = copy ? list_add(names) : NULL;
    if (slot) return *slot = copy, LORAC_OK;
    mem_free(names->memory, copy);
    return fail_memory(err, "a list of files", strlen(name));
}

static lorac_status read_names(DIR *stream, const char *folder, struct list *names, lorac_error *err)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (!entry) return errno ? fail_errno(err, folder, "list") : LORAC_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        TRY(add_name(names, entry->d_name, err));
    }
}

lorac_status os_list(struct memory *m, const char *folder, char ***names, size_t *count, lorac_error *err)
{
    *names = NULL;
    *count = 0;
    DIR *stream = opendir(folder);
    if (!stream) return fail_errno(err, folder, "list");
    struct list found = {.memory = m, .size = sizeof(char *)};
    lorac_status status = read_names(stream, folder, &found, err);
    closedir(stream);
    if (status != LORAC_OK) {
        os_names_free(m, found.items, found.count);
        return status;
    }
    if (found.count) qsort(found.items, found.count, sizeof(char *), compare_names);
    *names = found.items;
    *count = found.count;
    return LORAC_OK;
}

void os_names_free(struct memory *m, char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) mem_free(m, names[i]);
    mem_free(m, names);
}

char *os_join(struct memory *m, const char *folder, const char *name)
{
    struct text path = {.memory = m};
    size_t length = strlen(folder);
    text_add(&path, folder, length);
    if (length && folder[length - 1] != '/') text_puts(&path, "/");
    text_puts(&path, name);
    if (path.failed) text_free(&path);
    return path.data;
}

/* ---- locks ------------------------------------------------------------------------------- */

/* flock, not fcntl: its lock belongs to the open file, so a second handle in this process is shut out too. */
lorac_status os_lock(const char *folder, const char *name, int *handle, lorac_error *err)
{
    *handle = -1;
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return fail_errno(err, folder, "open the folder");
    int fd = openat(at, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    int reason = errno;
    close(at);
    errno = reason;
    if (fd < 0) return fail_errno(err, folder, "make a lock file");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        lorac_status status = errno == EWOULDBLOCK
                                  ? fail(err, LORAC_IO, folder, "is in use by another lorac; end that one first")
                                  : fail_errno(err, folder, "lock");
        close(fd);
        return status;
    }
    *handle = fd;
    return LORAC_OK;
}

void os_unlock(int handle)
{
    if (handle >= 0) close(handle);
}

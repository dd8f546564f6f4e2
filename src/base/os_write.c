/* os_write.c — writing files whole or not at all, and changing folders. See os.h. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_CAP = 4096, COPY_BYTES = 1 << 20 };

/* ---- helpers ----------------------------------------------------------------------------- */

static int flush_handle(int handle)
{
#if defined(__APPLE__)
    if (fcntl(handle, F_FULLFSYNC) == 0) return 0; /* fsync there leaves the bytes in the drive's cache */
#endif
    return fsync(handle);
}

/* Makes the entry `path` durable: its folder is flushed. Some file systems cannot, which is no failure. */
static lorac_status flush_folder_of(const char *path, lorac_error *err)
{
    char folder[PATH_CAP];
    const char *slash = strrchr(path, '/');
    size_t length = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof folder) return fail(err, LORAC_IO, path, "the path is too long");
    memcpy(folder, length ? path : ".", length ? length : 1);
    folder[length ? length : 1] = 0;

    int handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0) return errno == EACCES ? LORAC_OK : fail_errno(err, folder, "open the folder");
    bool failed = flush_handle(handle) != 0 && errno != EINVAL && errno != ENOTSUP;
    lorac_status status = failed ? fail_errno(err, folder, "flush") : LORAC_OK;
    close(handle);
    return status;
}

/* 0 or the errno of the failure. */
static int write_all(int handle, const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t part = size - at < 1u << 30 ? size - at : 1u << 30;
        ssize_t n = write(handle, bytes + at, part);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n ? errno : EIO;
        at += (size_t)n;
    }
    return 0;
}

/* ---- the writer -------------------------------------------------------------------------- */

/* Opens PATH.PID-N.tmp for the first free N: O_EXCL never follows a link that waits under the name. */
static int open_temporary(struct os_writer *w)
{
    size_t room = strlen(w->path) + 64;
    w->temporary = mem_alloc(w->memory, room);
    if (!w->temporary) return errno = ENOMEM, -1;
    int handle = -1;
    for (int n = 0; n < 1000 && handle < 0; n++) {
        snprintf(w->temporary, room, "%s.%ld-%d.tmp", w->path, (long)getpid(), n);
        handle = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (handle < 0 && errno != EEXIST) break;
    }
    return handle;
}

static void release(struct os_writer *w)
{
    mem_free(w->memory, w->path);
    mem_free(w->memory, w->temporary);
    *w = (struct os_writer){.handle = -1, .memory = w->memory};
}

lorac_status os_writer_open(struct memory *m, const char *path, struct os_writer *w, lorac_error *err)
{
    *w = (struct os_writer){.handle = -1, .memory = m};
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* renaming would put a file in a device's place */
        return fail(err, LORAC_IO, path, "exists and is not a regular file; choose another name");
    w->path = mem_text(m, path, strlen(path));
    if (!w->path) return fail_memory(err, "a path", strlen(path));
    w->handle = open_temporary(w);
    if (w->handle >= 0) return LORAC_OK;
    lorac_status status = fail_errno(err, path, "create");
    release(w);
    return status;
}

static void keep_failure(struct os_writer *w, int number)
{
    if (number && !w->failed) w->failed = true, w->error = number;
}

void os_writer_write(struct os_writer *w, const void *bytes, size_t size)
{
    if (!w->failed) keep_failure(w, write_all(w->handle, bytes, size));
}

void os_writer_put(struct os_writer *w, size_t at, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size && !w->failed;) {
        size_t part = size - done < 1u << 30 ? size - done : 1u << 30;
        ssize_t n = pwrite(w->handle, (const char *)bytes + done, part, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) keep_failure(w, n ? errno : EIO);
        done += n > 0 ? (size_t)n : 0;
    }
}

void os_writer_abort(struct os_writer *w)
{
    if (w->handle >= 0) close(w->handle);
    if (w->temporary) unlink(w->temporary);
    release(w);
}

lorac_status os_writer_commit(struct os_writer *w, lorac_error *err)
{
    if (!w->failed && flush_handle(w->handle) != 0) keep_failure(w, errno);
    if (close(w->handle) != 0) keep_failure(w, errno);
    w->handle = -1;
    if (!w->failed && rename(w->temporary, w->path) != 0) keep_failure(w, errno);

    lorac_status status;
    if (w->failed) {
        errno = w->error;
        status = fail_errno(err, w->path, "write");
        unlink(w->temporary);
    } else {
        status = flush_folder_of(w->path, err);
    }
    release(w);
    return status;
}

lorac_status os_write_whole(struct memory *m, const char *path, const void *bytes, size_t size, lorac_error *err)
{
    struct os_writer w;
    TRY(os_writer_open(m, path, &w, err));
    os_writer_write(&w, bytes, size);
    return os_writer_commit(&w, err);
}

lorac_status os_append(const char *path, const void *bytes, size_t size, lorac_error *err)
{
    int handle = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (handle < 0) return fail_errno(err, path, "open");
    ssize_t n;
    do n = write(handle, bytes, size);
    while (n < 0 && errno == EINTR);
    lorac_status status = LORAC_OK;
    if (n < 0)
        status = fail_errno(err, path, "append");
    else if ((size_t)n != size)
        status = fail(err, LORAC_IO, path, "only %zd of %zu bytes were appended", n, size);
    if (close(handle) != 0 && status == LORAC_OK) status = fail_errno(err, path, "append");
    return status;
}

lorac_status os_copy_file(struct memory *m, const char *from, const char *to, lorac_error *err)
{
    struct os_file source;
    struct os_writer w;
    TRY(os_file_open(m, from, true, &source, err));
    lorac_status status = os_writer_open(m, to, &w, err);
    if (status == LORAC_OK) {
        os_writer_write(&w, source.data, source.size);
        status = os_writer_commit(&w, err);
    }
    os_file_close(&source);
    return status;
}

/* ---- folders ----------------------------------------------------------------------------- */

static lorac_status make_one(const char *path, lorac_error *err)
{
    if (mkdir(path, 0777) == 0) return LORAC_OK;
    int reason = errno;
    if (reason == EEXIST && os_is_folder(path)) return LORAC_OK;
    errno = reason;
    return fail_errno(err, path, "make the folder");
}

lorac_status os_make_folder(const char *path, lorac_error *err)
{
    char part[PATH_CAP];
    size_t length = strlen(path);
    if (!length || length >= sizeof part)
        return fail(err, LORAC_INVALID_ARGUMENT, path, "is no usable name for a folder");
    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (part[i] != '/' || part[i - 1] == '/') continue;
        part[i] = 0;
        lorac_status status = os_is_folder(part) ? LORAC_OK : make_one(part, err);
        if (status != LORAC_OK) return status;
        part[i] = '/';
    }
    return make_one(path, err);
}

lorac_status os_rename(const char *from, const char *to, lorac_error *err)
{
    if (rename(from, to) != 0) return fail_errno(err, from, "rename");
    TRY(flush_folder_of(to, err));
    return flush_folder_of(from, err);
}

static lorac_status remove_at(int at, const char *name, const char *tree, lorac_error *err);

/* Takes over `handle`, a folder's. */
static lorac_status empty_folder(int handle, const char *tree, lorac_error *err)
{
    DIR *stream = fdopendir(handle);
    if (!stream) {
        lorac_status status = fail_errno(err, tree, "remove");
        close(handle);
        return status;
    }
    lorac_status status = LORAC_OK;
    for (struct dirent *entry; status == LORAC_OK && (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = remove_at(handle, entry->d_name, tree, err);
    }
    closedir(stream);
    return status;
}

/* O_NOFOLLOW: a folder that was exchanged for a link since fstatat is refused, not entered. */
static lorac_status remove_at(int at, const char *name, const char *tree, lorac_error *err)
{
    struct stat info;
    if (fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(err, tree, "remove");
    if (!S_ISDIR(info.st_mode)) return unlinkat(at, name, 0) == 0 ? LORAC_OK : fail_errno(err, tree, "remove");
    int handle = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (handle < 0) return fail_errno(err, tree, "remove");
    TRY(empty_folder(handle, tree, err));
    return unlinkat(at, name, AT_REMOVEDIR) == 0 ? LORAC_OK : fail_errno(err, tree, "remove");
}

lorac_status os_remove_tree(struct memory *m, const char *path, lorac_error *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--; /* "link/" would mean the link's target */
    char *name = mem_text(m, path, length);
    if (!name) return fail_memory(err, "a path", length);
    lorac_status status = remove_at(AT_FDCWD, name, path, err);
    mem_free(m, name);
    return status;
}

lorac_status os_replace_folder(struct memory *m, const char *from, const char *to, lorac_error *err)
{
    if (!os_is_folder(to)) return os_rename(from, to, err);
#ifdef __linux__
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
        TRY(flush_folder_of(to, err));
        return os_remove_tree(m, from, err);
    }
#endif
    TRY(os_remove_tree(m, to, err)); /* file systems without an exchange: a kill here leaves `from`, whole */
    return os_rename(from, to, err);
}

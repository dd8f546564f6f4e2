/* os.h — the only calls to the operating system: files, maps, folders, locks, time, processors.
 * Paths are UTF-8. Nothing here is locale-dependent. */
#ifndef BASE_OS_H
#define BASE_OS_H

#include "base/memory.h"

/* ---- reading ----------------------------------------------------------------------------- */

/* A file's bytes, read-only. With `map` they are the page cache's own; without, a heap copy. */
struct os_file {
    const uint8_t *data;
    size_t size;
    bool mapped;
    struct memory *memory;
};
lorac_status os_file_open(struct memory *m, const char *path, bool map, struct os_file *file, lorac_error *err);
void os_file_close(struct os_file *file);
/* The first `bytes` of it are done with: where they are mapped, they no longer count as this process's memory. */
void os_file_release(const struct os_file *file, size_t bytes);

/* The whole of a small file (refused over `cap` bytes), NUL-terminated, to be freed with mem_free. */
lorac_status os_read(struct memory *m, const char *path, size_t cap, char **bytes, size_t *size, lorac_error *err);

bool os_is_file(const char *path);
bool os_is_folder(const char *path);
/* Whether what exists lies in the folder, or is it, when all links are followed. */
bool os_is_inside(const char *path, const char *folder);

/* The names in a folder, sorted by byte, without . and ..; free with os_names_free. */
lorac_status os_list(struct memory *m, const char *folder, char ***names, size_t *count, lorac_error *err);
void os_names_free(struct memory *m, char **names, size_t count);

/* folder/name in a fresh string (mem_free). */
char *os_join(struct memory *m, const char *folder, const char *name);

/* ---- writing: whole or not at all -------------------------------------------------------- */

/* A file that appears under `path` only when committed: written beside it under a temporary name,
 * flushed to the disk, renamed, and the folder flushed. Nothing of it stays after a failure. */
struct os_writer {
    char *path, *temporary;
    int handle;
    struct memory *memory;
    bool failed;
    int error; /* errno of the first failure */
};
lorac_status os_writer_open(struct memory *m, const char *path, struct os_writer *w, lorac_error *err);
void os_writer_write(struct os_writer *w, const void *bytes, size_t size); /* failures are kept until commit */
/* At a place of the file, whatever was written before. */
void os_writer_put(struct os_writer *w, size_t at, const void *bytes, size_t size);
lorac_status os_writer_commit(struct os_writer *w, lorac_error *err);
void os_writer_abort(struct os_writer *w); /* also allowed after a failed commit */

lorac_status os_write_whole(struct memory *m, const char *path, const void *bytes, size_t size, lorac_error *err);
lorac_status os_append(const char *path, const void *bytes, size_t size, lorac_error *err); /* creates; one write */
lorac_status os_make_folder(const char *path, lorac_error *err);                            /* with its parents */
lorac_status os_rename(const char *from, const char *to, lorac_error *err); /* replaces a file; flushes the folder */
/* A finished folder takes the place of `to`, whatever was there: at every moment one of the two is whole. */
lorac_status os_replace_folder(struct memory *m, const char *from, const char *to, lorac_error *err);
lorac_status os_remove_tree(struct memory *m, const char *path, lorac_error *err); /* never follows links */
lorac_status os_copy_file(struct memory *m, const char *from, const char *to, lorac_error *err);

/* An exclusive lock on a folder (a file `name` in it), held until released or the process ends. */
lorac_status os_lock(const char *folder, const char *name, int *handle, lorac_error *err);
void os_unlock(int handle);

/* ---- the machine ------------------------------------------------------------------------- */

double os_seconds(void);                 /* monotonic */
int os_default_threads(void);            /* affinity, cgroup quota, physical cores; at least 1 */
size_t os_physical_memory(void);         /* bytes, the cgroup's limit if lower */
size_t os_resident_bytes(void);          /* of this process, now */
size_t os_peak_resident_bytes(void);     /* VmHWM */
void os_reset_peak_resident_bytes(void); /* where the system allows it */
void os_cpu_name(char *name, size_t size);

#endif

/* prefetch.h — reading a matrix from memory in groups of rows.
 *
 * The rows of a group are walked side by side, which the CPU's own prefetchers do not follow. Instead, what comes
 * after the group (or a few pages on, for short rows) is asked for along the matrix, into the second-level cache.
 * Asking for an address behind the matrix does no harm. */
#ifndef CPU_PREFETCH_H
#define CPU_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

/* What to ask for when `done` bytes of the group at w (rows, row_bytes) have been read. */
static inline __attribute__((always_inline)) uintptr_t prefetch_from(const uint8_t *w, size_t rows, size_t row_bytes,
                                                                     size_t done)
{
    enum { LEAST = 8192 };
    return (uintptr_t)w + (rows * row_bytes > LEAST ? rows * row_bytes : LEAST) + done;
}

static inline __attribute__((always_inline)) void prefetch(uintptr_t from, const size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const void *)(from + i), 0, 2);
}

/* Into the first-level cache, for a kernel that reads each byte once and holds little else there. */
static inline __attribute__((always_inline)) void prefetch_near(uintptr_t from, const size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const void *)(from + i), 0, 3);
}

#endif

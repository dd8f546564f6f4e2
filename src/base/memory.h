/* memory.h — the accounted heap: every long-lived byte of the library is counted against one budget.
 *
 * A `struct memory` belongs to a runtime. Blocks are 64-byte aligned and zeroed. `calls` counts
 * allocations, so that a test can prove that a warm training step makes none. Thread-safe. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include "base/error.h"
#include <stdatomic.h>
#include <stddef.h>

struct memory {
    _Atomic size_t used, peak, calls; /* bytes now, most bytes ever, number of allocations made */
    size_t limit;                     /* 0: none */
};

void *mem_alloc(struct memory *m, size_t bytes);               /* NULL when refused; zeroed; bytes 0 gives a block */
void *mem_array(struct memory *m, size_t count, size_t size);  /* the same, overflow-checked */
void *mem_resize(struct memory *m, void *block, size_t bytes); /* the new tail is zeroed; block may be NULL */
char *mem_text(struct memory *m, const char *text, size_t length); /* a NUL-terminated copy */
void mem_free(struct memory *m, void *block);                      /* NULL is allowed */

/* Overflow-checked arithmetic on sizes that come from files: false when it does not fit. */
bool size_mul(size_t a, size_t b, size_t *product);
bool size_add(size_t a, size_t b, size_t *sum);

bool ends_with(const char *text, const char *end);

/* A growable run of bytes. Zero-initialise with .memory set; text_free at the end. */
struct text {
    struct memory *memory;
    char *data; /* NUL-terminated once anything was appended; NULL before */
    size_t length, capacity;
    bool failed; /* an append found no memory: check once at the end */
};
void text_add(struct text *t, const void *bytes, size_t length);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *t);
/* Hands the bytes to a caller of the public API, to be released with lorac_free; NULL when out of memory. */
char *text_release(struct text *t);

/* A growable array of elements of one size. Zero-initialise with .memory and .size set. */
struct list {
    struct memory *memory;
    void *items;
    size_t size, count, capacity;
};
void *list_add(struct list *l); /* a zeroed new element, or NULL; earlier pointers become invalid */
void list_free(struct list *l);

#endif

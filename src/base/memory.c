/* memory.c — the accounted heap, growable text and lists. See memory.h. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, HEADER = 64 };

/* Stands in the HEADER bytes before a block. */
struct header {
    size_t total; /* with the header */
    void *origin; /* what calloc gave: the block is the first multiple of ALIGNMENT in it */
};

bool size_mul(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}
bool size_add(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static bool account(struct memory *m, size_t bytes)
{
    size_t used = atomic_fetch_add(&m->used, bytes) + bytes;
    if (m->limit && used > m->limit) {
        atomic_fetch_sub(&m->used, bytes);
        return false;
    }
    size_t peak = atomic_load(&m->peak);
    while (used > peak && !atomic_compare_exchange_weak(&m->peak, &peak, used)) {}
    atomic_fetch_add(&m->calls, 1);
    return true;
}

/* Large blocks come zeroed from the system, and pages that nobody touches are never made. */
void *mem_alloc(struct memory *m, size_t bytes)
{
    size_t total, room;
    if (!size_add(bytes, HEADER + ALIGNMENT - 1, &total)) return NULL;
    total &= ~(size_t)(ALIGNMENT - 1);
    if (!size_add(total, ALIGNMENT, &room) || !account(m, total)) return NULL;
    char *origin = calloc(1, room);
    if (!origin) {
        atomic_fetch_sub(&m->used, total);
        return NULL;
    }
    char *block = origin + (size_t)(-(uintptr_t)origin % ALIGNMENT);
    *(struct header *)block = (struct header){.total = total, .origin = origin};
    return block + HEADER;
}

static const struct header *header_of(const void *block)
{
    return (const struct header *)((const char *)block - HEADER);
}

void mem_free(struct memory *m, void *block)
{
    if (!block) return;
    atomic_fetch_sub(&m->used, header_of(block)->total);
    free(header_of(block)->origin);
}

void *mem_array(struct memory *m, size_t count, size_t size)
{
    size_t bytes;
    return size_mul(count, size, &bytes) ? mem_alloc(m, bytes) : NULL;
}

void *mem_resize(struct memory *m, void *block, size_t bytes)
{
    void *bigger = mem_alloc(m, bytes);
    if (!bigger || !block) return bigger;
    size_t old = header_of(block)->total - HEADER;
    memcpy(bigger, block, old < bytes ? old : bytes);
    mem_free(m, block);
    return bigger;
}

char *mem_text(struct memory *m, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? mem_alloc(m, length + 1) : NULL;
    if (copy && length) memcpy(copy, text, length);
    return copy;
}

void text_add(struct text *t, const void *bytes, size_t length)
{
    size_t need;
    if (t->failed || !size_add(t->length, length, &need) || !size_add(need, 1, &need)) {
        t->failed = true;
        return;
    }
    if (need > t->capacity) {
        size_t capacity = need < 64 ? 64 : need + need / 2;
        char *data = mem_resize(t->memory, t->data, capacity);
        if (!data) {
            t->failed = true;
            return;
        }
        t->data = data;
        t->capacity = capacity;
    }
    if (length) memcpy(t->data + t->length, bytes, length);
    t->length += length;
    t->data[t->length] = 0;
}

void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *format, ...)
{
    char buffer[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof buffer)
        t->failed = true; /* for short fields only */
    else
        text_add(t, buffer, (size_t)n);
}

void text_free(struct text *t)
{
    mem_free(t->memory, t->data);
    *t = (struct text){.memory = t->memory};
}

char *text_release(struct text *t)
{
    char *copy = t->failed ? NULL : malloc(t->length + 1);
    if (copy && t->length) memcpy(copy, t->data, t->length);
    if (copy) copy[t->length] = 0;
    text_free(t);
    return copy;
}

void *list_add(struct list *l)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 16, bytes;
        if (!size_mul(capacity, l->size, &bytes)) return NULL;
        void *items = mem_resize(l->memory, l->items, bytes);
        if (!items) return NULL;
        l->items = items;
        l->capacity = capacity;
    }
    return (char *)l->items + l->count++ * l->size;
}

void list_free(struct list *l)
{
    mem_free(l->memory, l->items);
    *l = (struct list){.memory = l->memory, .size = l->size};
}

bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && !strcmp(text + length - wanted, end);
}

void lorac_free(void *pointer)
{
    free(pointer);
}

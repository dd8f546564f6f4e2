/* template_value.c — the arena, errors, strings by byte, and containers of the template interpreter. */
#include "text/template_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- arena and errors -------------------------------------------------------------------- */

struct chunk {
    struct chunk *next;
};

void arena_free(struct arena *a)
{
    for (struct chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        mem_free(a->memory, c);
    }
    *a = (struct arena){.memory = a->memory};
}

/* A new chunk with room for `bytes`: as large as all before together, between 8 KiB and 4 MiB. */
static bool arena_grow(struct arena *a, size_t bytes)
{
    size_t size = a->used < 8192 ? 8192 : a->used > (4 << 20) ? 4 << 20 : a->used;
    if (bytes > ARENA_LIMIT) return false;
    if (size < bytes) size = bytes;
    size += 64; /* the header, and room to align */
    if (a->used + size > ARENA_LIMIT) return false;
    struct chunk *c = mem_alloc(a->memory, size);
    if (!c) return false;
    c->next = a->chunks;
    a->chunks = c;
    a->used += size;
    a->at = (char *)c + 16;
    a->end = (char *)c + size;
    return true;
}

static void *arena_take(struct arena *a, size_t bytes)
{
    size_t skip = a->at ? -(uintptr_t)a->at & 15 : 0;
    if (!a->at || (size_t)(a->end - a->at) < skip || (size_t)(a->end - a->at) - skip < bytes) {
        if (!arena_grow(a, bytes)) return NULL;
        skip = 0;
    }
    char *block = a->at + skip;
    a->at = block + bytes;
    return block;
}

bool host_fail(struct host *h, lorac_status status, const char *format, ...)
{
    if (h->status) return false;
    char sentence[900];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    h->status = fail(h->err, status, h->name, "line %u: %s", h->line, sentence);
    return false;
}

void *host_take(struct host *h, size_t bytes)
{
    void *block = arena_take(&h->arena, bytes);
    if (!block)
        host_fail(h, LORAC_OUT_OF_MEMORY, "the template needs more memory (at most %zu MiB)", ARENA_LIMIT >> 20);
    return block;
}

void *host_array(struct host *h, size_t count, size_t size)
{
    size_t bytes;
    if (!size_mul(count, size, &bytes)) bytes = SIZE_MAX;
    return host_take(h, bytes);
}

bool work(struct render *r, size_t steps)
{
    r->steps += steps;
    if (r->steps > STEP_LIMIT)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "the template runs longer than %d steps", STEP_LIMIT);
    if (r->steps < r->clock_at) return true;
    r->clock_at = r->steps + CLOCK_STEPS;
    return os_seconds() <= r->deadline ||
           host_fail(&r->host, LORAC_UNSUPPORTED, "the template runs for too many seconds");
}

bool work_bytes(struct render *r, size_t bytes)
{
    return work(r, bytes / 64);
}

/* ---- strings ----------------------------------------------------------------------------- */

int str_compare(struct str a, struct str b) /* bytes of UTF-8 are in the order of characters */
{
    size_t n = a.length < b.length ? a.length : b.length;
    int order = n ? memcmp(a.at, b.at, n) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

bool str_equal(struct str a, struct str b)
{
    return a.length == b.length && !str_compare(a, b);
}
bool str_is(struct str a, const char *b)
{
    return str_equal(a, (struct str){b, strlen(b)});
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    return from < to ? (struct str){s.at + from, to - from} : (struct str){s.at ? s.at + from : NULL, 0};
}

bool str_find(struct str s, struct str part, size_t from, size_t *at)
{
    if (from > s.length || s.length - from < part.length) return false;
    if (!part.length) return *at = from, true;
    const char *hit = memmem(s.at + from, s.length - from, part.at, part.length);
    if (!hit) return false;
    *at = (size_t)(hit - s.at);
    return true;
}

bool v_copy(struct render *r, const char *bytes, size_t length, struct value *result)
{
    char *copy = host_take(&r->host, length + 1);
    if (!copy) return false;
    if (length) memcpy(copy, bytes, length);
    *result = v_str((struct str){copy, length});
    return true;
}

/* a + b. If a is the newest thing in the arena it grows in place: nothing ever writes to bytes that a string
 * holds, so both may share them, and a loop that appends costs what it appends. */
bool str_join2(struct render *r, struct str a, struct str b, struct str *result)
{
    struct arena *arena = &r->host.arena;
    if (!b.length) return *result = a, true;
    if (!work_bytes(r, b.length)) return false;
    if (!a.length || a.at + a.length != arena->at || (size_t)(arena->end - arena->at) < b.length) {
        if (!work_bytes(r, a.length)) return false;
        char *copy = host_take(&r->host, (a.length + b.length) * 2); /* room to grow */
        if (!copy) return false;
        if (a.length) memcpy(copy, a.at, a.length);
        a.at = copy;
        arena->at = copy + a.length;
    }
    memcpy(arena->at, b.at, b.length);
    arena->at += b.length;
    *result = (struct str){a.at, a.length + b.length};
    return true;
}

struct text builder(struct render *r)
{
    return (struct text){.memory = r->host.arena.memory};
}

bool builder_end(struct render *r, struct text *t, struct value *result)
{
    bool ok = !r->host.status;
    if (ok && t->failed) ok = host_fail(&r->host, LORAC_OUT_OF_MEMORY, "no memory for a string");
    ok = ok && work_bytes(r, t->length) && v_copy(r, t->data, t->length, result);
    text_free(t);
    return ok;
}

/* ---- containers -------------------------------------------------------------------------- */

const char *type_name(struct value v)
{
    static const char *const names[] = {"nothing", "Undefined", "NoneType",    "bool",      "int",       "float",
                                        "str",     "list",      "tuple",       "dict view", "generator", "range",
                                        "dict",    "Namespace", "LoopContext", "Macro",     "function"};
    return v.kind == V_VIEW ? v.items->type : names[v.kind];
}

bool v_undefined(struct render *r, struct value *result, const char *format, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof sentence ? (size_t)n : sizeof sentence - 1;
    bool ok = v_copy(r, sentence, length, result);
    result->kind = V_UNDEFINED;
    return ok;
}

struct items *items_new(struct render *r, size_t count)
{
    if (!work(r, count / 8)) return NULL;
    struct items *items = host_take(&r->host, sizeof *items);
    if (!items || !(items->at = host_array(&r->host, count, sizeof *items->at))) return NULL;
    items->count = count;
    return items;
}

struct dict *dict_new(struct render *r, size_t capacity)
{
    struct dict *d = host_take(&r->host, sizeof *d);
    if (!d || !(d->at = host_array(&r->host, capacity, sizeof *d->at))) return NULL;
    d->capacity = capacity;
    return d;
}

static bool dict_find(struct render *r, const struct dict *d, struct value key, struct pair **pair)
{
    *pair = NULL;
    if (!work(r, d->count / 8)) return false;
    for (size_t i = 0; i < d->count; i++) {
        bool same = key.kind == V_STR && d->at[i].key.kind == V_STR && str_equal(key.text, d->at[i].key.text);
        if (!same && (key.kind != V_STR || d->at[i].key.kind != V_STR) && !equal(r, d->at[i].key, key, &same))
            return false;
        if (same) return *pair = &d->at[i], true;
    }
    return true;
}

bool dict_set(struct render *r, struct dict *d, struct value key, struct value v)
{
    struct pair *pair;
    if (!is_hashable(key)) return host_fail(&r->host, LORAC_FORMAT, "unhashable type: '%s'", type_name(key));
    if (!dict_find(r, d, key, &pair)) return false;
    if (pair) return pair->value = v, true;
    if (d->count == d->capacity) {
        size_t capacity = d->capacity * 2 + 4;
        struct pair *at = host_array(&r->host, capacity, sizeof *at);
        if (!at) return false;
        memcpy(at, d->at, d->count * sizeof *at);
        d->at = at;
        d->capacity = capacity;
    }
    d->at[d->count++] = (struct pair){key, v};
    return true;
}

bool dict_get(struct render *r, const struct dict *d, struct value key, struct value *v, bool *found)
{
    struct pair *pair;
    if (!dict_find(r, d, key, &pair)) return false;
    *found = pair;
    if (pair) *v = pair->value;
    return true;
}

bool dict_get_name(struct render *r, const struct dict *d, struct str name, struct value *v, bool *found)
{
    return dict_get(r, d, v_str(name), v, found);
}

/* ---- from JSON --------------------------------------------------------------------------- */

static bool list_from_json(struct render *r, const json_t *json, int depth, struct value *result)
{
    struct items *items = items_new(r, json_array_size(json));
    if (!items) return false;
    *result = v_items(V_LIST, items);
    for (size_t i = 0; i < items->count; i++)
        if (!from_json(r, json_array_get(json, i), depth + 1, &items->at[i])) return false;
    return true;
}

static bool dict_from_json(struct render *r, const json_t *json, int depth, struct value *result)
{
    struct dict *d = dict_new(r, json_object_size(json));
    if (!d) return false;
    *result = (struct value){.kind = V_DICT, .dict = d};
    for (void *i = json_object_iter((json_t *)json); i; i = json_object_iter_next((json_t *)json, i)) {
        struct pair *pair = &d->at[d->count++]; /* JSON objects have each key once */
        const char *key = json_object_iter_key(i);
        pair->key = v_str((struct str){key, strlen(key)});
        if (!from_json(r, json_object_iter_value(i), depth + 1, &pair->value)) return false;
    }
    return true;
}

/* Strings stay where they are: the JSON outlives the rendering. */
bool from_json(struct render *r, const json_t *json, int depth, struct value *result)
{
    if (depth > VALUE_DEPTH)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a variable nests deeper than %d levels", VALUE_DEPTH);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return dict_from_json(r, json, depth, result);
    case JSON_ARRAY:
        return list_from_json(r, json, depth, result);
    case JSON_STRING:
        *result = v_str((struct str){json_string_value(json), json_string_length(json)});
        break;
    case JSON_INTEGER:
        *result = v_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *result = v_float(json_real_value(json));
        break;
    case JSON_TRUE:
        *result = v_bool(true);
        break;
    case JSON_FALSE:
        *result = v_bool(false);
        break;
    default:
        *result = v_none();
    }
    return true;
}

/* gguf_draft.c — drafts of GGUF files, version 3. See gguf_draft.h. */
#include "file/gguf_draft.h"
#include "file/gguf_value.h"

#include "base/reader.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 3, ALIGNMENT = 32 };

void gguf_draft_init(struct gguf_draft *d, struct memory *m, const char *path)
{
    *d = (struct gguf_draft){.gguf = {.memory = m, .path = path},
                             .values = {.memory = m, .size = sizeof(struct gguf_value)},
                             .tensors = {.memory = m, .size = sizeof(struct gguf_tensor)},
                             .kept = {.memory = m, .size = sizeof(void *)}};
    gguf_put_size(d, "general.alignment", ALIGNMENT);
}

void gguf_draft_free(struct gguf_draft *d)
{
    for (size_t i = 0; i < d->kept.count; i++) mem_free(d->gguf.memory, ((void **)d->kept.items)[i]);
    list_free(&d->kept);
    list_free(&d->values);
    list_free(&d->tensors);
}

/* ---- metadata ---------------------------------------------------------------------------- */

/* A copy that lives as long as the draft; NULL: no memory. */
static const char *keep(struct gguf_draft *d, const void *bytes, size_t length)
{
    void **place = list_add(&d->kept);
    char *copy = place ? mem_text(d->gguf.memory, bytes, length) : NULL;
    if (place) *place = copy;
    d->failed |= !copy;
    return copy;
}

static struct gguf_string keep_text(struct gguf_draft *d, const char *text)
{
    return (struct gguf_string){keep(d, text, strlen(text)), strlen(text)};
}

static void put_value(struct gguf_draft *d, const char *key, struct gguf_value value)
{
    value.key = keep_text(d, key);
    struct gguf_value *v = list_add(&d->values);
    if (v)
        *v = value;
    else
        d->failed = true;
}

void gguf_put_size(struct gguf_draft *d, const char *key, size_t value)
{
    d->failed |= value > INT64_MAX;
    put_value(d, key,
              (struct gguf_value){.type = value > UINT32_MAX ? GGUF_U64 : GGUF_U32, .as.integer = (int64_t)value});
}

void gguf_put_float(struct gguf_draft *d, const char *key, double value)
{
    put_value(d, key, (struct gguf_value){.type = GGUF_F32, .as.real = (double)(float)value});
}

void gguf_put_bool(struct gguf_draft *d, const char *key, bool value)
{
    put_value(d, key, (struct gguf_value){.type = GGUF_BOOL, .as.integer = value});
}

void gguf_put_text(struct gguf_draft *d, const char *key, const char *text)
{
    put_value(d, key, (struct gguf_value){.type = GGUF_STRING, .as.string = keep_text(d, text)});
}

void gguf_put_array(struct gguf_draft *d, const char *key, enum gguf_type type, size_t count, const void *bytes,
                    size_t size)
{
    struct gguf_value v = {.type = GGUF_ARRAY};
    v.as.array.type = type;
    v.as.array.count = count;
    v.as.array.data = (const uint8_t *)keep(d, size ? bytes : "", size);
    v.as.array.bytes = size;
    put_value(d, key, v);
}

/* ---- numbers as in the file ------------------------------------------------------------------ */

static void add_bits(struct text *out, uint64_t bits, size_t bytes)
{
    uint8_t little[8];
    for (size_t i = 0; i < bytes; i++) little[i] = (uint8_t)(bits >> 8 * i);
    text_add(out, little, bytes);
}

void gguf_add_string(struct text *array, const char *bytes, size_t length)
{
    add_bits(array, length, 8);
    text_add(array, bytes, length);
}

/* ---- tensors ----------------------------------------------------------------------------- */

static bool measure(struct gguf_tensor *t)
{
    size_t block, block_bytes, bytes;
    const char *name;
    if (!gguf_type_size(t->type, &block, &block_bytes, &name) || t->shape[0] % block) return false;
    bytes = t->shape[0] / block;
    for (size_t i = 1; i < t->dims; i++)
        if (!size_mul(bytes, t->shape[i], &bytes)) return false;
    return size_mul(bytes, block_bytes, &t->bytes);
}

size_t gguf_put_tensor(struct gguf_draft *d, const char *name, uint32_t type, size_t dims, const size_t *shape)
{
    struct gguf_tensor t = {.name = keep_text(d, name), .type = type, .dims = dims, .shape = {1, 1, 1, 1}};
    for (size_t i = 0; i < dims && i < 4; i++) t.shape[i] = shape[i];
    struct gguf_tensor *added = list_add(&d->tensors);
    d->failed |= !added || dims < 1 || dims > 4 || !measure(&t);
    if (added) *added = t;
    return d->tensors.count - 1;
}

/* ---- checking ---------------------------------------------------------------------------- */

static lorac_status check_name(const struct gguf_draft *d, struct gguf_string name, lorac_error *err)
{
    bool plain = name.length > 0 && !memchr(name.data, 0, name.length);
    for (size_t at = 0, n; plain && at < name.length; at += n) {
        n = utf8_length((const uint8_t *)name.data + at, name.length - at);
        plain = n > 0;
    }
    return plain ? LORAC_OK : fail(err, LORAC_FORMAT, d->gguf.path, "a name to be written is empty or not UTF-8");
}

lorac_status gguf_draft_check(struct gguf_draft *d, lorac_error *err)
{
    struct gguf *g = &d->gguf;
    if (d->failed) return fail(err, LORAC_OUT_OF_MEMORY, g->path, "a GGUF's tables do not fit into memory");
    g->values = d->values.items;
    g->value_count = d->values.count;
    g->tensors = d->tensors.items;
    g->tensor_count = d->tensors.count;
    for (size_t i = 0; i < g->value_count; i++) TRY(check_name(d, g->values[i].key, err));
    for (size_t i = 0; i < g->tensor_count; i++) TRY(check_name(d, g->tensors[i].name, err));
    TRY(gguf_unique_keys(g, err));
    return gguf_unique_tensors(g, err);
}

/* ---- the head of the file -------------------------------------------------------------------- */

static void add_value(struct text *out, const struct gguf_value *v)
{
    float narrow = (float)v->as.real;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    gguf_add_string(out, v->key.data, v->key.length);
    add_bits(out, v->type, 4);
    if (v->type == GGUF_STRING) {
        gguf_add_string(out, v->as.string.data, v->as.string.length);
    } else if (v->type == GGUF_ARRAY) {
        add_bits(out, v->as.array.type, 4);
        add_bits(out, v->as.array.count, 8);
        text_add(out, v->as.array.data, v->as.array.bytes);
    } else {
        add_bits(out, v->type == GGUF_F32 ? bits : (uint64_t)v->as.integer, gguf_value_size(v->type));
    }
}

static size_t aligned(size_t at)
{
    return (at + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* places: from the start of the data. False: they do not fit into one file. */
static bool lay_out(const struct gguf *g, size_t *places, size_t *end)
{
    *end = 0;
    for (size_t i = 0; i < g->tensor_count; i++) {
        places[i] = *end;
        if (!size_add(*end, g->tensors[i].bytes, end) || *end > (size_t)INT64_MAX / 2) return false;
        *end = aligned(*end);
    }
    return true;
}

static void print_head(const struct gguf *g, const size_t *places, struct text *out)
{
    text_add(out, "GGUF", 4);
    add_bits(out, VERSION, 4);
    add_bits(out, g->tensor_count, 8);
    add_bits(out, g->value_count, 8);
    for (size_t i = 0; i < g->value_count; i++) add_value(out, &g->values[i]);
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        gguf_add_string(out, t->name.data, t->name.length);
        add_bits(out, t->dims, 4);
        for (size_t k = 0; k < t->dims; k++) add_bits(out, t->shape[k], 8);
        add_bits(out, t->type, 4);
        add_bits(out, places[i], 8);
    }
    while (out->length % ALIGNMENT && !out->failed) text_add(out, "", 1);
}

static lorac_status open_laid_out(const struct gguf *g, const char *path, size_t end, struct tensor_writer *w,
                                  lorac_error *err)
{
    struct text head = {.memory = g->memory};
    print_head(g, w->places, &head);
    lorac_status status =
        head.failed ? fail_memory(err, "a GGUF's head", head.length) : os_writer_open(g->memory, path, &w->file, err);
    if (status == LORAC_OK) {
        os_writer_write(&w->file, head.data, head.length);
        if (end) os_writer_put(&w->file, head.length + end - 1, "", 1); /* the last tensor, too, ends aligned */
        for (size_t i = 0; i < g->tensor_count; i++) w->places[i] += head.length;
    }
    text_free(&head);
    return status;
}

lorac_status gguf_writer_open(struct gguf_draft *d, const char *path, struct tensor_writer *w, lorac_error *err)
{
    const struct gguf *g = &d->gguf;
    size_t end;
    *w = (struct tensor_writer){.file = {.handle = -1, .memory = g->memory}};
    TRY(gguf_draft_check(d, err));
    w->places = mem_array(g->memory, g->tensor_count, sizeof *w->places);
    if (!w->places) return fail_memory(err, "a tensor table", g->tensor_count);
    lorac_status status = lay_out(g, w->places, &end)
                              ? open_laid_out(g, path, end, w, err)
                              : fail(err, LORAC_UNSUPPORTED, path, "the tensors are too large for one file");
    if (status != LORAC_OK) mem_free(g->memory, w->places);
    return status;
}

/* gguf.c — opening one GGUF file: every count, length and offset checked against the bytes there are. See gguf.h.
 *
 * Format: the GGUF specification in ggml's docs. Version 2 differs from 3 only in saying nothing about byte order.
 * Owns: the walk over header, metadata and tensor table. Refuses: version 1, big-endian files, arrays of arrays.
 * Access to what was found is gguf_get.c, models of several files are gguf_split.c. */
#include "file/gguf_value.h"
#include "base/reader.h"
#include "file/foreign.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_ALIGNMENT = 32, LEAST_VALUE = 8 + 4 + 1, LEAST_TENSOR = 8 + 4 + 8 + 4 + 8 }; /* bytes in the file */

struct parse {
    struct gguf *g;
    struct reader r;
    const char *path; /* for errors; may be NULL */
    lorac_error *err;
};

#define SHOW(string) (int)((string).length < 200 ? (string).length : 200), (string).data /* for "%.*s" */

static lorac_status fail_short(struct parse *p, const char *what)
{
    return fail(p->err, LORAC_FORMAT, p->path, "the file ends inside %s (it has %zu bytes); was it copied whole?", what,
                p->r.size);
}

static lorac_status read_string(struct parse *p, const char *what, struct gguf_string *string)
{
    uint64_t length = reader_u64(&p->r);
    if (length > reader_left(&p->r)) return fail_short(p, what);
    string->length = (size_t)length;
    string->data = (const char *)reader_take(&p->r, string->length);
    return p->r.failed ? fail_short(p, what) : LORAC_OK;
}

static lorac_status read_name(struct parse *p, const char *what, struct gguf_string *name)
{
    TRY(read_string(p, what, name));
    if (!name->length) return fail(p->err, LORAC_FORMAT, p->path, "%s before byte %zu is empty", what, p->r.at);
    for (size_t at = 0, n; at < name->length; at += n) {
        n = utf8_length((const uint8_t *)name->data + at, name->length - at);
        if (!n || !name->data[at])
            return fail(p->err, LORAC_FORMAT, p->path, "%s before byte %zu is not UTF-8", what, p->r.at);
    }
    return LORAC_OK;
}

/* ---- metadata ---------------------------------------------------------------------------- */

static lorac_status read_array(struct parse *p, struct gguf_value *v)
{
    v->as.array.type = reader_u32(&p->r);
    uint64_t count = reader_u64(&p->r);
    size_t size = gguf_value_size(v->as.array.type), start = p->r.at;
    if (p->r.failed) return fail_short(p, "an array");
    if (v->as.array.type == GGUF_ARRAY)
        return fail(p->err, LORAC_UNSUPPORTED, p->path, "\"%.*s\" is an array of arrays", SHOW(v->key));
    if (!size)
        return fail(p->err, LORAC_FORMAT, p->path, "\"%.*s\" is an array of unknown type %u", SHOW(v->key),
                    (unsigned)v->as.array.type);
    if (count > reader_left(&p->r) / size)
        return fail(p->err, LORAC_FORMAT, p->path, "\"%.*s\" claims %" PRIu64 " elements, more than the file holds",
                    SHOW(v->key), count);
    if (v->as.array.type == GGUF_STRING) {
        struct gguf_string skipped;
        for (uint64_t i = 0; i < count; i++) TRY(read_string(p, "an array of strings", &skipped));
    } else {
        reader_take(&p->r, (size_t)count * size);
    }
    v->as.array.count = (size_t)count;
    v->as.array.data = p->r.data + start;
    v->as.array.bytes = p->r.at - start;
    return LORAC_OK;
}

static lorac_status read_scalar(struct parse *p, struct gguf_value *v)
{
    const uint8_t *bytes = reader_take(&p->r, gguf_value_size(v->type));
    if (!bytes) return fail_short(p, "the metadata");
    if (v->type == GGUF_F32 || v->type == GGUF_F64) {
        v->as.real = gguf_read_real(v->type, bytes);
        return LORAC_OK;
    }
    v->as.integer = gguf_read_integer(v->type, bytes);
    if (v->type == GGUF_U64 && v->as.integer < 0)
        return fail(p->err, LORAC_FORMAT, p->path, "\"%.*s\" is over 2^63 - 1", SHOW(v->key));
    if (v->type == GGUF_BOOL && v->as.integer > 1)
        return fail(p->err, LORAC_FORMAT, p->path, "\"%.*s\" is a bool of value %d", SHOW(v->key), (int)v->as.integer);
    return LORAC_OK;
}

static lorac_status read_value(struct parse *p, struct gguf_value *v)
{
    TRY(read_name(p, "a metadata key", &v->key));
    v->type = reader_u32(&p->r);
    if (p->r.failed) return fail_short(p, "the metadata");
    if (v->type == GGUF_STRING) return read_string(p, "a metadata string", &v->as.string);
    if (v->type == GGUF_ARRAY) return read_array(p, v);
    if (gguf_value_size(v->type)) return read_scalar(p, v);
    return fail(p->err, LORAC_FORMAT, p->path, "\"%.*s\" has unknown type %u", SHOW(v->key), (unsigned)v->type);
}

static lorac_status read_alignment(struct parse *p, size_t *alignment)
{
    *alignment = DEFAULT_ALIGNMENT;
    TRY(gguf_get_size(p->g, "general.alignment", DEFAULT_ALIGNMENT, alignment, p->err));
    if (*alignment >= 8 && *alignment <= 1u << 30 && (*alignment & (*alignment - 1)) == 0) return LORAC_OK;
    return fail(p->err, LORAC_FORMAT, p->path, "general.alignment is %zu, it should be a power of two from 8",
                *alignment);
}

/* ---- the tensor table -------------------------------------------------------------------- */

static lorac_status check_shape(struct parse *p, struct gguf_tensor *t)
{
    size_t block, block_bytes, blocks = 1;
    const char *name;
    if (!gguf_type_size(t->type, &block, &block_bytes, &name))
        return fail(p->err, LORAC_UNSUPPORTED, p->path, "tensor \"%.*s\" has type %u, which lorac does not know",
                    SHOW(t->name), (unsigned)t->type);
    if (t->shape[0] % block)
        return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.*s\" has rows of %zu, no multiple of the %zu of %s",
                    SHOW(t->name), t->shape[0], block, name);
    bool fits = true;
    for (size_t i = 0; i < t->dims; i++) {
        fits = fits && t->shape[i] && size_mul(blocks, i ? t->shape[i] : t->shape[0] / block, &blocks);
    }
    if (fits && size_mul(blocks, block_bytes, &t->bytes)) return LORAC_OK;
    return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.*s\" has an impossible shape", SHOW(t->name));
}

/* `data` holds the offset until the table's end, and with it the data's start, is known. */
static lorac_status read_tensor(struct parse *p, struct gguf_tensor *t, uint64_t *offset)
{
    TRY(read_name(p, "a tensor's name", &t->name));
    t->dims = reader_u32(&p->r);
    if (!p->r.failed && (t->dims < 1 || t->dims > 4))
        return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.*s\" has %zu dimensions, 1 to 4 are possible",
                    SHOW(t->name), t->dims);
    for (size_t i = 0; i < 4; i++) {
        uint64_t size = i < t->dims ? reader_u64(&p->r) : 1;
        t->shape[i] = size <= SIZE_MAX ? (size_t)size : 0;
    }
    t->type = reader_u32(&p->r);
    *offset = reader_u64(&p->r);
    return p->r.failed ? fail_short(p, "the tensor table") : check_shape(p, t);
}

static lorac_status place_tensor(struct parse *p, struct gguf_tensor *t, uint64_t offset, size_t start,
                                 size_t alignment)
{
    size_t room = p->r.size > start ? p->r.size - start : 0;
    if (offset % alignment)
        return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.*s\" at offset %" PRIu64 " is not aligned to %zu",
                    SHOW(t->name), offset, alignment);
    if (offset > room || t->bytes > room - (size_t)offset)
        return fail(p->err, LORAC_FORMAT, p->path,
                    "tensor \"%.*s\" (offset %" PRIu64
                    ", %zu bytes) ends behind the file's %zu bytes; was it copied whole?",
                    SHOW(t->name), offset, t->bytes, p->r.size);
    t->data = p->r.data + start + (size_t)offset;
    return LORAC_OK;
}

static lorac_status read_tensors(struct parse *p)
{
    struct gguf *g = p->g;
    size_t alignment, start;
    TRY(read_alignment(p, &alignment));
    uint64_t *offsets = mem_array(g->memory, g->tensor_count, sizeof *offsets);
    if (!offsets) return fail_memory(p->err, "a tensor table", g->tensor_count);
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < g->tensor_count && status == LORAC_OK; i++)
        status = read_tensor(p, &g->tensors[i], &offsets[i]);
    start = (p->r.at + alignment - 1) & ~(alignment - 1);
    for (size_t i = 0; i < g->tensor_count && status == LORAC_OK; i++)
        status = place_tensor(p, &g->tensors[i], offsets[i], start, alignment);
    mem_free(g->memory, offsets);
    return status;
}

/* ---- uniqueness and overlap -------------------------------------------------------------- */

static int compare_strings(const void *a, const void *b)
{
    const struct gguf_string *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* `names` are `count` gguf_strings, one every `stride` bytes. */
static lorac_status check_unique(const struct gguf *g, const void *names, size_t count, size_t stride, const char *what,
                                 lorac_error *err)
{
    struct memory *m = g->memory;
    struct gguf_string *sorted = mem_array(m, count, sizeof *sorted);
    if (!sorted) return fail_memory(err, "a table of names", count * sizeof *sorted);
    for (size_t i = 0; i < count; i++) memcpy(&sorted[i], (const char *)names + i * stride, sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_strings);
    lorac_status status = LORAC_OK;
    for (size_t i = 1; i < count && status == LORAC_OK; i++)
        if (compare_strings(&sorted[i - 1], &sorted[i]) == 0)
            status = fail(err, LORAC_FORMAT, g->path, "%s \"%.*s\" stands there twice", what, SHOW(sorted[i]));
    mem_free(m, sorted);
    return status;
}

lorac_status gguf_unique_keys(const struct gguf *g, lorac_error *err)
{
    return check_unique(g, &g->values[0].key, g->value_count, sizeof *g->values, "metadata key", err);
}

lorac_status gguf_unique_tensors(const struct gguf *g, lorac_error *err)
{
    return check_unique(g, &g->tensors[0].name, g->tensor_count, sizeof *g->tensors, "tensor", err);
}

static int compare_places(const void *a, const void *b)
{
    const uint8_t *x = (*(const struct gguf_tensor *const *)a)->data,
                  *y = (*(const struct gguf_tensor *const *)b)->data;
    return (x > y) - (x < y);
}

static lorac_status check_overlap(struct parse *p)
{
    struct gguf *g = p->g;
    const struct gguf_tensor **sorted = mem_array(g->memory, g->tensor_count, sizeof *sorted);
    if (!sorted) return fail_memory(p->err, "a tensor table", g->tensor_count * sizeof *sorted);
    for (size_t i = 0; i < g->tensor_count; i++) sorted[i] = &g->tensors[i];
    qsort(sorted, g->tensor_count, sizeof *sorted, compare_places);
    lorac_status status = LORAC_OK;
    for (size_t i = 1; i < g->tensor_count && status == LORAC_OK; i++)
        if (sorted[i - 1]->data + sorted[i - 1]->bytes > sorted[i]->data)
            status = fail(p->err, LORAC_FORMAT, p->path, "tensors \"%.*s\" and \"%.*s\" overlap",
                          SHOW(sorted[i - 1]->name), SHOW(sorted[i]->name));
    mem_free(g->memory, sorted);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------- */

static lorac_status read_version(struct parse *p)
{
    const uint8_t *magic = reader_take(&p->r, 4);
    uint32_t version = reader_u32(&p->r);
    if (!magic || memcmp(magic, "GGUF", 4) != 0) {
        const char *foreign = file_foreign(p->path);
        return fail(p->err, LORAC_FORMAT, p->path, "is %s",
                    foreign ? foreign : "no GGUF file: it does not begin with \"GGUF\"");
    }
    if (p->r.failed) return fail_short(p, "the header");
    if (version == 2 || version == 3) return LORAC_OK;
    bool swapped = version && !(version & 0xFFFF);
    return fail(p->err, LORAC_UNSUPPORTED, p->path, "%s (version %u); convert the model again",
                swapped ? "is a big-endian GGUF file" : "is not of GGUF version 2 or 3", (unsigned)version);
}

/* The tables are allocated only after their counts were held against the bytes that are left. */
static lorac_status read_counts(struct parse *p)
{
    struct gguf *g = p->g;
    uint64_t tensors = reader_u64(&p->r), values = reader_u64(&p->r);
    size_t left = reader_left(&p->r);
    if (p->r.failed) return fail_short(p, "the header");
    if (tensors > left / LEAST_TENSOR || values > left / LEAST_VALUE)
        return fail(p->err, LORAC_FORMAT, p->path,
                    "claims %" PRIu64 " tensors and %" PRIu64 " metadata values, more than its %zu bytes hold", tensors,
                    values, p->r.size);
    g->tensors = mem_array(g->memory, (size_t)tensors, sizeof *g->tensors);
    g->values = mem_array(g->memory, (size_t)values, sizeof *g->values);
    if (!g->tensors || !g->values) return fail_memory(p->err, "a tensor table", left);
    g->tensor_count = (size_t)tensors;
    g->value_count = (size_t)values;
    return LORAC_OK;
}

static lorac_status read_all(struct parse *p)
{
    struct gguf *g = p->g;
    TRY(read_version(p));
    TRY(read_counts(p));
    for (size_t i = 0; i < g->value_count; i++) TRY(read_value(p, &g->values[i]));
    TRY(gguf_unique_keys(g, p->err));
    TRY(read_tensors(p));
    TRY(gguf_unique_tensors(g, p->err));
    return check_overlap(p);
}

lorac_status gguf_open_bytes(struct memory *m, const uint8_t *bytes, size_t size, struct gguf *g, lorac_error *err)
{
    *g = (struct gguf){.memory = m};
    struct parse p = {.g = g, .r = {.data = bytes, .size = size}, .err = err};
    lorac_status status = read_all(&p);
    if (status != LORAC_OK) gguf_close(g);
    return status;
}

static lorac_status open_file(struct gguf *g, const char *path, bool map, lorac_error *err)
{
    g->path = mem_text(g->memory, path, strlen(path));
    g->files = mem_array(g->memory, 1, sizeof *g->files);
    if (!g->path || !g->files) return fail_memory(err, "a path", strlen(path));
    TRY(os_file_open(g->memory, path, map, g->files, err));
    g->file_count = 1;
    struct parse p = {.g = g, .r = {.data = g->files->data, .size = g->files->size}, .path = path, .err = err};
    return read_all(&p);
}

lorac_status gguf_open_part(struct memory *m, const char *path, bool map, struct gguf *g, lorac_error *err)
{
    *g = (struct gguf){.memory = m};
    lorac_status status = open_file(g, path, map, err);
    if (status != LORAC_OK) gguf_close(g);
    return status;
}

void gguf_close(struct gguf *g)
{
    mem_free(g->memory, g->tensors);
    mem_free(g->memory, g->values);
    mem_free(g->memory, (char *)g->path);
    for (size_t i = 0; i < g->file_count; i++) os_file_close(&g->files[i]);
    mem_free(g->memory, g->files);
    *g = (struct gguf){.memory = g->memory};
}

bool gguf_is(const char *path)
{
    struct memory own = {0};
    struct os_file file;
    if (os_file_open(&own, path, true, &file, NULL) != LORAC_OK) return false;
    bool is = file.size >= 4 && memcmp(file.data, "GGUF", 4) == 0;
    os_file_close(&file);
    return is;
}

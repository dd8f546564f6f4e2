/* safetensors.c — opening safetensors files. See safetensors.h; the writer is safetensors_write.c.
 *
 * Format: 8 bytes of header length, a JSON header {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...,
 * "__metadata__": {text: text}}, then the data, to which the offsets are relative.
 * Owns: the checks. Refuses: dtypes that are not in the table, more than 8 dimensions. */
#include "file/safetensors.h"
#include "base/json.h"
#include "base/reader.h"
#include "file/foreign.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_CAP = 100 * 1000 * 1000, DIMS_CAP = 8 };

static const struct dtype {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [ST_BOOL] = {"BOOL", 1},       [ST_U8] = {"U8", 1},   [ST_I8] = {"I8", 1},   [ST_F8_E5M2] = {"F8_E5M2", 1},
    [ST_F8_E4M3] = {"F8_E4M3", 1}, [ST_I16] = {"I16", 2}, [ST_U16] = {"U16", 2}, [ST_F16] = {"F16", 2},
    [ST_BF16] = {"BF16", 2},       [ST_I32] = {"I32", 4}, [ST_U32] = {"U32", 4}, [ST_F32] = {"F32", 4},
    [ST_F64] = {"F64", 8},         [ST_I64] = {"I64", 8}, [ST_U64] = {"U64", 8},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

const char *st_dtype_name(enum st_dtype dtype)
{
    return dtypes[dtype].name;
}
size_t st_dtype_bytes(enum st_dtype dtype)
{
    return dtypes[dtype].bytes;
}

struct parse {
    struct safetensors *s;
    const uint8_t *data; /* behind the header */
    size_t data_size;
    const char *path; /* for errors; may be NULL */
    lorac_error *err;
};

/* ---- one tensor -------------------------------------------------------------------------- */

static bool read_size(const json_t *value, size_t *size)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *size = (size_t)json_integer_value(value);
    return true;
}

static lorac_status read_dtype(struct parse *p, const json_t *entry, struct st_tensor *t)
{
    const char *name;
    TRY(json_get_text(entry, "dtype", "", &name, p->path, p->err));
    for (int i = 0; i < DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        t->dtype = (enum st_dtype)i;
        return LORAC_OK;
    }
    return fail(p->err, LORAC_UNSUPPORTED, p->path, "tensor \"%.200s\" has dtype \"%.40s\", which lorac does not know",
                t->name, name);
}

/* The shape and the bytes that it means. */
static lorac_status read_shape(struct parse *p, const json_t *entry, struct st_tensor *t)
{
    const json_t *shape = json_object_get(entry, "shape");
    t->dims = json_array_size(shape);
    if (!json_is_array(shape) || t->dims > DIMS_CAP)
        return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.200s\" has no shape of at most %d dimensions", t->name,
                    DIMS_CAP);
    t->bytes = st_dtype_bytes(t->dtype);
    for (size_t i = 0; i < t->dims; i++)
        if (!read_size(json_array_get(shape, i), &t->shape[i]) || !size_mul(t->bytes, t->shape[i], &t->bytes))
            return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.200s\" has an impossible shape", t->name);
    return LORAC_OK;
}

static lorac_status read_range(struct parse *p, const json_t *entry, struct st_tensor *t)
{
    const json_t *range = json_object_get(entry, "data_offsets");
    size_t begin, end;
    if (json_array_size(range) != 2 || !read_size(json_array_get(range, 0), &begin) ||
        !read_size(json_array_get(range, 1), &end) || begin > end)
        return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.200s\" has no valid data_offsets", t->name);
    if (end > p->data_size)
        return fail(p->err, LORAC_FORMAT, p->path,
                    "tensor \"%.200s\" ends at byte %zu of the data, which has %zu; was the file copied whole?",
                    t->name, end, p->data_size);
    if (end - begin != t->bytes)
        return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.200s\" has %zu bytes, its shape means %zu", t->name,
                    end - begin, t->bytes);
    t->data = p->data + begin;
    return LORAC_OK;
}

static lorac_status read_tensor(struct parse *p, const char *name, const json_t *entry, struct st_tensor *t)
{
    t->name = mem_text(p->s->memory, name, strlen(name));
    if (!t->name) return fail_memory(p->err, "a tensor's name", strlen(name));
    if (!json_is_object(entry)) return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.200s\" is no JSON object", name);
    TRY(read_dtype(p, entry, t));
    TRY(read_shape(p, entry, t));
    return read_range(p, entry, t);
}

/* ---- the header -------------------------------------------------------------------------- */

static lorac_status read_metadata(struct parse *p, const json_t *map)
{
    struct safetensors *s = p->s;
    const char *key;
    json_t *value;
    if (!map || json_is_null(map)) return LORAC_OK; /* mlx writes null */
    if (!json_is_object(map)) return fail(p->err, LORAC_FORMAT, p->path, "__metadata__ is no JSON object");
    s->metadata = mem_array(s->memory, json_object_size(map), 2 * sizeof *s->metadata);
    if (!s->metadata) return fail_memory(p->err, "metadata", json_object_size(map));
    json_object_foreach((json_t *)map, key, value)
    {
        const char *text;
        TRY(json_get_text(map, key, NULL, &text, p->path, p->err));
        if (!text) return fail(p->err, LORAC_FORMAT, p->path, "__metadata__ \"%.200s\" is null", key);
        char **pair = s->metadata + 2 * s->metadata_count++;
        pair[0] = mem_text(s->memory, key, strlen(key));
        pair[1] = mem_text(s->memory, text, strlen(text));
        if (!pair[0] || !pair[1]) return fail_memory(p->err, "metadata", strlen(text));
    }
    return LORAC_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones first */
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

/* Every byte of the data belongs to exactly one tensor. */
static lorac_status check_places(struct parse *p)
{
    struct safetensors *s = p->s;
    size_t covered = 0;
    if (s->count) qsort(s->tensors, s->count, sizeof *s->tensors, compare_places);
    for (size_t i = 0; i < s->count; i++) {
        size_t begin = (size_t)(s->tensors[i].data - p->data);
        if (begin != covered)
            return fail(p->err, LORAC_FORMAT, p->path, "tensor \"%.200s\" begins at byte %zu of the data: %s before it",
                        s->tensors[i].name, begin, begin < covered ? "it overlaps the one" : "a hole is");
        covered += s->tensors[i].bytes;
    }
    if (covered == p->data_size) return LORAC_OK;
    return fail(p->err, LORAC_FORMAT, p->path, "holds %zu bytes behind the last tensor", p->data_size - covered);
}

static lorac_status read_tensors(struct parse *p, json_t *header)
{
    struct safetensors *s = p->s;
    const char *name;
    json_t *entry;
    if (!json_is_object(header)) return fail(p->err, LORAC_FORMAT, p->path, "the header is no JSON object");
    TRY(read_metadata(p, json_object_get(header, "__metadata__")));
    s->tensors = mem_array(s->memory, json_object_size(header), sizeof *s->tensors);
    if (!s->tensors) return fail_memory(p->err, "a tensor table", json_object_size(header) * sizeof *s->tensors);
    json_object_foreach(header, name, entry) if (strcmp(name, "__metadata__") != 0)
        TRY(read_tensor(p, name, entry, &s->tensors[s->count++]));
    TRY(check_places(p));
    if (s->count) qsort(s->tensors, s->count, sizeof *s->tensors, compare_names);
    return LORAC_OK;
}

static lorac_status read_all(struct parse *p, const uint8_t *bytes, size_t size)
{
    struct reader r = {.data = bytes, .size = size};
    uint64_t length = reader_u64(&r);
    const char *foreign = r.failed || length > HEADER_CAP ? file_foreign(p->path) : NULL;
    if (foreign) return fail(p->err, LORAC_FORMAT, p->path, "is %s", foreign);
    if (r.failed) return fail(p->err, LORAC_FORMAT, p->path, "is no safetensors file: it has only %zu bytes", size);
    if (length > HEADER_CAP || length > reader_left(&r))
        return fail(p->err, LORAC_FORMAT, p->path,
                    "is no whole safetensors file: it claims a header of %" PRIu64 " bytes and has %zu", length, size);
    const char *text = (const char *)reader_take(&r, (size_t)length);
    if (!length || *text != '{')
        return fail(p->err, LORAC_FORMAT, p->path, "is no safetensors file: the header does not begin with {");
    p->data = bytes + r.at;
    p->data_size = reader_left(&r);
    json_t *header;
    TRY(json_read_unique(p->s->memory, text, (size_t)length, p->path, &header, p->err));
    lorac_status status = read_tensors(p, header);
    json_decref(header);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------- */

lorac_status safetensors_open_bytes(struct memory *m, const uint8_t *bytes, size_t size, struct safetensors *s,
                                    lorac_error *err)
{
    *s = (struct safetensors){.memory = m};
    struct parse p = {.s = s, .err = err};
    lorac_status status = read_all(&p, bytes, size);
    if (status != LORAC_OK) safetensors_close(s);
    return status;
}

lorac_status safetensors_open(struct memory *m, const char *path, bool map, struct safetensors *s, lorac_error *err)
{
    *s = (struct safetensors){.memory = m};
    TRY(os_file_open(m, path, map, &s->file, err));
    s->path = mem_text(m, path, strlen(path));
    struct parse p = {.s = s, .path = path, .err = err};
    lorac_status status = s->path ? read_all(&p, s->file.data, s->file.size) : fail_memory(err, "a path", strlen(path));
    if (status != LORAC_OK) safetensors_close(s);
    return status;
}

void safetensors_close(struct safetensors *s)
{
    for (size_t i = 0; i < s->count; i++) mem_free(s->memory, s->tensors[i].name);
    for (size_t i = 0; i < 2 * s->metadata_count; i++) mem_free(s->memory, s->metadata[i]);
    mem_free(s->memory, s->tensors);
    mem_free(s->memory, s->metadata);
    mem_free(s->memory, s->path);
    if (s->file.data) os_file_close(&s->file);
    *s = (struct safetensors){.memory = s->memory};
}

const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct st_tensor wanted = {.name = (char *)name};
    return s->count ? bsearch(&wanted, s->tensors, s->count, sizeof wanted, compare_names) : NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->metadata_count; i++)
        if (strcmp(s->metadata[2 * i], key) == 0) return s->metadata[2 * i + 1];
    return NULL;
}

/* safetensors_write.c — writing safetensors files, reproducibly. See safetensors.h.
 *
 * Owns: order, header and padding. Refuses names and metadata that are not UTF-8 or stand there twice. */
#include "file/safetensors.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

struct writing {
    struct memory *memory;
    const char *path;
    const struct st_tensor **sorted;
    size_t count;
    lorac_error *err;
};

static int compare_tensors(const void *a, const void *b)
{
    const struct st_tensor *x = *(const struct st_tensor *const *)a, *y = *(const struct st_tensor *const *)b;
    size_t wide_x = st_dtype_bytes(x->dtype), wide_y = st_dtype_bytes(y->dtype);
    return wide_x != wide_y ? (wide_x < wide_y ? 1 : -1) : strcmp(x->name, y->name);
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- the header -------------------------------------------------------------------------- */

/* Sets a key that must be new; takes over `value`, which may be NULL after a failure. */
static lorac_status set_new(struct writing *w, json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return fail(w->err, LORAC_INVALID_ARGUMENT, w->path, "\"%.200s\" is to be written twice", key);
    }
    if (value && json_object_set_new(object, key, value) == 0) return LORAC_OK; /* it takes over in any case */
    return fail(w->err, LORAC_INVALID_ARGUMENT, w->path, "\"%.200s\" cannot be written: is it UTF-8?", key);
}

static lorac_status add_metadata(struct writing *w, json_t *header, const char *const *metadata, size_t pairs)
{
    if (!pairs) return LORAC_OK;
    const char **sorted = mem_array(w->memory, pairs, 2 * sizeof *sorted);
    if (!sorted) return fail_memory(w->err, "metadata", pairs);
    memcpy(sorted, metadata, pairs * 2 * sizeof *sorted);
    qsort(sorted, pairs, 2 * sizeof *sorted, compare_pairs);
    json_t *map = json_object();
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < pairs && status == LORAC_OK; i++)
        status = set_new(w, map, sorted[2 * i], json_string(sorted[2 * i + 1]));
    mem_free(w->memory, sorted);
    if (status == LORAC_OK) return set_new(w, header, "__metadata__", map);
    json_decref(map);
    return status;
}

static lorac_status check_tensor(struct writing *w, const struct st_tensor *t)
{
    size_t bytes = st_dtype_bytes(t->dtype);
    bool fits = t->dims <= 8;
    for (size_t i = 0; fits && i < t->dims; i++) fits = size_mul(bytes, t->shape[i], &bytes);
    if (!fits || bytes != t->bytes)
        return fail(w->err, LORAC_INVALID_ARGUMENT, w->path, "tensor \"%.200s\" has %zu bytes, its shape means %zu",
                    t->name, t->bytes, bytes);
    if (strcmp(t->name, "__metadata__") == 0)
        return fail(w->err, LORAC_INVALID_ARGUMENT, w->path, "no tensor may be called __metadata__");
    return LORAC_OK;
}

static lorac_status add_tensors(struct writing *w, json_t *header)
{
    size_t offset = 0, end;
    for (size_t i = 0; i < w->count; i++, offset = end) {
        const struct st_tensor *t = w->sorted[i];
        TRY(check_tensor(w, t));
        if (!size_add(offset, t->bytes, &end) || end > INT64_MAX)
            return fail(w->err, LORAC_INVALID_ARGUMENT, w->path, "the tensors are too large for one file");
        json_t *shape = json_array();
        for (size_t k = 0; k < t->dims; k++) json_array_append_new(shape, json_integer((json_int_t)t->shape[k]));
        TRY(set_new(w, header, t->name,
                    json_pack("{s:s, s:o, s:[I, I]}", "dtype", st_dtype_name(t->dtype), "shape", shape, "data_offsets",
                              (json_int_t)offset, (json_int_t)end)));
    }
    return LORAC_OK;
}

static lorac_status print_header(struct writing *w, const char *const *metadata, size_t pairs, struct text *out)
{
    json_t *header = json_object();
    lorac_status status = header ? add_metadata(w, header, metadata, pairs) : fail_memory(w->err, "a header", 0);
    if (status == LORAC_OK) status = add_tensors(w, header);
    if (status == LORAC_OK) {
        json_print(out, header, (struct json_style){.compact = true});
        while (out->length % 8 && !out->failed) text_puts(out, " ");
        if (out->failed) status = fail_memory(w->err, "a header", out->length);
    }
    json_decref(header);
    return status;
}

/* ---- the file ---------------------------------------------------------------------------- */

static void write_header(struct os_writer *out, const struct text *header)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header->length >> (8 * i));
    os_writer_write(out, length, sizeof length);
    os_writer_write(out, header->data, header->length);
}

static void find_places(const struct writing *w, const struct st_tensor *tensors, size_t data, size_t *places)
{
    for (size_t i = 0; i < w->count; data += w->sorted[i++]->bytes) places[w->sorted[i] - tensors] = data;
}

lorac_status st_writer_open(struct memory *m, const char *path, const struct st_tensor *tensors, size_t count,
                            const char *const *metadata, size_t metadata_pairs, struct tensor_writer *out,
                            lorac_error *err)
{
    struct writing w = {.memory = m, .path = path, .count = count, .err = err};
    struct text header = {.memory = m};
    *out =
        (struct tensor_writer){.file = {.handle = -1, .memory = m}, .places = mem_array(m, count, sizeof *out->places)};
    w.sorted = mem_array(m, count, sizeof *w.sorted);
    lorac_status status = w.sorted && out->places ? LORAC_OK : fail_memory(err, "a tensor table", count);
    for (size_t i = 0; i < count && status == LORAC_OK; i++) w.sorted[i] = &tensors[i];
    if (count && status == LORAC_OK) qsort(w.sorted, count, sizeof *w.sorted, compare_tensors);
    if (status == LORAC_OK) status = print_header(&w, metadata, metadata_pairs, &header);
    if (status == LORAC_OK) status = os_writer_open(m, path, &out->file, err);
    if (status == LORAC_OK) {
        write_header(&out->file, &header);
        find_places(&w, tensors, 8 + header.length, out->places);
    } else
        mem_free(m, out->places);
    text_free(&header);
    mem_free(m, w.sorted);
    return status;
}

lorac_status safetensors_write(struct memory *m, const char *path, const struct st_tensor *tensors, size_t count,
                               const char *const *metadata, size_t metadata_pairs, lorac_error *err)
{
    struct tensor_writer w;
    TRY(st_writer_open(m, path, tensors, count, metadata, metadata_pairs, &w, err));
    for (size_t i = 0; i < count; i++) tensor_writer_put(&w, i, 0, tensors[i].data, tensors[i].bytes);
    return tensor_writer_commit(&w, err);
}

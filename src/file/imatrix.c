/* imatrix.c — both forms of imatrix files. See imatrix.h. */
#include "file/imatrix.h"
#include "base/reader.h"
#include "file/gguf.h"

#include <math.h>
#include <string.h>

/* The next entry, with room for its numbers. */
static lorac_status add_entry(struct imatrix *im, const char *name, size_t length, size_t cols,
                              struct imatrix_entry **added, lorac_error *err)
{
    struct imatrix_entry *e = list_add(&im->entries);
    if (!e) return fail_memory(err, "an imatrix", sizeof *e);
    e->name = mem_text(im->entries.memory, name, length);
    e->importance = mem_array(im->entries.memory, cols, sizeof *e->importance);
    e->cols = cols;
    *added = e;
    return e->name && e->importance ? LORAC_OK : fail_memory(err, "an imatrix", cols * sizeof *e->importance);
}

/* Sums over `count` inputs become means; a matrix that saw no input counts alike in all columns. */
static lorac_status set_means(struct imatrix_entry *e, const uint8_t *sums, float count, const char *file,
                              lorac_error *err)
{
    if (!(count >= 0 && isfinite(count)))
        return fail(err, LORAC_FORMAT, file, "%s: a count of inputs is negative or no number", e->name);
    memcpy(e->importance, sums, e->cols * sizeof *e->importance);
    for (size_t i = 0; i < e->cols; i++) {
        if (!(e->importance[i] >= 0 && isfinite(e->importance[i])))
            return fail(err, LORAC_FORMAT, file, "%s: column %zu is negative or no number", e->name, i);
        e->importance[i] = count > 0 ? e->importance[i] / count : 1;
    }
    return LORAC_OK;
}

/* ---- GGUF --------------------------------------------------------------------------------------- */

static const char SUMS[] = ".in_sum2", COUNTS[] = ".counts";

static bool is_vector(const struct gguf_tensor *t, size_t cols)
{
    return t->type == 0 && t->bytes == cols * sizeof(float);
}

static lorac_status counts_of(const struct gguf *g, const char *name, float *count, lorac_error *err)
{
    struct text counts = {.memory = g->memory};
    text_printf(&counts, "%s%s", name, COUNTS);
    const struct gguf_tensor *t = counts.failed ? NULL : gguf_find_tensor(g, counts.data);
    text_free(&counts);
    if (!t || !is_vector(t, 1))
        return fail(err, LORAC_FORMAT, g->path, "%s%s is missing, or holds other than one F32", name, COUNTS);
    memcpy(count, t->data, sizeof *count);
    return LORAC_OK;
}

static lorac_status read_tensor(const struct gguf *g, const struct gguf_tensor *t, struct imatrix *im, lorac_error *err)
{
    size_t length = t->name.length, end = sizeof SUMS - 1;
    struct imatrix_entry *e = NULL;
    float count;
    if (length < end || memcmp(t->name.data + length - end, SUMS, end) != 0) return LORAC_OK;
    if (!is_vector(t, t->shape[0]))
        return fail(err, LORAC_UNSUPPORTED, g->path, "%.*s holds other than one row of F32: experts are not read",
                    (int)length, t->name.data);
    TRY(add_entry(im, t->name.data, length - end, t->shape[0], &e, err));
    TRY(counts_of(g, e->name, &count, err));
    return set_means(e, t->data, count, g->path, err);
}

static lorac_status read_gguf(const struct gguf *g, struct imatrix *im, lorac_error *err)
{
    for (size_t i = 0; i < g->tensor_count; i++) TRY(read_tensor(g, &g->tensors[i], im, err));
    if (!im->entries.count) return fail(err, LORAC_FORMAT, g->path, "no imatrix: no tensor is called …%s", SUMS);
    return LORAC_OK;
}

/* ---- .dat --------------------------------------------------------------------------------------- */

static size_t count_at(struct reader *r)
{
    uint32_t n = reader_u32(r);
    r->failed |= n > INT32_MAX;
    return n;
}

static lorac_status read_entry(struct reader *r, const char *file, struct imatrix *im, lorac_error *err)
{
    size_t length = count_at(r);
    const uint8_t *name = reader_take(r, length);
    size_t calls = count_at(r), cols = count_at(r);
    const uint8_t *sums = r->failed ? NULL : reader_take(r, cols * sizeof(float));
    struct imatrix_entry *e = NULL;
    if (!name || !sums || !length || !cols || memchr(name, 0, length))
        return fail(err, LORAC_FORMAT, file, "no imatrix, or cut short: entry %zu", im->entries.count);
    TRY(add_entry(im, (const char *)name, length, cols, &e, err));
    return set_means(e, sums, (float)calls, file, err);
}

static lorac_status read_dat(struct reader *r, const char *file, struct imatrix *im, lorac_error *err)
{
    size_t entries = count_at(r);
    if (r->failed || !entries) return fail(err, LORAC_FORMAT, file, "no imatrix: neither GGUF nor a count of entries");
    while (entries--) TRY(read_entry(r, file, im, err));
    return LORAC_OK;
}

/* ---- opening ------------------------------------------------------------------------------------ */

static void begin(struct imatrix *im, struct memory *m)
{
    *im = (struct imatrix){{.memory = m, .size = sizeof(struct imatrix_entry)}};
}

static lorac_status end(struct imatrix *im, lorac_status status)
{
    if (status) imatrix_close(im);
    return status;
}

static lorac_status read_and_close(struct gguf *g, struct imatrix *im, lorac_error *err)
{
    lorac_status status = read_gguf(g, im, err);
    gguf_close(g);
    return end(im, status);
}

lorac_status imatrix_open_bytes(struct memory *m, const uint8_t *bytes, size_t size, struct imatrix *im,
                                lorac_error *err)
{
    struct reader r = {.data = bytes, .size = size};
    struct gguf g;
    begin(im, m);
    if (size < 4 || memcmp(bytes, "GGUF", 4) != 0) return end(im, read_dat(&r, NULL, im, err));
    TRY(gguf_open_bytes(m, bytes, size, &g, err));
    return read_and_close(&g, im, err);
}

lorac_status imatrix_open(struct memory *m, const char *path, struct imatrix *im, lorac_error *err)
{
    struct os_file file;
    struct gguf g;
    begin(im, m);
    if (gguf_is(path)) {
        TRY(gguf_open(m, path, true, &g, err));
        return read_and_close(&g, im, err);
    }
    TRY(os_file_open(m, path, true, &file, err));
    struct reader r = {.data = file.data, .size = file.size};
    lorac_status status = read_dat(&r, path, im, err);
    os_file_close(&file);
    return end(im, status);
}

void imatrix_close(struct imatrix *im)
{
    struct imatrix_entry *entries = im->entries.items;
    for (size_t i = 0; i < im->entries.count; i++) {
        mem_free(im->entries.memory, entries[i].name);
        mem_free(im->entries.memory, entries[i].importance);
    }
    list_free(&im->entries);
}

lorac_status imatrix_find(const struct imatrix *im, const char *tensor, size_t cols, const float **importance,
                          lorac_error *err)
{
    const struct imatrix_entry *entries = im->entries.items;
    *importance = NULL;
    for (size_t i = 0; i < im->entries.count; i++) {
        if (strcmp(entries[i].name, tensor) != 0) continue;
        if (entries[i].cols != cols)
            return fail(err, LORAC_MISMATCH, NULL,
                        "the imatrix has %zu columns of %s, which has %zu: is it of this model?", entries[i].cols,
                        tensor, cols);
        *importance = entries[i].importance;
        return LORAC_OK;
    }
    return LORAC_OK;
}

/* weights_turned.c — GPTQ's and AWQ's modules, whose codes run along the input: turned once to rows of an affine
 * format, value = scale · code − scale · zero, both products exact in f32.
 *
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323): qweight (in · bits / 32, out), column by column a little-endian stream
 *   of codes; qzeros (groups, out · bits / 32), stored less one but for "gptq_v2"; g_idx: the group of each input.
 * AWQ (Lin et al. 2023, arXiv 2306.00978): qweight (in, out / 8), qzeros (groups, out / 8), outputs of a word in the
 * order 0 2 4 6 1 3 5 7. Scales of both: (groups, out). */
#include "model/weights_quantized.h"

#include <string.h>

struct turned {
    const struct module *m;
    size_t bits, groups, row_bytes;
    const struct source *scales;
    uint8_t *codes; /* (out, in) */
    float *values;  /* (2, out, groups): scales, minimums */
    int32_t *order; /* (in), or NULL */
    enum quant_type type;
};

/* Code i of a stream whose word k is words[first + k · stride]. */
static uint32_t stream_code(const struct source *s, size_t first, size_t stride, size_t i, size_t bits)
{
    size_t bit = i * bits, k = bit / 32, shift = bit % 32;
    uint64_t pair = source_word(s, first + k * stride);
    if (shift + bits > 32) pair |= (uint64_t)source_word(s, first + (k + 1) * stride) << 32;
    return (uint32_t)(pair >> shift) & ((1u << bits) - 1);
}

static void put_code(struct turned *t, size_t row, size_t i, uint32_t code)
{
    uint8_t *bytes = t->codes + row * t->row_bytes + i * t->bits / 8;
    size_t shift = i * t->bits % 8;
    bytes[0] |= (uint8_t)(code << shift);
    if (shift + t->bits > 8) bytes[1] |= (uint8_t)(code >> (8 - shift));
}

static void put_group(struct turned *t, size_t row, size_t group, uint32_t zero)
{
    float scale = source_float(t->scales, group * t->m->rows + row);
    t->values[row * t->groups + group] = scale;
    t->values[(t->m->rows + row) * t->groups + group] = -(scale * (float)zero);
}

static lorac_status begin(struct turned *t, lorac_error *err)
{
    const struct module *m = t->m;
    static const enum quant_type types[] = {
        [2] = QUANT_AFFINE2, [3] = QUANT_AFFINE3, [4] = QUANT_AFFINE4, [8] = QUANT_AFFINE8};
    if (t->bits != 2 && t->bits != 3 && t->bits != 4 && t->bits != 8)
        return module_fail(m, "bits that are none of 2, 3, 4 and 8", err);
    t->type = types[t->bits];
    struct source *scales = module_tensor(m, ".scales");
    enum scale_type type;
    if (!scales || !scale_type_of(scales->dtype, &type) || scales->cols != m->rows || !scales->rows ||
        m->cols % scales->rows || !quant_row_bytes(t->type, m->cols, &t->row_bytes))
        return module_fail(m, "scales do not fit", err);
    weights_use(m->w, scales);
    t->scales = scales;
    t->groups = scales->rows;
    t->codes = mem_array(m->w->memory, m->rows, t->row_bytes + 1);
    t->values = mem_array(m->w->memory, 2 * m->rows, t->groups * sizeof *t->values);
    return t->codes && t->values ? LORAC_OK : fail_memory(err, "a matrix", m->rows * t->row_bytes);
}

static lorac_status finish(struct turned *t, struct qmatrix *out, lorac_error *err)
{
    const struct module *m = t->m;
    struct buf codes;
    size_t bytes = m->rows * t->groups * sizeof *t->values;
    struct qplanes p = {.group = m->cols / t->groups, .scale_type = SCALE_F32, .factor = 1};
    TRY(weights_keep(m->w, t->codes, m->rows * t->row_bytes, &codes, err));
    TRY(weights_keep(m->w, t->values, 2 * bytes, &p.scales, err));
    p.mins = (struct buf){p.scales.buffer, p.scales.offset + bytes};
    if (t->order) TRY(weights_keep(m->w, t->order, m->cols * sizeof *t->order, &p.groups, err));
    return module_finish(m, t->type, codes, &p, out, err);
}

static lorac_status turn(struct turned *t, lorac_status (*read)(struct turned *t, lorac_error *err),
                         struct qmatrix *out, lorac_error *err)
{
    lorac_status status = begin(t, err);
    if (status == LORAC_OK) status = read(t, err);
    if (status == LORAC_OK) status = finish(t, out, err);
    mem_free(t->m->w->memory, t->codes);
    mem_free(t->m->w->memory, t->values);
    mem_free(t->m->w->memory, t->order);
    return status;
}

/* ---- GPTQ ----------------------------------------------------------------------------------- */

/* Inputs in the order of their groups need no list. */
static lorac_status read_order(struct turned *t, lorac_error *err)
{
    const struct module *m = t->m;
    struct source *index = module_tensor(m, ".g_idx");
    bool in_order = true;
    if (!index) return LORAC_OK;
    TRY(module_take(m, ".g_idx", ST_I32, 1, m->cols, &index, err));
    t->order = mem_array(m->w->memory, m->cols, sizeof *t->order);
    if (!t->order) return fail_memory(err, "a list", m->cols * sizeof *t->order);
    for (size_t i = 0; i < m->cols; i++) {
        t->order[i] = (int32_t)source_word(index, i);
        if (t->order[i] < 0 || (size_t)t->order[i] >= t->groups) return module_fail(m, "g_idx names no group", err);
        in_order &= (size_t)t->order[i] == i / (m->cols / t->groups);
    }
    if (!in_order) return LORAC_OK;
    mem_free(m->w->memory, t->order);
    t->order = NULL;
    return LORAC_OK;
}

static lorac_status read_gptq(struct turned *t, lorac_error *err)
{
    const struct module *m = t->m;
    struct source *codes, *zeros;
    const char *format;
    TRY(json_get_text(m->w->quantization, "checkpoint_format", "gptq", &format, m->w->path, err));
    uint32_t less = strcmp(format, "gptq_v2") ? 1 : 0;
    if (m->cols * t->bits % 32 || m->rows * t->bits % 32) return module_fail(m, "codes do not fill whole words", err);
    TRY(module_take(m, ".qweight", ST_I32, m->cols * t->bits / 32, m->rows, &codes, err));
    TRY(module_take(m, ".qzeros", ST_I32, t->groups, m->rows * t->bits / 32, &zeros, err));
    TRY(read_order(t, err));
    for (size_t row = 0; row < m->rows; row++) {
        for (size_t i = 0; i < m->cols; i++) put_code(t, row, i, stream_code(codes, row, m->rows, i, t->bits));
        for (size_t g = 0; g < t->groups; g++) {
            uint32_t zero = stream_code(zeros, g * (m->rows * t->bits / 32), 1, row, t->bits);
            put_group(t, row, g, zero + less);
        }
    }
    return LORAC_OK;
}

lorac_status scheme_gptq(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct turned t = {.m = m};
    TRY(json_get_size(m->w->quantization, "bits", 4, &t.bits, m->w->path, err));
    return turn(&t, read_gptq, out, err);
}

/* ---- AWQ ------------------------------------------------------------------------------------ */

/* Nibble of output `row` in word row / 8 of a run of words. */
static uint32_t awq_code(const struct source *s, size_t first, size_t row)
{
    static const uint8_t place[8] = {0, 4, 1, 5, 2, 6, 3, 7}; /* of outputs 0 .. 7 */
    return source_word(s, first + row / 8) >> 4 * place[row % 8] & 15;
}

static lorac_status read_awq(struct turned *t, lorac_error *err)
{
    const struct module *m = t->m;
    struct source *codes, *zeros;
    size_t words = m->rows / 8;
    if (m->rows % 8) return module_fail(m, "codes do not fill whole words", err);
    TRY(module_take(m, ".qweight", ST_I32, m->cols, words, &codes, err));
    TRY(module_take(m, ".qzeros", ST_I32, t->groups, words, &zeros, err));
    for (size_t row = 0; row < m->rows; row++) {
        for (size_t i = 0; i < m->cols; i++) put_code(t, row, i, awq_code(codes, i * words, row));
        for (size_t g = 0; g < t->groups; g++) put_group(t, row, g, awq_code(zeros, g * words, row));
    }
    return LORAC_OK;
}

lorac_status scheme_awq(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct turned t = {.m = m, .bits = 4};
    const char *version;
    TRY(json_get_text(m->w->quantization, "version", "gemm", &version, m->w->path, err));
    if (strcmp(version, "gemm") && strcmp(version, "GEMM"))
        return module_fail(m, "an AWQ layout other than \"gemm\"", err);
    return turn(&t, read_awq, out, err);
}

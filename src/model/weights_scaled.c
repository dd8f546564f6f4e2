/* weights_scaled.c — compressed-tensors' modules and FP8: codes along the input, as products read them.
 *
 * pack-quantized: weight_packed I32 (out, in · bits / 32), codes plus 2^(bits − 1), little-endian; weight_scale (out,
 *   groups), weight_zero_point I32 (out · bits / 32, groups), packed along the output, where it is asymmetric.
 * nvfp4-pack-quantized: weight_packed U8 (out, in / 2), weight_scale E4M3 (out, in / 16), divided by
 * weight_global_scale. mxfp4-pack-quantized: the same with weight_scale U8 (out, in / 32), powers of two.
 * mxfp4, as gpt-oss stores it: PARAMETER_blocks U8 (out, in / 32, 16), PARAMETER_scales U8 (out, in / 32).
 * int-quantized, float-quantized, FP8: weight I8 or E4M3 times a scale of the matrix, of each row, of each group, or
 *   (weight_scale_inv) of each block of 128 × 128. */
#include "model/weights_quantized.h"

/* What no product needs of a module. */
static void use_rest(const struct module *m)
{
    static const char *const endings[] = {".weight_shape", ".input_scale",      ".input_global_scale",
                                          ".output_scale", ".input_zero_point", ".weight_g_idx"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct source *s = module_tensor(m, endings[i]);
        if (s) weights_use(m->w, s);
    }
}

/* ---- int4 and int8, packed ------------------------------------------------------------------ */

/* Scales and −scale · zero as f32; without zero points the zero is the middle. */
static lorac_status packed_groups(const struct module *m, const struct source *scales, size_t bits, struct qplanes *p,
                                  lorac_error *err)
{
    size_t groups = scales->cols, count = m->rows * groups, per_word = 32 / bits;
    struct source *zeros = module_tensor(m, ".weight_zero_point");
    if (zeros)
        TRY(module_take(m, ".weight_zero_point", ST_I32, (m->rows + per_word - 1) / per_word, groups, &zeros, err));
    float *values = mem_array(m->w->memory, 2 * count, sizeof *values);
    if (!values) return fail_memory(err, "scales", 2 * count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        size_t row = i / groups, g = i % groups;
        uint32_t zero = 1u << (bits - 1);
        if (zeros)
            zero = source_word(zeros, row / per_word * groups + g) >> bits * (row % per_word) & ((1u << bits) - 1);
        values[i] = source_float(scales, i);
        values[count + i] = -(values[i] * (float)zero);
    }
    lorac_status status = weights_keep(m->w, values, 2 * count * sizeof *values, &p->scales, err);
    p->mins = (struct buf){p->scales.buffer, p->scales.offset + count * sizeof *values};
    mem_free(m->w->memory, values);
    return status;
}

lorac_status scheme_packed(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct source *codes = module_tensor(m, ".weight_packed"), *scales = module_tensor(m, ".weight_scale");
    struct qplanes p = {.factor = 1, .scale_type = SCALE_F32};
    enum scale_type type;
    if (!scales || scales->rows != m->rows || !scales->cols || m->cols % scales->cols)
        return module_fail(m, "weight_scale is missing or does not fit", err);
    p.group = m->cols / scales->cols;
    use_rest(m);
    if (codes->dtype == ST_U8 && scales->dtype == ST_U8) { /* mxfp4 */
        TRY(module_take(m, ".weight_packed", ST_U8, m->rows, m->cols / 2, &codes, err));
        weights_use(m->w, scales);
        p.scales = source_buf(scales);
        p.scale_type = SCALE_E8M0;
        return module_finish(m, QUANT_MXFP4, source_buf(codes), &p, out, err);
    }
    size_t bits = m->cols ? codes->cols * 32 / m->cols : 0;
    if (!scale_type_of(scales->dtype, &type) || (bits != 4 && bits != 8))
        return module_fail(m, "packed codes of other than 4 or 8 bits", err);
    TRY(module_take(m, ".weight_packed", ST_I32, m->rows, m->cols * bits / 32, &codes, err));
    weights_use(m->w, scales);
    TRY(packed_groups(m, scales, bits, &p, err));
    return module_finish(m, bits == 4 ? QUANT_AFFINE4 : QUANT_AFFINE8, source_buf(codes), &p, out, err);
}

lorac_status scheme_nvfp4(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct source *codes, *scales, *global;
    struct qplanes p = {.group = 16, .scale_type = SCALE_E4M3};
    if (m->cols % 16) return module_fail(m, "columns are no whole groups of 16", err);
    TRY(module_take(m, ".weight_packed", ST_U8, m->rows, m->cols / 2, &codes, err));
    TRY(module_take(m, ".weight_scale", ST_F8_E4M3, m->rows, m->cols / 16, &scales, err));
    TRY(module_take(m, ".weight_global_scale", ST_F32, 1, 1, &global, err));
    use_rest(m);
    p.factor = 1 / source_float(global, 0);
    p.scales = source_buf(scales);
    return module_finish(m, QUANT_NVFP4, source_buf(codes), &p, out, err);
}

/* The parameter is the module's weight, or called like the module as gpt-oss's experts are. */
lorac_status scheme_mxfp4(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    bool weight = module_tensor(m, ".weight_blocks");
    struct source *blocks = module_tensor(m, weight ? ".weight_blocks" : "_blocks"), *scales;
    struct qplanes p = {.factor = 1, .group = 32, .scale_type = SCALE_E8M0};
    if (blocks->dims > 3)
        return fail(err, LORAC_UNSUPPORTED, m->w->path, "tensor \"%.*s\" holds experts, which are not known to lorac",
                    (int)blocks->name_length, blocks->name);
    if (blocks->dtype != ST_U8 || blocks->dims != 3 || m->cols % 32 || blocks->rows != m->rows || blocks->cols != 16 ||
        blocks->bytes != m->rows * (m->cols / 32) * 16)
        return module_fail(m, "blocks are not U8 (rows, columns / 32, 16)", err);
    TRY(module_take(m, weight ? ".weight_scales" : "_scales", ST_U8, m->rows, m->cols / 32, &scales, err));
    weights_use(m->w, blocks);
    p.scales = source_buf(scales);
    return module_finish(m, QUANT_MXFP4, source_buf(blocks), &p, out, err);
}

/* ---- int8 and FP8 bytes --------------------------------------------------------------------- */

/* One f32 scale for every `group` columns of every row, from scales of the matrix, rows, groups or blocks. */
static lorac_status spread(const struct module *m, const struct source *scales, struct qplanes *p, lorac_error *err)
{
    size_t all = scales->rows * scales->cols, per_row = all == 1 || all == m->rows ? 1 : scales->cols;
    size_t block = 128, high = (m->rows + block - 1) / block, wide = (m->cols + block - 1) / block;
    bool blocks = scales->rows == high && scales->cols == wide && all != 1 && scales->rows != m->rows;
    if (blocks) per_row = wide;
    if (all != 1 && all != m->rows && !blocks && scales->rows != m->rows)
        return module_fail(m, "the scales are of no known shape", err);
    if (m->cols % per_row || (blocks && m->cols % block)) return module_fail(m, "columns are no whole blocks", err);
    p->group = m->cols / per_row;
    float *values = mem_array(m->w->memory, m->rows, per_row * sizeof *values);
    if (!values) return fail_memory(err, "scales", m->rows * per_row * sizeof *values);
    for (size_t r = 0; r < m->rows; r++)
        for (size_t g = 0; g < per_row; g++)
            values[r * per_row + g] = source_float(scales, all == 1 ? 0 : (blocks ? r / block : r) * per_row + g);
    lorac_status status = weights_keep(m->w, values, m->rows * per_row * sizeof *values, &p->scales, err);
    mem_free(m->w->memory, values);
    return status;
}

lorac_status scheme_scaled(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct source *codes = module_tensor(m, ".weight"), *scales = module_tensor(m, ".weight_scale_inv");
    struct qplanes p = {.factor = 1, .scale_type = SCALE_F32};
    enum scale_type type;
    if (!scales) scales = module_tensor(m, ".weight_scale");
    if (!codes || (codes->dtype != ST_F8_E4M3 && codes->dtype != ST_I8) || codes->rows != m->rows ||
        codes->cols != m->cols || codes->dims != 2 || !scale_type_of(scales->dtype, &type))
        return module_fail(m, "the weight is neither int8 nor FP8 (E4M3) of that shape", err);
    weights_use(m->w, codes);
    weights_use(m->w, scales);
    use_rest(m);
    TRY(spread(m, scales, &p, err));
    return module_finish(m, codes->dtype == ST_I8 ? QUANT_INT8 : QUANT_FP8, source_buf(codes), &p, out, err);
}

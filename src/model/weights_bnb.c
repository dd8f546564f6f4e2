/* weights_bnb.c — bitsandbytes' modules: NF4 and FP4 with a largest value (absmax) for each block of a flat matrix,
 * itself perhaps in 8 bits (double quantisation), and LLM.int8's rows. */
#include "model/weights_quantized.h"

#include <stdio.h>
#include <string.h>

/* The JSON text that says how the tensor was quantised; its name ends with the kind. */
static lorac_status quant_state(const struct module *m, enum quant_type *type, json_t **state, lorac_error *err)
{
    static const char *const names[] = {".weight.quant_state.bitsandbytes__nf4",
                                        ".weight.quant_state.bitsandbytes__fp4"};
    for (int i = 0; i < 2; i++) {
        struct source *s = module_tensor(m, names[i]);
        if (!s || s->dtype != ST_U8) continue;
        *type = i ? QUANT_FP4 : QUANT_NF4;
        weights_use(m->w, s);
        return json_read(m->w->memory, (const char *)s->data, s->bytes, names[i], state, err);
    }
    return module_fail(m, "there is no quant_state of NF4 or FP4", err);
}

/* Double quantisation: code[absmax] · nested absmax + offset. */
static lorac_status nested(const struct module *m, const json_t *state, const struct source *absmax, float *values,
                           lorac_error *err)
{
    struct source *map, *outer;
    size_t count = absmax->rows * absmax->cols, block;
    double offset;
    TRY(json_get_size(state, "nested_blocksize", 256, &block, m->w->path, err));
    TRY(json_get_float(state, "nested_offset", 0, &offset, m->w->path, err));
    if (!block) return module_fail(m, "nested_blocksize is 0", err);
    TRY(module_take(m, ".weight.nested_quant_map", ST_F32, 1, 256, &map, err));
    TRY(module_take(m, ".weight.nested_absmax", ST_F32, 1, (count + block - 1) / block, &outer, err));
    for (size_t i = 0; i < count; i++)
        values[i] = source_float(map, absmax->data[i]) * source_float(outer, i / block) + (float)offset;
    return LORAC_OK;
}

static lorac_status read_absmax(const struct module *m, const json_t *state, size_t group, struct buf *scales,
                                lorac_error *err)
{
    struct source *absmax = module_tensor(m, ".weight.absmax");
    size_t count = (m->rows * m->cols + group - 1) / group;
    if (absmax->rows * absmax->cols != count || (absmax->dtype != ST_U8 && absmax->dtype != ST_F32))
        return module_fail(m, "absmax has another number of blocks", err);
    weights_use(m->w, absmax);
    if (absmax->dtype == ST_F32) {
        *scales = source_buf(absmax);
        return LORAC_OK;
    }
    float *values = mem_array(m->w->memory, count, sizeof *values);
    if (!values) return fail_memory(err, "scales", count * sizeof *values);
    lorac_status status = nested(m, state, absmax, values, err);
    if (status == LORAC_OK) status = weights_keep(m->w, values, count * sizeof *values, scales, err);
    mem_free(m->w->memory, values);
    return status;
}

static lorac_status read_4bit(const struct module *m, const json_t *state, enum quant_type type, struct qmatrix *out,
                              lorac_error *err)
{
    struct qplanes p = {.scale_type = SCALE_F32, .factor = 1};
    struct source *weight, *map = module_tensor(m, ".weight.quant_map");
    TRY(json_get_size(state, "blocksize", 64, &p.group, m->w->path, err));
    if (!p.group || m->cols % 2) return module_fail(m, "blocksize or width cannot be", err);
    TRY(module_take(m, ".weight", ST_U8, m->rows, m->cols / 2, &weight, err));
    if (map) weights_use(m->w, map); /* the table that the kind's name says */
    TRY(read_absmax(m, state, p.group, &p.scales, err));
    return module_finish(m, type, source_buf(weight), &p, out, err);
}

lorac_status scheme_bnb4(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    enum quant_type type = QUANT_NF4;
    json_t *state;
    TRY(quant_state(m, &type, &state, err));
    lorac_status status = read_4bit(m, state, type, out, err);
    json_decref(state);
    return status;
}

/* value = code · SCB / 127 by row (Dettmers et al. 2022, arXiv 2208.07339) */
lorac_status scheme_bnb8(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct qplanes p = {.scale_type = SCALE_F32, .factor = 1, .group = m->cols};
    struct source *weight, *rows, *format = module_tensor(m, ".weight_format");
    TRY(module_take(m, ".weight", ST_I8, m->rows, m->cols, &weight, err));
    TRY(module_take(m, ".SCB", ST_F32, 1, m->rows, &rows, err));
    if (format) weights_use(m->w, format);
    float *scales = mem_array(m->w->memory, m->rows, sizeof *scales);
    if (!scales) return fail_memory(err, "scales", m->rows * sizeof *scales);
    for (size_t i = 0; i < m->rows; i++) scales[i] = source_float(rows, i) / 127;
    lorac_status status = weights_keep(m->w, scales, m->rows * sizeof *scales, &p.scales, err);
    mem_free(m->w->memory, scales);
    return status == LORAC_OK ? module_finish(m, QUANT_INT8, source_buf(weight), &p, out, err) : status;
}

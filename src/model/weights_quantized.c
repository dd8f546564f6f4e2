/* weights_quantized.c — which scheme a module is stored in, and MLX's modes. See weights_quantized.h. */
#include "model/weights_quantized.h"

#include "quant/parts.h"
#include "quant/planes.h"

#include <stdio.h>
#include <string.h>

/* ---- tensors of a module -------------------------------------------------------------------- */

struct source *module_tensor(const struct module *m, const char *ending)
{
    char name[2 * WEIGHT_NAME];
    snprintf(name, sizeof name, "%s%s", m->name, ending);
    return weights_find(m->w, name);
}

lorac_status module_fail(const struct module *m, const char *what, lorac_error *err)
{
    return fail(err, LORAC_FORMAT, m->w->path, "quantised module \"%s\" (%zu x %zu): %s", m->name, m->rows, m->cols,
                what);
}

lorac_status module_take(const struct module *m, const char *ending, enum st_dtype dtype, size_t rows, size_t cols,
                         struct source **s, lorac_error *err)
{
    *s = module_tensor(m, ending);
    if (!*s) return fail(err, LORAC_FORMAT, m->w->path, "tensor \"%s%s\" is missing", m->name, ending);
    if ((*s)->dtype != dtype || (*s)->rows * (*s)->cols != rows * cols || (*s)->dims > 2)
        return fail(err, LORAC_FORMAT, m->w->path, "tensor \"%s%s\" is %s %zu x %zu, expected %s %zu x %zu", m->name,
                    ending, (*s)->type_name, (*s)->rows, (*s)->cols, st_dtype_name(dtype), rows, cols);
    weights_use(m->w, *s);
    return LORAC_OK;
}

struct buf source_buf(const struct source *s)
{
    return (struct buf){s->buffer, s->offset};
}

bool scale_type_of(enum st_dtype dtype, enum scale_type *type)
{
    *type = dtype == ST_F32 ? SCALE_F32 : dtype == ST_F16 ? SCALE_F16 : SCALE_BF16;
    return dtype == ST_F32 || dtype == ST_F16 || dtype == ST_BF16;
}

float source_float(const struct source *s, size_t i)
{
    enum scale_type type;
    scale_type_of(s->dtype, &type);
    return scale_at(type, s->data, i);
}

uint32_t source_word(const struct source *s, size_t i)
{
    return part_u32(s->data + 4 * i);
}

lorac_status weights_planes(struct weights *w, const struct qplanes *planes, struct qplanes **kept, lorac_error *err)
{
    struct lorac_model *m = w->model;
    *kept = mem_alloc(w->memory, sizeof **kept);
    if (!*kept) return fail_memory(err, "a quantised matrix", sizeof **kept);
    **kept = *planes;
    m->planes[m->plane_count++] = *kept;
    return LORAC_OK;
}

lorac_status module_finish(const struct module *m, enum quant_type type, struct buf codes, const struct qplanes *planes,
                           struct qmatrix *out, lorac_error *err)
{
    struct qplanes *kept;
    *out = (struct qmatrix){type, codes, m->rows, m->cols, 0, NULL};
    if (!quant_row_bytes(type, m->cols, &out->row_bytes)) return module_fail(m, "rows do not fill whole bytes", err);
    if (!planes->group || (m->rows * m->cols) % planes->group) return module_fail(m, "the group does not fit", err);
    TRY(weights_planes(m->w, planes, &kept, err));
    out->planes = kept;
    return LORAC_OK;
}

/* ---- MLX ------------------------------------------------------------------------------------ */

static bool affine_of(size_t bits, enum quant_type *type)
{
    for (*type = QUANT_AFFINE2; *type <= QUANT_AFFINE8; ++*type)
        if ((size_t)planes_bits(*type) == bits) return true;
    return false;
}

/* Bits and group follow from the shapes, as mlx-lm infers them. */
lorac_status scheme_mlx(const struct module *m, struct qmatrix *out, lorac_error *err)
{
    struct source *weight = module_tensor(m, ".weight"), *scales = module_tensor(m, ".scales"), *biases, *global;
    struct qplanes p = {.factor = 1};
    enum quant_type type;
    if (!weight || weight->dtype != ST_U32 || weight->rows != m->rows || scales->rows != m->rows || !scales->cols ||
        m->cols % scales->cols || !m->cols)
        return module_fail(m, "weight and scales do not fit", err);
    size_t bits = weight->cols * 32 / m->cols;
    p.group = m->cols / scales->cols;
    p.scales = source_buf(scales);
    if (weight->cols * 32 != bits * m->cols) return module_fail(m, "no whole number of bits", err);
    if (scales->dtype == ST_U8) {
        p.scale_type = p.group == 16 ? SCALE_E4M3 : SCALE_E8M0;
        type = bits == 8 ? QUANT_MXFP8 : p.group == 16 ? QUANT_NVFP4 : QUANT_MXFP4;
        if (!((bits == 4 && (p.group == 16 || p.group == 32)) || (bits == 8 && p.group == 32)))
            return module_fail(m, "these bits and groups are none of mxfp4, mxfp8 and nvfp4", err);
        if ((global = module_tensor(m, ".global_scale"))) {
            TRY(module_take(m, ".global_scale", ST_F32, 1, 1, &global, err));
            p.factor = source_float(global, 0) / (448 * 6);
        }
    } else {
        if (!scale_type_of(scales->dtype, &p.scale_type) || !affine_of(bits, &type))
            return module_fail(m, "scales of an unknown type, or bits that are none of 2, 3, 4, 5, 6 and 8", err);
        TRY(module_take(m, ".biases", scales->dtype, m->rows, scales->cols, &biases, err));
        p.mins = source_buf(biases);
    }
    weights_use(m->w, weight);
    weights_use(m->w, scales);
    return module_finish(m, type, source_buf(weight), &p, out, err);
}

/* ---- the choice ----------------------------------------------------------------------------- */

static const struct {
    const char *ending; /* of a tensor that tells the scheme */
    const char *method; /* of quantization_config, where the tensor alone does not; or NULL */
    scheme_fn *scheme;
} schemes[] = {
    {".scales", NULL, scheme_mlx},
    {".weight.absmax", NULL, scheme_bnb4},
    {".SCB", NULL, scheme_bnb8},
    {".qweight", "gptq", scheme_gptq},
    {".qweight", "awq", scheme_awq},
    {".weight_blocks", "mxfp4", scheme_mxfp4},
    {"_blocks", "mxfp4", scheme_mxfp4},
    {".weight_global_scale", NULL, scheme_nvfp4},
    {".weight_packed", NULL, scheme_packed},
    {".weight_scale_inv", NULL, scheme_scaled},
    {".weight_scale", NULL, scheme_scaled},
};

bool weights_last(const struct weights *w, const char *name, size_t rows, size_t cols, struct qmatrix *m)
{
    if (strcmp(name, w->last.name) || w->last.matrix.rows != rows || w->last.matrix.cols != cols) return false;
    *m = w->last.matrix;
    return true;
}

void weights_remember(struct weights *w, const char *name, const struct qmatrix *m)
{
    w->last.matrix = *m;
    snprintf(w->last.name, sizeof w->last.name, "%s", name);
}

void weights_list_matrix(struct weights *w, const struct source *s, const char *ending, const struct qmatrix *m)
{
    struct lorac_model *model = w->model;
    if (model->stored_count && model->stored[model->stored_count - 1].name == s->name) return;
    model->stored[model->stored_count++] =
        (struct stored_matrix){s->name, s->name_length - strlen(ending), *m, SIZE_MAX};
}

lorac_status weights_quantized(struct weights *w, const char *name, size_t rows, size_t cols, struct qmatrix *m,
                               bool *found, lorac_error *err)
{
    static const char end[] = ".weight";
    char module[WEIGHT_NAME];
    size_t length = strlen(name);
    *found = false;
    if (!w->quantization || length < sizeof end || strcmp(name + length - (sizeof end - 1), end)) return LORAC_OK;
    *found = weights_last(w, name, rows, cols, m);
    if (*found) return LORAC_OK;
    snprintf(module, sizeof module, "%.*s", (int)(length - (sizeof end - 1)), name);
    struct module q = {w, module, rows, cols};
    const char *method = json_string_value(json_object_get(w->quantization, "quant_method"));
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (schemes[i].method && (!method || strcmp(method, schemes[i].method))) continue;
        if (!module_tensor(&q, schemes[i].ending)) continue;
        /* GPTQ and AWQ have ".scales" too. */
        if (schemes[i].scheme == scheme_mlx && module_tensor(&q, ".qweight")) continue;
        *found = true;
        TRY(schemes[i].scheme(&q, m, err));
        w->model->parameters += rows * cols;
        weights_remember(w, name, m);
        weights_list_matrix(w, module_tensor(&q, schemes[i].ending), schemes[i].ending, m);
        return LORAC_OK;
    }
    return LORAC_OK;
}

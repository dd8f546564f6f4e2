/* source.c — the folder that is converted: its config, its tensors, and the modules that are quantised in it.
 *
 * What is quantised is read through the opened model, which knows every scheme; what is not goes from file to file. */
#include "convert/conversion.h"

#include "model/config_json.h"
#include "model/model.h"

#include <string.h>

enum { CONFIG_CAP = 1 << 24 };

/* ---- the source ---------------------------------------------------------------------------------- */

static lorac_status read_config(struct conversion *c, lorac_error *err)
{
    if (!os_is_folder(c->model))
        return fail(err, LORAC_UNSUPPORTED, c->model, "is no folder; lorac converts Hugging Face and MLX folders");
    char *file = os_join(c->memory, c->model, "config.json");
    if (!file) return fail_memory(err, "a path", strlen(c->model));
    lorac_status status = json_read_file(c->memory, file, CONFIG_CAP, &c->config, err);
    if (status == LORAC_OK) status = config_from_json(c->config, file, &c->family, &c->shape, err);
    mem_free(c->memory, file);
    return status;
}

/* A matrix of GPT-2 is (in, out), unless mlx-lm wrote it: q, k and v together tell which. */
static void tell_transposed(struct conversion *c)
{
    static const char *const names[] = {"h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight",
                                        "model.h.0.attn.c_attn.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct st_tensor *t = st_folder_find(c->source, names[i]);
        if (t && t->dims == 2 && t->shape[0] == 3 * t->shape[1]) c->shape.conv1d = false;
    }
}

/* The tensors alone: a model that is opened holds copies of what its families store in another order. */
static lorac_status open_tensors(struct conversion *c, lorac_error *err)
{
    TRY(st_folder_open(c->memory, c->model, c->runtime->map_files, &c->own, err));
    c->source = &c->own;
    c->sees = json_is_object(json_object_get(c->config, "text_config"));
    if (c->sees && json_is_true(json_object_get(c->config, "tie_word_embeddings")))
        c->shape.tied_head =
            !st_folder_find(c->source, "language_model.lm_head.weight") && !st_folder_find(c->source, "lm_head.weight");
    tell_transposed(c);
    return LORAC_OK;
}

static lorac_status open_base(struct conversion *c, lorac_error *err)
{
    TRY(lorac_model_open(c->runtime, c->model, &c->base, err));
    c->source = &c->base->folder;
    c->shape = c->base->config;
    c->sees = c->base->sees;
    return LORAC_OK;
}

lorac_status source_open(struct conversion *c, lorac_error *err)
{
    TRY(read_config(c, err));
    bool quantized = config_quantization(c->config) != NULL;
    if (!quantized && !c->options->adapter_count && !c->options->calibration) return open_tensors(c, err);
    if (quantized && !c->options->adapter_count && !c->options->mode && !c->options->dequantize && !c->kind)
        return fail(err, LORAC_INVALID_ARGUMENT, c->model,
                    "is quantised already: --dequantize writes its numbers, --quantize quantises them anew");
    return open_base(c, err);
}

void source_close(struct conversion *c)
{
    st_folder_close(&c->own);
    lorac_model_release(c->base);
    json_decref(c->config);
}

/* ---- modules that are quantised ------------------------------------------------------------------ */

bool source_is_packed(const struct stored_matrix *m)
{
    return m && m->matrix.type >= QUANT_PLANES;
}

const struct stored_matrix *source_matrix(const struct conversion *c, const struct st_tensor *t)
{
    for (size_t i = 0; c->base && i < c->base->stored_count; i++) {
        const struct stored_matrix *m = &c->base->stored[i];
        const char *rest = t->name + m->name_length;
        if (m->name == t->name) return m;
        if (source_is_packed(m) && !strncmp(m->name, t->name, m->name_length) && (*rest == '.' || *rest == '_') &&
            strcmp(rest, ".bias"))
            return m;
    }
    return NULL;
}

struct quant_matrix source_view(const struct conversion *c, const struct qmatrix *m)
{
    struct backend *b = c->runtime->backend;
    const struct qplanes *p = m->planes;
    struct quant_matrix view = {.type = m->type,
                                .data = b->kernels->host_view(b, m->data),
                                .rows = m->rows,
                                .cols = m->cols,
                                .row_bytes = m->row_bytes};
    if (!p) return view;
    view.planes = (struct quant_planes){.scales = b->kernels->host_view(b, p->scales),
                                        .mins = buf_is(p->mins) ? b->kernels->host_view(b, p->mins) : NULL,
                                        .group = p->group,
                                        .scale_type = p->scale_type,
                                        .factor = p->factor,
                                        .groups = buf_is(p->groups) ? b->kernels->host_view(b, p->groups) : NULL};
    return view;
}

/* ---- the type of numbers ------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum st_dtype dtype;
} dtypes[] = {{"float16", ST_F16}, {"bfloat16", ST_BF16}, {"float32", ST_F32}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

bool is_number(enum st_dtype dtype)
{
    return dtype == ST_F32 || dtype == ST_F16 || dtype == ST_BF16;
}

bool dtype_named(const char *name, enum st_dtype *dtype)
{
    for (size_t i = 0; name && i < DTYPES; i++)
        if (!strcmp(dtypes[i].name, name)) {
            *dtype = dtypes[i].dtype;
            return true;
        }
    return false;
}

/* What config.json says, under either of its names; false: it does not. */
bool config_dtype(const struct conversion *c, enum st_dtype *dtype)
{
    const json_t *text = json_object_get(c->config, "text_config");
    const json_t *const names[] = {json_object_get(c->config, "torch_dtype"), json_object_get(text, "dtype"),
                                   c->same ? json_object_get(c->config, "dtype") : NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dtype_named(json_string_value(names[i]), dtype)) return true;
    return false;
}

/* As mlx-lm: what was asked for, what config.json says, else what each tensor has. */
enum st_dtype dtype_for(const struct conversion *c, enum st_dtype own)
{
    enum st_dtype dtype = own;
    bool kept = c->same && !c->options->dequantize;
    if (is_number(own) && !dtype_named(c->options->dtype, &dtype) && !kept) config_dtype(c, &dtype);
    return dtype;
}

/* As MLX: what its scales have; bf16 where they are no such numbers. */
enum st_dtype dtype_of_packed(const struct stored_matrix *m)
{
    enum scale_type scales = m->matrix.planes->scale_type;
    return scales == SCALE_F32 ? ST_F32 : scales == SCALE_F16 ? ST_F16 : ST_BF16;
}

/* read.c — adapter folders to a layout and floats: PEFT's adapter_model.safetensors and mlx-lm's adapters.safetensors.
 *
 * All or nothing: a tensor that names no matrix of the base, half a pair, a wrong shape, or a config value that would
 * change numbers and is not known, is an error that lists what did not match. Refuses DoRA, biases and trained full
 * tensors. */
#include "adapter/adapter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LISTED = 6, CONFIG_CAP = 1 << 24 };

/* ---- names ---------------------------------------------------------------------------------- */

/* The two dialects: what stands before the module's name and after it. */
struct dialect {
    const char *prefix;
    const char *a[2], *b[2]; /* suffixes, newer first */
    bool transposed;         /* mlx-lm: A (in, r), B (r, out) */
};
static const struct dialect peft = {"base_model.model.",
                                    {".lora_A.weight", ".lora_A.default.weight"},
                                    {".lora_B.weight", ".lora_B.default.weight"},
                                    false};
static const struct dialect mlx = {"", {".lora_a", ".lora_a"}, {".lora_b", ".lora_b"}, true};

/* A module's A or B, under any of the names that programs gave it: a language model's adapter is the same whether it
 * was trained with the rest of a model that also sees or without. */
static const struct st_tensor *find(const struct safetensors *file, const struct dialect *d,
                                    const struct module_names *names, const char *module, const char *const suffix[2])
{
    const char *const starts[] = {names->own, names->peft, names->mlx, "model.language_model.",
                                  "language_model.model."};
    char name[2 * MODULE_NAME], spelled[MODULE_NAME];
    for (size_t i = 0; i < 2 * sizeof starts / sizeof *starts; i++) {
        module_spell(names, starts[i / 2], module, spelled);
        snprintf(name, sizeof name, "%s%s%s", d->prefix, spelled, suffix[i % 2]);
        const struct st_tensor *t = safetensors_find(file, name);
        if (t) return t;
    }
    return NULL;
}

/* ---- PEFT's config -------------------------------------------------------------------------- */

struct scaling {
    bool direct; /* mlx-lm: the scale itself */
    double scale;
    double alpha;
    bool rslora;
    const json_t *alpha_pattern;
};

/* Settings that change numbers in ways that are not computed here. */
static lorac_status refuse_settings(const json_t *c, const char *path, lorac_error *err)
{
    static const char *const off[] = {"use_dora",
                                      "lora_bias",
                                      "use_qalora",
                                      "use_bdlora",
                                      "arrow_config",
                                      "trainable_token_indices",
                                      "modules_to_save",
                                      "target_parameters",
                                      "layer_replication",
                                      "megatron_config",
                                      "eva_config",
                                      "corda_config",
                                      "alora_invocation_tokens"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const json_t *v = json_object_get(c, off[i]);
        bool empty = (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
        if (v && !json_is_null(v) && !json_is_false(v) && !empty)
            return fail(err, LORAC_UNSUPPORTED, path, "\"%s\" is set; lorac reads plain LoRA adapters without it",
                        off[i]);
    }
    const char *bias, *type;
    TRY(json_get_text(c, "bias", "none", &bias, path, err));
    if (strcmp(bias, "none"))
        return fail(err, LORAC_UNSUPPORTED, path, "\"bias\": \"%s\"; lorac reads adapters without trained biases",
                    bias);
    TRY(json_get_text(c, "peft_type", "LORA", &type, path, err));
    return !strcmp(type, "LORA") ? LORAC_OK
                                 : fail(err, LORAC_UNSUPPORTED, path, "\"peft_type\": \"%s\"; lorac reads LORA", type);
}

static lorac_status peft_scaling(const json_t *c, const char *path, struct scaling *s, lorac_error *err)
{
    double none = NAN;
    TRY(refuse_settings(c, path, err));
    TRY(json_get_float(c, "lora_alpha", none, &s->alpha, path, err));
    TRY(json_get_bool(c, "use_rslora", false, &s->rslora, path, err));
    s->alpha_pattern = json_object_get(c, "alpha_pattern");
    return isfinite(s->alpha) ? LORAC_OK : fail(err, LORAC_FORMAT, path, "\"lora_alpha\" is missing or not finite");
}

static lorac_status mlx_scaling(const json_t *c, const char *path, struct scaling *s, lorac_error *err)
{
    const char *type;
    const json_t *parameters = json_object_get(c, "lora_parameters");
    TRY(json_get_text(c, "fine_tune_type", "lora", &type, path, err));
    if (strcmp(type, "lora"))
        return fail(err, LORAC_UNSUPPORTED, path, "\"fine_tune_type\": \"%s\"; lorac reads lora", type);
    if (!json_is_object(parameters)) return fail(err, LORAC_FORMAT, path, "\"lora_parameters\" is missing");
    s->direct = true;
    TRY(json_get_float(parameters, "scale", NAN, &s->scale, path, err));
    return isfinite(s->scale) ? LORAC_OK : fail(err, LORAC_FORMAT, path, "\"lora_parameters\" has no finite \"scale\"");
}

/* PEFT matches a pattern's key as the whole name or its end behind a dot; the key is a regular expression. */
static bool pattern_matches(const char *key, const char *module)
{
    char expression[1024];
    int number;
    PCRE2_SIZE at;
    if (snprintf(expression, sizeof expression, "^(?:.*\\.)?(?:%s)$", key) >= (int)sizeof expression) return false;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &at, NULL);
    pcre2_match_data *match = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
    bool yes = match && pcre2_match(code, (PCRE2_SPTR)module, PCRE2_ZERO_TERMINATED, 0, 0, match, NULL) >= 0;
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    return yes;
}

static double module_scale(const struct scaling *s, const char *module, size_t rank)
{
    double alpha = s->alpha;
    const char *key;
    json_t *value;
    if (s->direct) return s->scale;
    json_object_foreach((json_t *)(uintptr_t)s->alpha_pattern, key,
                        value) if (json_is_number(value) && pattern_matches(key, module))
    {
        alpha = json_number_value(value);
        break;
    }
    return alpha / (s->rslora ? sqrt((double)rank) : (double)rank);
}

/* ---- one module ----------------------------------------------------------------------------- */

static lorac_status shape_error(const struct safetensors *file, const struct st_tensor *t, size_t rows, size_t cols,
                                lorac_error *err)
{
    return fail(err, LORAC_MISMATCH, file->path, "tensor \"%s\" is %zu x %zu, the base needs %zu x %zu", t->name,
                t->dims > 0 ? t->shape[0] : 0, t->dims > 1 ? t->shape[1] : 0, rows, cols);
}

static lorac_status check_pair(const struct safetensors *file, const struct dialect *d, const struct linear *l,
                               const struct st_tensor *a, const struct st_tensor *b, size_t *rank, lorac_error *err)
{
    size_t in = l->weight.cols, out = module_rows(&(struct adapter_module){.linear = l});
    *rank = a->dims == 2 ? a->shape[d->transposed ? 1 : 0] : 0;
    if (!*rank || *rank > 65536 || a->dims != 2 || a->shape[d->transposed ? 0 : 1] != in)
        return shape_error(file, a, d->transposed ? in : *rank, d->transposed ? *rank : in, err);
    if (b->dims != 2 || b->shape[d->transposed ? 0 : 1] != *rank || b->shape[d->transposed ? 1 : 0] != out)
        return shape_error(file, b, d->transposed ? *rank : out, d->transposed ? out : *rank, err);
    const struct st_tensor *both[2] = {a, b};
    for (int i = 0; i < 2; i++)
        if (both[i]->dtype != ST_F32 && both[i]->dtype != ST_F16 && both[i]->dtype != ST_BF16)
            return fail(err, LORAC_UNSUPPORTED, file->path,
                        "tensor \"%s\" is of type %s; lorac reads F32, F16 and BF16", both[i]->name,
                        st_dtype_name(both[i]->dtype));
    return LORAC_OK;
}

static float element(const struct st_tensor *t, size_t i)
{
    float f;
    uint16_t h;
    if (t->dtype == ST_F32) return memcpy(&f, t->data + 4 * i, 4), f;
    memcpy(&h, t->data + 2 * i, 2);
    return t->dtype == ST_F16 ? half_to_float(h) : bf16_to_float(h);
}

static void copy_pair(const struct dialect *d, const struct adapter_module *m, const struct st_tensor *a,
                      const struct st_tensor *b, float *floats)
{
    size_t in = m->linear->weight.cols, out = module_rows(m), r = m->rank;
    for (size_t i = 0; i < r; i++)
        for (size_t k = 0; k < in; k++) floats[m->a + i * in + k] = element(a, d->transposed ? k * r + i : i * in + k);
    for (size_t n = 0; n < out; n++)
        for (size_t i = 0; i < r; i++)
            floats[m->b + module_row(m, n) * r + i] = element(b, d->transposed ? i * out + n : n * r + i);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static lorac_status collect(const struct safetensors *file, const struct dialect *d, const struct scaling *s,
                            struct linear_list linears, struct adapter_layout *layout, lorac_error *err)
{
    for (size_t i = 0; i < linears.count; i++) {
        const struct linear *l = &linears.items[i];
        if (l->part) continue;
        const struct st_tensor *a = find(file, d, &linears.names, l->name, d->a),
                               *b = find(file, d, &linears.names, l->name, d->b);
        if (!a && !b) continue;
        if (!a || !b)
            return fail(err, LORAC_MISMATCH, file->path, "half a pair: \"%s\" has no lora_%s", l->name, a ? "B" : "A");
        struct adapter_module *m = &layout->modules[layout->count++];
        m->linear = l;
        TRY(check_pair(file, d, l, a, b, &m->rank, err));
        m->scale = module_scale(s, l->name, m->rank);
    }
    return layout_place(layout, err);
}

static bool matched(const struct safetensors *file, const struct dialect *d, const struct module_names *names,
                    const struct adapter_layout *layout, const struct st_tensor *t)
{
    for (size_t i = 0; i < layout->count; i++) {
        const char *module = layout->modules[i].linear->name;
        if (t == find(file, d, names, module, d->a) || t == find(file, d, names, module, d->b)) return true;
    }
    return false;
}

/* Every tensor must have found its matrix. */
static lorac_status check_all_used(struct memory *memory, const struct safetensors *file, const struct dialect *d,
                                   const struct module_names *names, const struct adapter_layout *layout,
                                   lorac_error *err)
{
    struct text list = {.memory = memory};
    size_t unmatched = 0;
    if (layout->count * 2 == file->count && layout->count) return LORAC_OK;
    for (size_t i = 0; i < file->count; i++) {
        if (matched(file, d, names, layout, &file->tensors[i])) continue;
        if (unmatched++ >= MAX_LISTED) continue;
        if (list.length) text_puts(&list, ", ");
        text_puts(&list, file->tensors[i].name);
    }
    lorac_status status =
        fail(err, LORAC_MISMATCH, file->path,
             "%zu of %zu tensors match nothing in the base model: %s%s (was the adapter made for another model?)",
             unmatched, file->count, list.data ? list.data : "?", unmatched > MAX_LISTED ? ", ..." : "");
    text_free(&list);
    return status;
}

lorac_status adapter_read_tensors(struct memory *memory, const struct safetensors *file, const json_t *config,
                                  const char *config_path, struct linear_list linears, struct adapter_layout *layout,
                                  float **floats, lorac_error *err)
{
    struct scaling s = {0};
    bool is_mlx = true;
    if (!file->count) return fail(err, LORAC_MISMATCH, file->path, "the file is empty: it adapts nothing");
    for (size_t i = 0; i < file->count; i++)
        if (!strncmp(file->tensors[i].name, peft.prefix, strlen(peft.prefix))) is_mlx = false;
    const struct dialect *d = is_mlx ? &mlx : &peft;
    TRY(is_mlx ? mlx_scaling(config, config_path, &s, err) : peft_scaling(config, config_path, &s, err));
    layout->modules = mem_array(memory, linears.count, sizeof *layout->modules);
    if (!layout->modules) return fail_memory(err, "an adapter", linears.count * sizeof *layout->modules);
    TRY(collect(file, d, &s, linears, layout, err));
    TRY(check_all_used(memory, file, d, &linears.names, layout, err));
    *floats = mem_array(memory, layout->floats, sizeof **floats);
    if (!*floats) return fail_memory(err, "an adapter", layout->floats * sizeof **floats);
    for (size_t i = 0; i < layout->count; i++) {
        const struct adapter_module *m = &layout->modules[i];
        const char *name = m->linear->name;
        copy_pair(d, m, find(file, d, &linears.names, name, d->a), find(file, d, &linears.names, name, d->b), *floats);
    }
    return LORAC_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* *path: the file of that name in the folder, or NULL where there is none. */
static lorac_status find_file(struct memory *m, const char *folder, const char *name, char **path, lorac_error *err)
{
    *path = os_join(m, folder, name);
    if (!*path) return fail_memory(err, "a path", strlen(folder));
    if (os_is_file(*path)) return LORAC_OK;
    mem_free(m, *path);
    *path = NULL;
    return LORAC_OK;
}

/* The weights' file: the path itself, or what the folder holds. */
static lorac_status weights_path(struct memory *m, const char *path, char **file, lorac_error *err)
{
    if (!os_is_folder(path)) {
        if (!os_is_file(path)) return fail(err, LORAC_NOT_FOUND, path, "there is no such adapter folder or file");
        *file = mem_text(m, path, strlen(path));
        return *file ? LORAC_OK : fail_memory(err, "a path", strlen(path));
    }
    TRY(find_file(m, path, "adapter_model.safetensors", file, err));
    if (!*file) TRY(find_file(m, path, "adapters.safetensors", file, err));
    if (*file) return LORAC_OK;
    return fail(err, LORAC_NOT_FOUND, path,
                "the folder holds neither adapter_model.safetensors (PEFT) nor adapters.safetensors (mlx-lm)");
}

static char *config_beside(struct memory *m, const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? mem_text(m, file, (size_t)(slash - file)) : mem_text(m, ".", 1);
    char *config = folder ? os_join(m, *folder ? folder : "/", "adapter_config.json") : NULL;
    mem_free(m, folder);
    return config;
}

lorac_status adapter_read(struct memory *m, const char *path, struct linear_list linears, struct adapter_layout *layout,
                          float **floats, lorac_error *err)
{
    char *file = NULL, *config_path = NULL;
    struct safetensors tensors = {0};
    json_t *config = NULL;
    *layout = (struct adapter_layout){0};
    *floats = NULL;
    lorac_status status = weights_path(m, path, &file, err);
    if (status == LORAC_OK) {
        config_path = config_beside(m, file);
        status = config_path ? json_read_file(m, config_path, CONFIG_CAP, &config, err)
                             : fail_memory(err, "a path", strlen(file));
    }
    if (status == LORAC_OK) status = safetensors_open(m, file, true, &tensors, err);
    if (status == LORAC_OK) {
        status = adapter_read_tensors(m, &tensors, config, config_path, linears, layout, floats, err);
        safetensors_close(&tensors);
    }
    json_decref(config);
    mem_free(m, config_path);
    mem_free(m, file);
    if (status == LORAC_OK) return status;
    mem_free(m, layout->modules);
    mem_free(m, *floats);
    *layout = (struct adapter_layout){0};
    *floats = NULL;
    return status;
}

/* inspect_adapter.c — describing adapters: PEFT's and mlx-lm's folders, lorac's own with its state, GGUF adapters.
 *
 * Without a base model: whether an adapter fits one is for lorac_adapter_open to say. */
#include "model/inspect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_CAP = 1 << 24 };

/* ---- weights -------------------------------------------------------------------------------- */

/* What the names and shapes of low-rank pairs say. */
struct pairs {
    size_t modules, rank;
    long first_layer, last_layer; /* −1: no layer is named */
};

static void count_layer(struct pairs *p, const char *name)
{
    const char *place = strstr(name, ".layers.");
    long layer = 0;
    if (!place) return;
    for (place += 8; *place >= '0' && *place <= '9' && layer < 1000000; place++) layer = 10 * layer + (*place - '0');
    if (p->first_layer < 0 || layer < p->first_layer) p->first_layer = layer;
    if (layer > p->last_layer) p->last_layer = layer;
}

/* PEFT's A is (r, in), mlx-lm's (in, r). */
static void count_pair(struct pairs *p, const struct st_tensor *t)
{
    bool peft = strstr(t->name, ".lora_A.") || strstr(t->name, ".lora_embedding_A"), mlx = strstr(t->name, ".lora_a");
    if (!peft && !mlx) return;
    size_t rank = t->dims == 2 ? t->shape[peft ? 0 : 1] : 0;
    p->modules++;
    if (rank > p->rank) p->rank = rank;
    count_layer(p, t->name);
}

static void put_pairs(json_t *out, const struct pairs *p)
{
    if (p->rank) put_size(out, "rank", p->rank);
    put_size(out, "modules", p->modules);
    if (p->last_layer < 0) return;
    put_size(out, "first_layer", (size_t)p->first_layer);
    put_size(out, "last_layer", (size_t)p->last_layer);
}

/* ---- config --------------------------------------------------------------------------------- */

static double peft_scale(const json_t *config, size_t rank)
{
    double alpha = json_number_value(json_object_get(config, "lora_alpha"));
    const json_t *r = json_object_get(config, "r");
    double divisor = json_is_integer(r) ? (double)json_integer_value(r) : (double)rank;
    return alpha / (json_is_true(json_object_get(config, "use_rslora")) ? sqrt(divisor) : divisor);
}

static void put_config(json_t *out, const json_t *config, size_t rank)
{
    const json_t *mlx = json_object_get(config, "lora_parameters"), *scale = json_object_get(mlx, "scale");
    const char *method = json_string_value(json_object_get(config, "peft_type"));
    const char *base = json_string_value(json_object_get(config, "base_model_name_or_path"));
    bool peft = json_is_number(json_object_get(config, "lora_alpha"));
    double value = peft ? peft_scale(config, rank) : json_number_value(scale);
    if (!method) method = json_string_value(json_object_get(config, "fine_tune_type"));
    put_text(out, "method", json_is_true(json_object_get(config, "use_dora")) ? "DORA" : method);
    if ((peft || json_is_number(scale)) && isfinite(value)) json_object_set_new(out, "scale", json_real(value));
    json_t *targets = json_object_get(config, "target_modules");
    if (!targets) targets = json_object_get(mlx, "keys");
    if (targets && !json_is_null(targets)) json_object_set(out, "target_modules", targets);
    put_text(out, "base_model", base ? base : json_string_value(json_object_get(config, "model")));
}

/* ---- lorac's state -------------------------------------------------------------------------- */

static void put_iteration(struct inspection *i, json_t *out, const struct safetensors *state)
{
    const char *progress = safetensors_metadata(state, "progress");
    json_t *value = NULL;
    if (!progress || json_read(i->memory, progress, strlen(progress), state->path, &value, NULL)) return;
    json_t *iteration = json_object_get(value, "iteration"), *iterations = json_object_get(value, "iterations");
    if (json_is_integer(iteration)) json_object_set(out, "trained_iterations", iteration);
    if (json_is_integer(iterations)) json_object_set(out, "planned_iterations", iterations);
    json_decref(value);
}

static lorac_status put_state(struct inspection *i, const char *folder, lorac_error *err)
{
    struct safetensors state;
    char *path = os_join(i->memory, folder, "state/state.safetensors");
    if (!path) return fail_memory(err, "a path", strlen(folder));
    lorac_status status = LORAC_OK;
    if (os_is_file(path)) {
        status = safetensors_open(i->memory, path, true, &state, err);
        if (status == LORAC_OK) {
            put_iteration(i, i->out, &state);
            safetensors_close(&state);
        }
    }
    mem_free(i->memory, path);
    return status;
}

/* ---- folders -------------------------------------------------------------------------------- */

struct adapter_files {
    bool peft, mlx;
    struct tally tally;
    struct pairs pairs;
};

/* Adds one weights file, where it is there. A folder with both forms holds the same numbers twice: the first is
 * counted. */
static lorac_status add_file(struct inspection *i, const char *folder, const char *name, struct adapter_files *f,
                             bool *there, lorac_error *err)
{
    struct safetensors weights;
    char *path = os_join(i->memory, folder, name);
    if (!path) return fail_memory(err, "a path", strlen(folder));
    bool counted = f->peft || f->mlx;
    *there = os_is_file(path);
    lorac_status status = *there ? safetensors_open(i->memory, path, true, &weights, err) : LORAC_OK;
    if (*there && status == LORAC_OK) {
        if (counted)
            f->tally.files += weights.file.size;
        else
            tally_safetensors(&f->tally, &weights);
        for (size_t t = 0; t < weights.count && !counted; t++) count_pair(&f->pairs, &weights.tensors[t]);
        safetensors_close(&weights);
    }
    mem_free(i->memory, path);
    return status;
}

static lorac_status add_files(struct inspection *i, const char *folder, const char *file, struct adapter_files *f,
                              lorac_error *err)
{
    if (!file || strcmp(file, "adapters.safetensors"))
        TRY(add_file(i, folder, file ? file : "adapter_model.safetensors", f, &f->peft, err));
    if (!file || !f->peft) TRY(add_file(i, folder, "adapters.safetensors", f, &f->mlx, err));
    if (f->peft || f->mlx) return LORAC_OK;
    return fail(err, LORAC_NOT_FOUND, folder,
                "holds an adapter_config.json, but neither adapter_model.safetensors nor adapters.safetensors");
}

lorac_status inspect_adapter(struct inspection *i, const char *folder, const char *file, lorac_error *err)
{
    struct adapter_files f = {.pairs = {.first_layer = -1, .last_layer = -1}};
    char *path = os_join(i->memory, folder, "adapter_config.json");
    json_t *config = NULL;
    lorac_status status =
        path ? json_read_file(i->memory, path, CONFIG_CAP, &config, err) : fail_memory(err, "a path", strlen(folder));
    if (status == LORAC_OK && !json_is_object(config)) status = fail(err, LORAC_FORMAT, path, "is not a JSON object");
    if (status == LORAC_OK) status = add_files(i, folder, file, &f, err);
    if (status == LORAC_OK) {
        put_text(i->out, "kind", "adapter");
        put_text(i->out, "format", f.peft && f.mlx ? "both" : f.peft ? "PEFT" : "mlx-lm");
        put_config(i->out, config, f.pairs.rank);
        put_pairs(i->out, &f.pairs);
        tally_report(&f.tally, i->out);
        status = put_state(i, folder, err);
    }
    json_decref(f.tally.types);
    json_decref(config);
    mem_free(i->memory, path);
    return status;
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

lorac_status inspect_gguf_adapter(struct inspection *i, const struct gguf *g, lorac_error *err)
{
    struct tally tally = {0};
    size_t modules = 0, rank = 0;
    double alpha;
    for (size_t t = 0; t < g->tensor_count; t++) {
        const struct gguf_tensor *tensor = &g->tensors[t];
        if (tensor->name.length < 7 || memcmp(tensor->name.data + tensor->name.length - 7, ".lora_a", 7)) continue;
        modules++;
        if (tensor->dims == 2 && tensor->shape[1] > rank) rank = tensor->shape[1];
    }
    TRY(gguf_get_float(g, "adapter.lora.alpha", NAN, &alpha, err));
    put_text(i->out, "kind", "adapter");
    put_text(i->out, "format", "GGUF");
    put_gguf(i->out, "method", g, "adapter.type");
    put_gguf(i->out, "architecture", g, "general.architecture");
    if (rank) put_size(i->out, "rank", rank);
    if (rank && isfinite(alpha)) json_object_set_new(i->out, "scale", json_real(alpha / (double)rank));
    put_size(i->out, "modules", modules);
    tally_gguf(&tally, g);
    tally_report(&tally, i->out);
    return LORAC_OK;
}

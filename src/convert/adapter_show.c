/* adapter_show.c — lorac_adapter_describe: what an adapter's file holds. */
#include "convert/adapter_open.h"

#include <lorac/adapter_file.h>

#include <math.h>
#include <string.h>

struct show {
    struct memory *memory;
    const struct adapter_file *file;
    json_t *out;
    double norm; /* of all modules together */
    size_t parameters, bytes;
};

static void put_size(json_t *out, const char *key, size_t value)
{
    json_object_set_new(out, key, json_integer((json_int_t)value));
}

/* ---- modules -------------------------------------------------------------------------------- */

static void count_matrix(struct show *s, const struct matrix *m)
{
    if (!m->data) return;
    s->parameters += m->rows * m->cols;
    s->bytes += m->rows * m->cols * st_dtype_bytes(m->dtype);
}

static lorac_status put_module(struct show *s, const struct file_module *m, json_t *list, lorac_error *err)
{
    double norm;
    TRY(module_norm(s->memory, m, &norm, err));
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:f, s:o, s:s}", "name", m->name, "rank", (json_int_t)m->a.rows, "in",
                          (json_int_t)m->a.cols, "out", (json_int_t)m->b.rows, "scale", m->scale, "norm",
                          isfinite(norm) ? json_real(norm) : json_null(), "dtype", st_dtype_name(m->a.dtype));
    if (m->magnitude.data) json_object_set_new(o, "dora", json_true());
    if (m->bias.data) json_object_set_new(o, "bias", json_true());
    json_array_append_new(list, o);
    s->norm += norm * norm;
    count_matrix(s, &m->a);
    count_matrix(s, &m->b);
    count_matrix(s, &m->magnitude);
    count_matrix(s, &m->bias);
    return LORAC_OK;
}

static lorac_status put_modules(struct show *s, lorac_error *err)
{
    json_t *list = json_array();
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < s->file->modules.count && status == LORAC_OK; i++)
        status = put_module(s, &file_modules(s->file)[i], list, err);
    for (size_t i = 0; i < s->file->whole_count; i++) {
        s->bytes += s->file->whole[i].bytes;
        s->parameters += s->file->whole[i].bytes / st_dtype_bytes(s->file->whole[i].dtype);
    }
    json_object_set_new(s->out, "modules", list);
    return status;
}

static void put_layers(struct show *s)
{
    json_t *layers = json_array();
    size_t layer, last = SIZE_MAX;
    for (size_t i = 0; i < s->file->modules.count; i++) {
        if (!name_layer(file_modules(s->file)[i].name, &layer) || layer == last) continue;
        json_array_append_new(layers, json_integer((json_int_t)layer));
        last = layer;
    }
    json_object_set_new(s->out, "layers", layers);
}

/* "rank" and "scale": one number where all modules have it, else the list of them. */
static void put_shared(struct show *s)
{
    json_t *ranks = json_array(), *scales = json_array();
    for (size_t i = 0; i < s->file->modules.count; i++) {
        const struct file_module *m = &file_modules(s->file)[i];
        size_t r = 0, k = 0;
        while (r < json_array_size(ranks) && json_integer_value(json_array_get(ranks, r)) != (json_int_t)m->a.rows) r++;
        while (k < json_array_size(scales) && json_real_value(json_array_get(scales, k)) != m->scale) k++;
        if (r == json_array_size(ranks)) json_array_append_new(ranks, json_integer((json_int_t)m->a.rows));
        if (k == json_array_size(scales)) json_array_append_new(scales, json_real(m->scale));
    }
    json_object_set(s->out, "rank", json_array_size(ranks) == 1 ? json_array_get(ranks, 0) : ranks);
    json_object_set(s->out, "scale", json_array_size(scales) == 1 ? json_array_get(scales, 0) : scales);
    json_decref(ranks);
    json_decref(scales);
}

/* ---- the config ----------------------------------------------------------------------------- */

static void copy_key(struct show *s, const char *key, const json_t *from, const char *name)
{
    json_t *v = json_object_get(from, name);
    if (v && !json_is_null(v)) json_object_set(s->out, key, v);
}

static void put_config(struct show *s)
{
    static const char *const keys[] = {
        "use_rslora",   "bias",          "modules_to_save",     "trainable_token_indices",
        "rank_pattern", "alpha_pattern", "layers_to_transform", NULL};
    const json_t *c = s->file->config;
    bool peft = s->file->format == ADAPTER_PEFT;
    if (peft) copy_key(s, "alpha", c, "lora_alpha");
    for (size_t i = 0; peft && keys[i]; i++)
        if (config_set(c, (const char *const[]){keys[i], NULL})) copy_key(s, keys[i], c, keys[i]);
    copy_key(s, "base_model", c, peft ? "base_model_name_or_path" : "model");
    copy_key(s, "revision", c, "revision");
    copy_key(s, "made_with_peft", c, "peft_version");
}

static void put_whole(struct show *s)
{
    json_t *names = json_array();
    for (size_t i = 0; i < s->file->whole_count; i++) json_array_append_new(names, json_string(s->file->whole[i].name));
    if (s->file->whole_count) json_object_set(s->out, "other_tensors", names);
    json_decref(names);
}

/* ---- all ------------------------------------------------------------------------------------ */

static lorac_status put_all(struct show *s, lorac_error *err)
{
    static const char *const formats[ADAPTER_FORMATS] = {"peft", "mlx", "gguf"};
    uint8_t digest[HASH_BYTES];
    char hash[HASH_TEXT];
    json_object_set_new(s->out, "path", json_string(s->file->path));
    json_object_set_new(s->out, "format", json_string(formats[s->file->format]));
    json_object_set_new(s->out, "method", json_string(file_has_dora(s->file) ? "dora" : "lora"));
    put_shared(s);
    put_config(s);
    put_layers(s);
    put_whole(s);
    TRY(put_modules(s, err));
    put_size(s->out, "parameters", s->parameters);
    put_size(s->out, "bytes", s->bytes);
    json_object_set_new(s->out, "norm", isfinite(s->norm) ? json_real(sqrt(s->norm)) : json_null());
    TRY(file_hash(s->file, digest, err));
    hash_text(digest, hash);
    json_object_set_new(s->out, "hash", json_string(hash));
    return LORAC_OK;
}

lorac_status lorac_adapter_describe(lorac_runtime *runtime, const char *path, const char *base, char **json,
                                    lorac_error *err)
{
    struct memory *m = &runtime->memory;
    struct outline outline = {0};
    struct adapter_file f;
    *json = NULL;
    if (base) TRY(outline_open(m, base, &outline, err));
    lorac_status status = adapter_open(m, path, base ? &outline : NULL, &f, err);
    if (status == LORAC_OK) {
        struct show s = {.memory = m, .file = &f, .out = json_object()};
        status = put_all(&s, err);
        if (status == LORAC_OK) status = json_hand_out(m, s.out, json, err);
        json_decref(s.out);
        file_close(&f);
    }
    outline_close(&outline);
    return status;
}

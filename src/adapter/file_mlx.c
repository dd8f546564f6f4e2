/* file_mlx.c — mlx-lm's adapters: A and B transposed, one rank and one scale for all modules, which the config names.
 */
#include "adapter/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- reading -------------------------------------------------------------------------------- */

static const struct part {
    const char *suffix;
    size_t slot;
    bool transposed;
} parts[] = {{".lora_a", offsetof(struct file_module, a), true},
             {".lora_b", offsetof(struct file_module, b), true},
             {".m", offsetof(struct file_module, magnitude), false}};

static lorac_status read_tensor(struct adapter_file *f, const struct st_tensor *t, lorac_error *err)
{
    struct file_module *module;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!ends_with(t->name, parts[i].suffix)) continue;
        TRY(file_module(f, t->name, strlen(t->name) - strlen(parts[i].suffix), &module, err));
        module->embedding = name_embeds(module->name);
        return file_take(f, t, parts[i].transposed, (struct matrix *)((char *)module + parts[i].slot), err);
    }
    return fail(err, LORAC_UNSUPPORTED, f->path, "tensor \"%s\" is no part of a low-rank pair", t->name);
}

lorac_status file_read_mlx(struct adapter_file *f, lorac_error *err)
{
    for (size_t i = 0; i < f->tensors.count; i++) TRY(read_tensor(f, &f->tensors.tensors[i], err));
    return LORAC_OK;
}

/* The scale of the format: the first module's that is not 0. */
static double common_scale(const struct adapter_file *f)
{
    double scale = 0;
    for (size_t i = 0; i < f->modules.count && scale == 0; i++) scale = file_modules(f)[i].scale;
    return scale;
}

/* ---- the config ----------------------------------------------------------------------------- */

/* A relative name is what every one of the last num_layers has, a whole name is one module. */
static void add_key(json_t *keys, const struct file_target *t, const struct file_module *m, bool relative)
{
    struct module_names names = target_names(t);
    char list[MODULE_PARTS][MODULE_NAME], spelled[MODULE_NAME];
    size_t rows[MODULE_PARTS], count = target_parts(t, m, list, rows);
    for (size_t i = 0; i < count; i++) {
        module_spell(&names, names.mlx, list[i], spelled);
        json_array_append_new(keys, json_string(relative ? name_below_layer(spelled) : spelled));
    }
}

static json_t *parameters_json(const struct adapter_file *f, const struct file_target *t, bool last, size_t rank)
{
    struct layer_grid grid;
    json_t *keys = json_array();
    size_t count = last && file_grid(f, &grid) ? grid.per_layer : f->modules.count;
    for (size_t i = 0; i < count; i++) add_key(keys, t, &file_modules(f)[i], last);
    return json_pack("{s:I, s:f, s:f, s:o}", "rank", (json_int_t)rank, "scale", common_scale(f), "dropout", t->dropout,
                     "keys", keys);
}

static void put_config(json_t *c, const struct adapter_file *f, const struct file_target *t, size_t rank)
{
    struct layer_grid grid;
    size_t first = 0;
    bool regular = file_grid(f, &grid);
    if (regular) name_layer(grid.first->name, &first);
    bool last = regular && t->layers && first + grid.layers == t->layers;
    if (f->format == ADAPTER_MLX && f->config && !f->renamed) {
        for (size_t i = 0; mlx_config_keys[i]; i++) {
            json_t *value = json_object_get(f->config, mlx_config_keys[i]);
            if (value) json_object_set(c, mlx_config_keys[i], value);
        }
    } else {
        json_object_set_new(c, "fine_tune_type", json_string(file_has_dora(f) ? "dora" : "lora"));
        json_object_set_new(c, "num_layers", json_integer(regular ? (json_int_t)grid.layers : -1));
        json_object_set_new(c, "lora_parameters", parameters_json(f, t, last, rank));
    }
    if (t->name) json_object_set_new(c, "model", json_string(t->name));
}

/* ---- the weights ---------------------------------------------------------------------------- */

static size_t most_rank(const struct adapter_file *f)
{
    size_t most = 0;
    for (size_t i = 0; i < f->modules.count; i++)
        if (file_modules(f)[i].a.rows > most) most = file_modules(f)[i].a.rows;
    return most;
}

static lorac_status add_part(struct file_output *o, const char *module, const char *suffix, const struct matrix *m,
                             struct output_form form, lorac_error *err)
{
    char name[MODULE_NAME + 16];
    snprintf(name, sizeof name, "%s%s", module, suffix);
    return m->data ? output_add(o, name, m, form, err) : LORAC_OK;
}

/* Of a module that mlx-lm has as several, each gets A and its rows of B. Zeros fill up the rank. */
static lorac_status add_module(struct file_output *o, const struct file_module *m, size_t rank, lorac_error *err)
{
    struct module_names names = target_names(o->target);
    char list[MODULE_PARTS][MODULE_NAME], spelled[MODULE_NAME];
    size_t rows[MODULE_PARTS], count = target_parts(o->target, m, list, rows), first = 0;
    double scale = common_scale(o->file), factor = m->scale == scale ? 1 : m->scale / scale;
    for (size_t i = 0; i < count; i++) {
        struct output_form a = {.rows = m->a.rows, .height = rank, .transposed = true, .factor = 1},
                           b = {.first = first, .rows = rows[i], .width = rank, .transposed = true, .factor = factor},
                           v = {.first = first, .rows = rows[i], .vector = true, .factor = 1};
        module_spell(&names, names.mlx, list[i], spelled);
        TRY(add_part(o, spelled, ".lora_a", &m->a, a, err));
        TRY(add_part(o, spelled, ".lora_b", &m->b, b, err));
        TRY(add_part(o, spelled, ".m", &m->magnitude, v, err));
        first += rows[i];
    }
    return LORAC_OK;
}

static lorac_status check(const struct adapter_file *f, lorac_error *err)
{
    bool dora = file_has_dora(f);
    TRY(file_check_pairs(f, "mlx-lm", err));
    for (size_t i = 0; i < f->modules.count; i++) {
        const struct file_module *m = &file_modules(f)[i];
        if ((m->magnitude.data != NULL) != dora)
            return fail(err, LORAC_UNSUPPORTED, f->path,
                        "\"%s\" has no magnitude and others have: in mlx-lm all modules are DoRA or none", m->name);
        if (dora && m->embedding)
            return fail(err, LORAC_UNSUPPORTED, f->path,
                        "\"%s\" is a DoRA embedding, which mlx-lm computes otherwise than PEFT", m->name);
    }
    return LORAC_OK;
}

lorac_status file_write_mlx(const struct adapter_file *f, const struct file_target *t, const char *folder,
                            json_t *config, lorac_error *err)
{
    struct file_output o;
    TRY(check(f, err));
    output_open(&o, f, t);
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < f->modules.count && status == LORAC_OK; i++)
        status = add_module(&o, &file_modules(f)[i], most_rank(f), err);
    if (status == LORAC_OK) status = output_write(&o, folder, "adapters.safetensors", "mlx", err);
    if (status == LORAC_OK) put_config(config, f, t, most_rank(f));
    output_close(&o);
    return status;
}

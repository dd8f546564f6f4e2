/* file_peft.c — PEFT's adapters: the names of its tensors, and the folder that PEFT loads with no key missing. */
#include "adapter/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char prefix[] = "base_model.model.";

/* ---- reading -------------------------------------------------------------------------------- */

/* What stands behind the module's name; an adapter's name and ".weight" may follow. Longer ones first. */
static const struct part {
    const char *tag;
    size_t slot;
    bool embedding;
} parts[] = {
    {".lora_embedding_A", offsetof(struct file_module, a), true},
    {".lora_embedding_B", offsetof(struct file_module, b), true},
    {".lora_magnitude_vector", offsetof(struct file_module, magnitude), false},
    {".lora_A", offsetof(struct file_module, a), false},
    {".lora_B", offsetof(struct file_module, b), false},
};

/* "", ".weight", ".bias", and these behind one name of an adapter. */
static bool tail_is(const char *tail, const char *end)
{
    if (!strcmp(tail, end)) return true;
    size_t length = *tail == '.' ? 1 + strcspn(tail + 1, ".") : 0;
    return length > 1 && !strcmp(tail + length, end);
}

/* The part that the tensor is of its module, whose name has *length bytes; NULL: it is no part of a pair. */
static const struct part *part_of(const char *name, size_t *length)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *place = strstr(name, parts[i].tag), *tail = place ? place + strlen(parts[i].tag) : NULL;
        if (!place || (*tail && *tail != '.')) continue;
        *length = (size_t)(place - name);
        return &parts[i];
    }
    return NULL;
}

static lorac_status take_part(struct adapter_file *f, const struct st_tensor *t, const char *name,
                              const struct part *part, size_t length, lorac_error *err)
{
    struct file_module *module;
    const char *tail = name + length + strlen(part->tag);
    bool bias = part->slot == offsetof(struct file_module, b) && tail_is(tail, ".bias");
    if (!bias && !tail_is(tail, ".weight") && !tail_is(tail, ""))
        return fail(err, LORAC_UNSUPPORTED, f->path, "tensor \"%s\" is not known to lorac", t->name);
    TRY(file_module(f, name, length, &module, err));
    module->embedding |= part->embedding;
    size_t slot = bias ? offsetof(struct file_module, bias) : part->slot;
    return file_take(f, t, false, (struct matrix *)((char *)module + slot), err);
}

lorac_status file_read_peft(struct adapter_file *f, lorac_error *err)
{
    f->whole = mem_array(f->memory, f->tensors.count, sizeof *f->whole);
    if (!f->whole) return fail_memory(err, "the adapter's tensors", f->tensors.count * sizeof *f->whole);
    for (size_t i = 0; i < f->tensors.count; i++) {
        const struct st_tensor *t = &f->tensors.tensors[i];
        char *name = t->name + (strncmp(t->name, prefix, sizeof prefix - 1) ? 0 : sizeof prefix - 1);
        size_t length = 0;
        const struct part *part = part_of(name, &length);
        if (part) {
            TRY(take_part(f, t, name, part, length, err));
            continue;
        }
        f->whole[f->whole_count] = *t;
        f->whole[f->whole_count++].name = name;
    }
    return LORAC_OK;
}

/* ---- the config ----------------------------------------------------------------------------- */

static void spell(const struct file_target *t, const struct file_module *m, char name[MODULE_NAME])
{
    struct module_names names = target_names(t);
    module_spell(&names, names.peft, m->name, name);
}

static json_t *whole_number(double x)
{
    return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static double alpha_of(const struct file_module *m, bool rslora)
{
    return m->scale * (rslora ? sqrt((double)m->a.rows) : (double)m->a.rows);
}

/* Rank and alpha of the first module, and of those that have others. */
static void put_scales(json_t *c, const struct adapter_file *f, const struct file_target *t)
{
    const struct file_module *list = f->modules.items;
    json_t *ranks = json_object(), *alphas = json_object();
    double alpha = alpha_of(list, t->rslora);
    for (size_t i = 1; i < f->modules.count; i++) {
        char name[MODULE_NAME];
        spell(t, &list[i], name);
        if (list[i].a.rows != list->a.rows) json_object_set_new(ranks, name, json_integer((json_int_t)list[i].a.rows));
        if (fabs(alpha_of(&list[i], t->rslora) - alpha) > 1e-12 * fabs(alpha))
            json_object_set_new(alphas, name, whole_number(alpha_of(&list[i], t->rslora)));
    }
    json_object_set_new(c, "r", json_integer((json_int_t)list->a.rows));
    json_object_set_new(c, "lora_alpha", whole_number(alpha));
    json_object_set_new(c, "lora_dropout", json_real(t->dropout));
    json_object_set_new(c, "use_rslora", json_boolean(t->rslora));
    json_object_set_new(c, "rank_pattern", ranks);
    json_object_set_new(c, "alpha_pattern", alphas);
}

/* Each module by its whole name: a model that also sees has others of the same last names. */
static json_t *whole_names(const struct adapter_file *f, const struct file_target *t)
{
    json_t *list = json_array();
    char name[MODULE_NAME];
    for (size_t i = 0; i < f->modules.count; i++) {
        spell(t, &file_modules(f)[i], name);
        json_array_append_new(list, json_string(name));
    }
    return list;
}

/* Whether the modules of the base that end so are the grid's alone. */
static bool last_name_tells(const struct file_target *t, const struct layer_grid *grid, const char *last)
{
    for (size_t i = 0; t->base && i < t->base->count; i++) {
        const char *name = t->base->items[i].name, *dot = strrchr(name, '.');
        bool known = !dot || strcmp(dot + 1, last) != 0;
        for (size_t k = 0; k < grid->per_layer && !known; k++)
            known = !strcmp(name_below_layer(name), name_below_layer(grid->first[k].name));
        if (!known) return false;
    }
    return t->base != NULL;
}

/* What PEFT's target_modules matches by its end. */
static json_t *end_names(const struct file_target *t, const struct layer_grid *grid)
{
    json_t *list = json_array();
    for (size_t i = 0; i < grid->per_layer; i++) {
        const char *last = strrchr(grid->first[i].name, '.') + 1;
        if (!last_name_tells(t, grid, last)) last = name_below_layer(grid->first[i].name);
        bool there = false;
        for (size_t k = 0; k < json_array_size(list); k++)
            there |= !strcmp(json_string_value(json_array_get(list, k)), last);
        if (!there) json_array_append_new(list, json_string(last));
    }
    return list;
}

/* What the layers' list is called: "layers", or GPT-2's "h". */
static json_t *layers_pattern(const char *name)
{
    size_t layer;
    const char *end = name_layer(name, &layer), *begin = end;
    while (begin > name && begin[-1] != '.') begin--;
    return json_stringn(begin, (size_t)(end - begin));
}

static void put_targets(json_t *c, const struct adapter_file *f, const struct file_target *t)
{
    struct layer_grid grid;
    struct module_names names = target_names(t);
    bool regular = file_grid(f, &grid) && !strcmp(names.own, names.peft);
    json_object_set_new(c, "target_modules", regular ? end_names(t, &grid) : whole_names(f, t));
    if (!regular || grid.layers == t->layers) return;
    json_t *layers = json_array();
    size_t layer;
    for (size_t i = 0; i < f->modules.count; i += grid.per_layer) {
        name_layer(file_modules(f)[i].name, &layer);
        json_array_append_new(layers, json_integer((json_int_t)layer));
    }
    json_object_set_new(c, "layers_to_transform", layers);
    json_object_set_new(c, "layers_pattern", layers_pattern(grid.first->name));
}

static void put_defaults(json_t *c)
{
    static const struct {
        const char *key;
        json_t *(*value)(void);
    } defaults[] = {{"fan_in_fan_out", json_false},
                    {"inference_mode", json_true},
                    {"init_lora_weights", json_true},
                    {"modules_to_save", json_null}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!json_object_get(c, defaults[i].key)) json_object_set_new(c, defaults[i].key, defaults[i].value());
    if (!json_object_get(c, "task_type")) json_object_set_new(c, "task_type", json_string("CAUSAL_LM"));
    if (!json_object_get(c, "bias")) json_object_set_new(c, "bias", json_string("none"));
}

/* PEFT's own config stays but for what became another: the names, where a base spells them otherwise. */
static void put_config(json_t *c, const struct adapter_file *f, const struct file_target *t)
{
    bool kept = f->format == ADAPTER_PEFT && f->config;
    if (kept) {
        json_object_update(c, f->config);
        for (size_t i = 0; mlx_config_keys[i]; i++) json_object_del(c, mlx_config_keys[i]);
    }
    json_object_set_new(c, "peft_type", json_string("LORA"));
    json_object_set_new(c, "use_dora", json_boolean(file_has_dora(f)));
    if (t->name) json_object_set_new(c, "base_model_name_or_path", json_string(t->name));
    if (!kept) put_scales(c, f, t);
    if (!kept || f->renamed) put_targets(c, f, t);
    put_defaults(c);
}

/* ---- the weights ---------------------------------------------------------------------------- */

static lorac_status add_part(struct file_output *o, const struct file_module *m, const char *suffix,
                             const struct matrix *matrix, bool vector, lorac_error *err)
{
    char name[2 * MODULE_NAME], spelled[MODULE_NAME];
    if (!matrix->data) return LORAC_OK;
    spell(o->target, m, spelled);
    snprintf(name, sizeof name, "%s%s%s", prefix, spelled, suffix);
    return output_add(o, name, matrix, (struct output_form){.rows = matrix->rows, .vector = vector, .factor = 1}, err);
}

static lorac_status add_module(struct file_output *o, const struct file_module *m, lorac_error *err)
{
    TRY(add_part(o, m, m->embedding ? ".lora_embedding_A" : ".lora_A.weight", &m->a, false, err));
    TRY(add_part(o, m, m->embedding ? ".lora_embedding_B" : ".lora_B.weight", &m->b, false, err));
    TRY(add_part(o, m, ".lora_B.bias", &m->bias, true, err));
    return add_part(o, m, ".lora_magnitude_vector", &m->magnitude, true, err);
}

lorac_status file_write_peft(const struct adapter_file *f, const struct file_target *t, const char *folder,
                             json_t *config, lorac_error *err)
{
    struct file_output o;
    output_open(&o, f, t);
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < f->modules.count && status == LORAC_OK; i++)
        status = add_module(&o, &file_modules(f)[i], err);
    for (size_t i = 0; i < f->whole_count && status == LORAC_OK; i++)
        status = output_copy(&o, prefix, &f->whole[i], err);
    if (status == LORAC_OK) status = output_write(&o, folder, "adapter_model.safetensors", "pt", err);
    if (status == LORAC_OK) put_config(config, f, t);
    output_close(&o);
    return status;
}

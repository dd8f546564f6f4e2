/* write.c — adapter folders that PEFT and mlx-lm load unchanged: adapter_config.json with both programs' keys,
 * adapter_model.safetensors (PEFT), adapters.safetensors (mlx-lm, A and B transposed). All in f32. */
#include "adapter/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- config --------------------------------------------------------------------------------- */

/* Each module by its whole name: a model that also sees has others of the same last names. */
static json_t *whole_names(const struct adapter_layout *layout, const struct module_names *names)
{
    json_t *list = json_array();
    char name[MODULE_NAME];
    for (size_t i = 0; i < layout->count; i++) {
        module_spell(names, names->peft, layout->modules[i].linear->name, name);
        json_array_append_new(list, json_string(name));
    }
    return list;
}

/* The last name of each adapted module, once each: what PEFT's target_modules matches by its end. */
static json_t *last_names(const struct adapter_layout *layout)
{
    json_t *list = json_array();
    for (size_t i = 0; i < layout->count; i++) {
        const char *name = strrchr(layout->modules[i].linear->name, '.');
        name = name ? name + 1 : layout->modules[i].linear->name;
        bool there = false;
        for (size_t k = 0; k < json_array_size(list); k++)
            there |= !strcmp(json_string_value(json_array_get(list, k)), name);
        if (!there) json_array_append_new(list, json_string(name));
    }
    return list;
}

/* ".3." in the name of a module of layer 3, or NULL. */
static const char *layer_in(const struct linear *l)
{
    char number[32];
    snprintf(number, sizeof number, ".%zu.", l->layer);
    return strstr(l->name, number);
}

/* What the layers' list is called: "layers", or GPT-2's "h". */
static json_t *layers_pattern(const struct linear *l)
{
    const char *end = layer_in(l), *begin = end;
    while (begin && begin > l->name && begin[-1] != '.') begin--;
    return begin ? json_stringn(begin, (size_t)(end - begin)) : json_null();
}

static void add_targets(json_t *c, const struct adapter_layout *layout, const struct adapter_description *d)
{
    bool whole = strcmp(d->names.own, d->names.peft) != 0;
    json_object_set_new(c, "target_modules", whole ? whole_names(layout, &d->names) : last_names(layout));
    if (whole || !d->first_layer || !layout->count) return;
    json_t *layers = json_array();
    for (size_t i = d->first_layer; i < d->layers; i++) json_array_append_new(layers, json_integer((json_int_t)i));
    json_object_set_new(c, "layers_to_transform", layers);
    json_object_set_new(c, "layers_pattern", layers_pattern(layout->modules[0].linear));
}

static void add_peft(json_t *c, const struct adapter_layout *layout, const struct adapter_description *d)
{
    double alpha = d->scale * (d->rslora ? sqrt((double)d->rank) : (double)d->rank);
    json_object_set_new(c, "peft_type", json_string("LORA"));
    json_object_set_new(c, "task_type", json_string("CAUSAL_LM"));
    json_object_set_new(c, "base_model_name_or_path", json_string(d->base));
    json_object_set_new(c, "r", json_integer((json_int_t)d->rank));
    json_object_set_new(c, "lora_alpha", alpha == floor(alpha) ? json_integer((json_int_t)alpha) : json_real(alpha));
    json_object_set_new(c, "lora_dropout", json_real(d->dropout));
    json_object_set_new(c, "use_rslora", json_boolean(d->rslora));
    json_object_set_new(c, "use_dora", json_false());
    json_object_set_new(c, "bias", json_string("none"));
    json_object_set_new(c, "fan_in_fan_out", json_false());
    json_object_set_new(c, "inference_mode", json_true());
    json_object_set_new(c, "init_lora_weights", json_true());
    json_object_set_new(c, "modules_to_save", json_null());
    add_targets(c, layout, d);
}

/* What mlx-lm calls the module, or the modules that it makes of it, as names of the base; their number. */
static size_t mlx_names(const struct module_names *names, const char *module, char text[MODULE_PARTS][MODULE_NAME])
{
    size_t parts = module_parts(names, module, text);
    if (parts) return parts;
    snprintf(text[0], MODULE_NAME, "%s", module);
    return 1;
}

/* The module names below a layer, where not all of its linears are adapted. */
static void add_mlx_keys(json_t *parameters, const struct adapter_layout *layout, const struct module_names *names)
{
    json_t *keys = json_array();
    char text[MODULE_PARTS][MODULE_NAME];
    for (size_t i = 0; i < layout->count; i++) {
        const struct linear *l = layout->modules[i].linear;
        const char *place = layer_in(l), *end = place ? strchr(place + 1, '.') : NULL;
        if (l->layer != layout->modules[0].linear->layer || !end) continue;
        size_t parts = mlx_names(names, l->name, text);
        for (size_t p = 0; p < parts; p++) json_array_append_new(keys, json_string(text[p] + (end + 1 - l->name)));
    }
    json_object_set_new(parameters, "keys", keys);
}

static void add_mlx(json_t *c, const struct adapter_layout *layout, const struct adapter_description *d)
{
    json_t *parameters = json_object();
    json_object_set_new(parameters, "rank", json_integer((json_int_t)d->rank));
    json_object_set_new(parameters, "scale", json_real(d->scale));
    json_object_set_new(parameters, "dropout", json_real(d->dropout));
    if (strcmp(d->targets, "all-linear")) add_mlx_keys(parameters, layout, &d->names);
    json_object_set_new(c, "fine_tune_type", json_string("lora"));
    json_object_set_new(c, "num_layers", json_integer((json_int_t)(d->layers - d->first_layer)));
    json_object_set_new(c, "lora_parameters", parameters);
    json_object_set_new(c, "model", json_string(d->base));
}

static lorac_status write_config(struct memory *m, const char *folder, const struct adapter_layout *layout,
                                 const struct adapter_description *d, lorac_error *err)
{
    char *path = os_join(m, folder, "adapter_config.json");
    struct text text = {.memory = m};
    json_t *config = json_object();
    if (d->peft) add_peft(config, layout, d);
    if (d->mlx) add_mlx(config, layout, d);
    json_print(&text, config, (struct json_style){.indent = 2, .sort_keys = true});
    text_puts(&text, "\n");
    lorac_status status = !path || text.failed ? fail_memory(err, "a config", text.length)
                                               : os_write_whole(m, path, text.data, text.length, err);
    json_decref(config);
    text_free(&text);
    mem_free(m, path);
    return status;
}

/* ---- weights -------------------------------------------------------------------------------- */

struct writing {
    const struct adapter_layout *layout;
    const float *floats;
    bool mlx;
    struct module_names names;
    struct st_tensor *tensors;
    size_t count;
    float *data; /* in file order */
    char *text;  /* the tensors' names */
};
enum { NAME = MODULE_NAME + 32, TENSORS = 2 * MODULE_PARTS }; /* of a module, at most */

static void describe(struct writing *w, const char *module, const char *suffix, size_t rows, size_t cols, float *data)
{
    char *name = w->text + w->count * NAME, spelled[MODULE_NAME];
    module_spell(&w->names, w->mlx ? w->names.mlx : w->names.peft, module, spelled);
    snprintf(name, NAME, "%s%s%s", w->mlx ? "" : "base_model.model.", spelled, suffix);
    w->tensors[w->count++] = (struct st_tensor){.name = name,
                                                .dtype = ST_F32,
                                                .dims = 2,
                                                .shape = {rows, cols},
                                                .data = (const uint8_t *)data,
                                                .bytes = rows * cols * sizeof *data};
}

static void place_peft(struct writing *w, const struct adapter_module *m)
{
    size_t in = m->linear->weight.cols, out = module_rows(m), r = m->rank;
    float *to_a = w->data + m->a, *to_b = w->data + m->b;
    memcpy(to_a, w->floats + m->a, r * in * sizeof *to_a);
    for (size_t n = 0; n < out; n++)
        for (size_t j = 0; j < r; j++) to_b[n * r + j] = w->floats[m->b + module_row(m, n) * r + j];
    describe(w, m->linear->name, ".lora_A.weight", r, in, to_a);
    describe(w, m->linear->name, ".lora_B.weight", out, r, to_b);
}

/* Transposed; modules that one became share its A. */
static void place_mlx(struct writing *w, const struct adapter_module *m)
{
    char names[MODULE_PARTS][MODULE_NAME];
    size_t in = m->linear->weight.cols, r = m->rank, first = 0, parts = mlx_names(&w->names, m->linear->name, names);
    float *to_a = w->data + m->a, *to_b = w->data + m->b;
    for (size_t j = 0; j < r; j++)
        for (size_t k = 0; k < in; k++) to_a[k * r + j] = w->floats[m->a + j * in + k];
    for (size_t p = 0; p < parts; p++) {
        size_t out = parts > 1 ? m->linear[p].weight.rows : module_rows(m);
        for (size_t n = 0; n < out; n++)
            for (size_t j = 0; j < r; j++) to_b[j * out + n] = w->floats[m->b + module_row(m, first + n) * r + j];
        describe(w, names[p], ".lora_a", in, r, to_a);
        describe(w, names[p], ".lora_b", r, out, to_b);
        to_b += r * out;
        first += out;
    }
}

static lorac_status write_weights(struct memory *m, const char *folder, const struct adapter_layout *layout,
                                  const float *floats, struct module_names names, bool mlx, lorac_error *err)
{
    struct writing w = {.layout = layout, .floats = floats, .mlx = mlx, .names = names};
    const char *const metadata[] = {"format", mlx ? "mlx" : "pt"};
    char *path = os_join(m, folder, mlx ? "adapters.safetensors" : "adapter_model.safetensors");
    w.tensors = mem_array(m, layout->count * TENSORS, sizeof *w.tensors);
    w.data = mem_array(m, layout->floats, sizeof *w.data);
    w.text = mem_array(m, layout->count * TENSORS, NAME);
    lorac_status status =
        path && w.tensors && w.data && w.text ? LORAC_OK : fail_memory(err, "an adapter's copy", layout->floats * 4);
    if (status == LORAC_OK) {
        for (size_t i = 0; i < layout->count; i++) (mlx ? place_mlx : place_peft)(&w, &layout->modules[i]);
        status = safetensors_write(m, path, w.tensors, w.count, metadata, 1, err);
    }
    mem_free(m, path);
    mem_free(m, w.tensors);
    mem_free(m, w.data);
    mem_free(m, w.text);
    return status;
}

lorac_status adapter_write(struct memory *m, const char *folder, const struct adapter_layout *layout,
                           const float *floats, const struct adapter_description *d, lorac_error *err)
{
    TRY(os_make_folder(folder, err));
    if (d->peft) TRY(write_weights(m, folder, layout, floats, d->names, false, err));
    if (d->mlx) TRY(write_weights(m, folder, layout, floats, d->names, true, err));
    return write_config(m, folder, layout, d, err);
}

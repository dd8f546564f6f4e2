/* read.c — an adapter's file to a layout and floats against a base's linears.
 *
 * All or nothing: a module that the base has not, half a pair, a wrong shape, or a setting that would change numbers
 * and is not computed here, is an error that names it. */
#include "adapter/file.h"

#include <string.h>

/* Settings that change numbers in ways that are not computed here. */
static lorac_status refuse_settings(const struct adapter_file *f, lorac_error *err)
{
    static const char *const keys[] = {
        "use_dora",     "lora_bias", "trainable_token_indices", "modules_to_save", "megatron_config", "eva_config",
        "corda_config", NULL};
    const char *key = config_set(f->config, keys), *bias, *type;
    if (key)
        return fail(err, LORAC_UNSUPPORTED, f->config_path, "\"%s\" is set; lorac runs plain LoRA adapters without it",
                    key);
    TRY(json_get_text(f->config, "bias", "none", &bias, f->config_path, err));
    if (strcmp(bias, "none"))
        return fail(err, LORAC_UNSUPPORTED, f->config_path,
                    "\"bias\": \"%s\"; lorac runs adapters without trained "
                    "biases",
                    bias);
    TRY(json_get_text(f->config, "fine_tune_type", "lora", &type, f->config_path, err));
    if (f->format == ADAPTER_MLX && strcmp(type, "lora"))
        return fail(err, LORAC_UNSUPPORTED, f->config_path, "\"fine_tune_type\": \"%s\"; lorac runs lora", type);
    return file_check_pairs(f, "what lorac runs", err);
}

static lorac_status collect(const struct adapter_file *f, const struct linear_list *linears,
                            struct adapter_layout *layout, lorac_error *err)
{
    layout->modules = mem_array(f->memory, f->modules.count, sizeof *layout->modules);
    if (!layout->modules) return fail_memory(err, "an adapter", f->modules.count * sizeof *layout->modules);
    for (size_t i = 0; i < linears->count && layout->count < f->modules.count; i++) {
        const struct linear *l = &linears->items[i];
        const struct file_module *m = l->part ? NULL : file_find(f, l->name);
        if (m)
            layout->modules[layout->count++] =
                (struct adapter_module){.linear = l, .rank = m->a.rows, .scale = m->scale};
    }
    return layout_place(layout, err);
}

static void copy(const struct file_module *from, const struct adapter_module *to, float *floats)
{
    size_t in = from->a.cols, r = to->rank;
    float *a = floats + to->a, *b = floats + to->b;
    for (size_t i = 0; i < r; i++)
        for (size_t k = 0; k < in; k++) a[i * in + k] = matrix_at(&from->a, i, k);
    for (size_t n = 0; n < from->b.rows; n++)
        for (size_t i = 0; i < r; i++) b[module_row(to, n) * r + i] = matrix_at(&from->b, n, i);
}

static lorac_status read(struct adapter_file *f, const struct linear_list *linears, struct adapter_layout *layout,
                         float **floats, lorac_error *err)
{
    TRY(refuse_settings(f, err));
    TRY(file_fit(f, linears, err));
    TRY(collect(f, linears, layout, err));
    if (layout->count < f->modules.count)
        return fail(err, LORAC_UNSUPPORTED, f->path, "adapts the embedding or the head, which lorac does not run");
    *floats = mem_array(f->memory, layout->floats, sizeof **floats);
    if (!*floats) return fail_memory(err, "an adapter", layout->floats * sizeof **floats);
    for (size_t i = 0; i < layout->count; i++)
        copy(file_find(f, layout->modules[i].linear->name), &layout->modules[i], *floats);
    return LORAC_OK;
}

lorac_status adapter_of_file(struct adapter_file *f, struct linear_list linears, struct adapter_layout *layout,
                             float **floats, lorac_error *err)
{
    *layout = (struct adapter_layout){0};
    *floats = NULL;
    lorac_status status = read(f, &linears, layout, floats, err);
    if (status == LORAC_OK) return status;
    mem_free(f->memory, layout->modules);
    mem_free(f->memory, *floats);
    *layout = (struct adapter_layout){0};
    *floats = NULL;
    return status;
}

lorac_status adapter_read(struct memory *m, const char *path, struct linear_list linears, struct adapter_layout *layout,
                          float **floats, lorac_error *err)
{
    struct adapter_file f;
    TRY(file_open(m, path, &f, err));
    lorac_status status = adapter_of_file(&f, linears, layout, floats, err);
    file_close(&f);
    return status;
}

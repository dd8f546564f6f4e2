/* read.c — adapter folders to a layout and floats: PEFT's adapter_model.safetensors and mlx-lm's adapters.safetensors.
 *
 * All or nothing: a tensor that names no matrix of the base, half a pair, a wrong shape, or a config value that would
 * change numbers and is not known, is an error that lists what did not match. */
#include "adapter/read.h"

#include <string.h>

enum { MAX_LISTED = 6, CONFIG_CAP = 1 << 24 };

/* ---- the tensors ---------------------------------------------------------------------------- */

static lorac_status collect(const struct safetensors *file, const struct dialect *d, const struct scaling *s,
                            struct linear_list linears, struct adapter_layout *layout, lorac_error *err)
{
    for (size_t i = 0; i < linears.count; i++) {
        const struct linear *l = &linears.items[i];
        struct pairs p;
        if (l->part) continue;
        TRY(pairs_find(file, d, &linears.names, l, &p, err));
        if (!p.count) continue;
        layout->modules[layout->count++] =
            (struct adapter_module){.linear = l, .rank = p.rank, .scale = scaling_factor(s, l->name, p.rank)};
    }
    return layout_place(layout, err);
}

/* Marks the tensors of the layout's modules, and copies them. */
static lorac_status copy_all(const struct safetensors *file, const struct dialect *d, const struct module_names *names,
                             const struct adapter_layout *layout, float *floats, bool *used, lorac_error *err)
{
    for (size_t i = 0; i < layout->count; i++) {
        struct pairs p;
        TRY(pairs_find(file, d, names, layout->modules[i].linear, &p, err));
        for (size_t k = 0; k < p.count; k++)
            used[p.items[k].a - file->tensors] = used[p.items[k].b - file->tensors] = true;
        pairs_copy(d, &layout->modules[i], &p, floats);
    }
    return LORAC_OK;
}

/* Every tensor must have found its matrix. */
static lorac_status check_all_used(struct memory *memory, const struct safetensors *file, const bool *used,
                                   lorac_error *err)
{
    struct text list = {.memory = memory};
    size_t unmatched = 0;
    for (size_t i = 0; i < file->count; i++) {
        if (used[i] || unmatched++ >= MAX_LISTED) continue;
        if (list.length) text_puts(&list, ", ");
        text_puts(&list, file->tensors[i].name);
    }
    lorac_status status = LORAC_OK;
    if (unmatched)
        status =
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
        if (!strncmp(file->tensors[i].name, peft_dialect.prefix, strlen(peft_dialect.prefix))) is_mlx = false;
    const struct dialect *d = is_mlx ? &mlx_dialect : &peft_dialect;
    TRY(is_mlx ? scaling_of_mlx(config, config_path, &s, err) : scaling_of_peft(config, config_path, &s, err));
    layout->modules = mem_array(memory, linears.count, sizeof *layout->modules);
    if (!layout->modules) return fail_memory(err, "an adapter", linears.count * sizeof *layout->modules);
    TRY(collect(file, d, &s, linears, layout, err));
    *floats = mem_array(memory, layout->floats, sizeof **floats);
    bool *used = mem_array(memory, file->count, sizeof *used);
    lorac_status status = *floats && used ? LORAC_OK : fail_memory(err, "an adapter", layout->floats * sizeof **floats);
    if (status == LORAC_OK) status = copy_all(file, d, &linears.names, layout, *floats, used, err);
    if (status == LORAC_OK) status = check_all_used(memory, file, used, err);
    mem_free(memory, used);
    return status;
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

/* file_names.c — what the modules of an adapter's file are called: layers, what a base and a format put for them, and
 * whether all layers have the same. See file.h. */
#include "adapter/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one name ------------------------------------------------------------------------------- */

const char *name_layer(const char *name, size_t *layer)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t digits = strspn(dot + 1, "0123456789");
        if (!digits || digits > 6 || dot[1 + digits] != '.') continue;
        *layer = strtoul(dot + 1, NULL, 10);
        return dot;
    }
    return NULL;
}

const char *name_below_layer(const char *name)
{
    size_t layer;
    const char *place = name_layer(name, &layer);
    return place ? strchr(place + 1, '.') + 1 : name;
}

bool name_embeds(const char *name)
{
    static const char *const ends[] = {"embed_tokens", "tok_embeddings", "embed_in", "wte", "wpe", "token_embd"};
    const char *last = strrchr(name, '.');
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (!strcmp(last ? last + 1 : name, ends[i])) return true;
    return false;
}

/* ---- all of a file -------------------------------------------------------------------------- */

bool file_has_dora(const struct adapter_file *f)
{
    for (size_t i = 0; i < f->modules.count; i++)
        if (file_modules(f)[i].magnitude.data) return true;
    return false;
}

/* Modules stand by layer, then by name: each must be called as the one a layer before. */
bool file_grid(const struct adapter_file *f, struct layer_grid *grid)
{
    const struct file_module *list = f->modules.items;
    size_t count = f->modules.count, per_layer = 0, first, layer = 0, at;
    if (!count || !name_layer(list->name, &first)) return false;
    while (per_layer < count && name_layer(list[per_layer].name, &layer) && layer == first) per_layer++;
    for (size_t i = 0; i < count; i++) {
        if (!name_layer(list[i].name, &layer) || layer != first + i / per_layer ||
            strcmp(name_below_layer(list[i].name), name_below_layer(list[i % per_layer].name)))
            return false;
        at = (size_t)(name_layer(list[i].name, &layer) - list[i].name);
        if (strncmp(list[i].name, list->name, at)) return false;
    }
    *grid = (struct layer_grid){list, per_layer, count / per_layer};
    return count % per_layer == 0;
}

/* ---- for a format --------------------------------------------------------------------------- */

struct module_names target_names(const struct file_target *t)
{
    return t->base ? t->base->names : (struct module_names){"", "", "", NULL};
}

const struct linear *linear_named(const struct linear *items, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!items[i].part && !strcmp(items[i].name, name)) return &items[i];
    return NULL;
}

size_t target_parts(const struct file_target *t, const struct file_module *m, char parts[MODULE_PARTS][MODULE_NAME],
                    size_t rows[MODULE_PARTS])
{
    struct module_names names = target_names(t);
    size_t count = module_parts(&names, m->name, parts);
    const struct linear *l = count > 1 ? linear_named(t->base->items, t->base->count, m->name) : NULL;
    for (size_t i = 0; i < count; i++) rows[i] = l ? l[i].weight.rows : m->b.rows;
    if (count) return count;
    snprintf(parts[0], MODULE_NAME, "%s", m->name);
    rows[0] = m->b.rows;
    return 1;
}

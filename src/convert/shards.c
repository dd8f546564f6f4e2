/* shards.c — the files of weights: which items each holds, their tensors, and the index over them. */
#include "convert/conversion.h"

#include <stdio.h>
#include <string.h>

struct shards {
    struct conversion *c;
    const char *folder;
    size_t count;        /* of files */
    size_t *ends;        /* (count): the item after a file's last */
    json_t *map;         /* tensor -> file */
    struct list tensors; /* struct st_tensor, of the file that is being written */
};

static const struct item *item_at(const struct conversion *c, size_t i)
{
    return (const struct item *)c->items.items + i;
}

static void drop_tensors(struct shards *s)
{
    struct st_tensor *tensors = s->tensors.items;
    for (size_t i = 0; i < s->tensors.count; i++) mem_free(s->c->memory, tensors[i].name);
    s->tensors.count = 0;
}

/* ---- which item is in which file ----------------------------------------------------------------- */

static lorac_status cut(struct shards *s, lorac_error *err)
{
    struct conversion *c = s->c;
    size_t cap = c->options->shard_bytes, size = 0;
    s->ends = mem_array(c->memory, c->items.count, sizeof *s->ends);
    if (!s->ends) return fail_memory(err, "a list of files", c->items.count);
    for (size_t i = 0; i < c->items.count; i++) {
        size_t bytes = item_at(c, i)->bytes;
        if (!s->count || size + bytes > cap) size = 0, s->count++;
        size += bytes;
        s->ends[s->count - 1] = i + 1;
    }
    return LORAC_OK;
}

/* ---- one file ------------------------------------------------------------------------------------ */

static lorac_status list_tensors(struct shards *s, size_t first, size_t end, const char *file, lorac_error *err)
{
    for (size_t i = first; i < end; i++) {
        struct st_tensor tensors[ITEM_TENSORS];
        size_t count = item_tensors(s->c, item_at(s->c, i), tensors);
        if (!count) return fail_memory(err, "a tensor's name", ITEM_NAME);
        for (size_t k = 0; k < count; k++) {
            struct st_tensor *t = list_add(&s->tensors);
            if (!t) {
                for (; k < count; k++) mem_free(s->c->memory, tensors[k].name);
                return fail_memory(err, "the list of tensors", sizeof *t);
            }
            *t = tensors[k];
            json_object_set_new(s->map, t->name, json_string(file));
        }
    }
    return LORAC_OK;
}

static lorac_status write_items(struct shards *s, size_t first, size_t end, struct tensor_writer *w, lorac_error *err)
{
    size_t tensor = 0;
    for (size_t i = first; i < end; i++) {
        TRY(write_item(s->c, item_at(s->c, i), w, tensor, err));
        tensor += item_at(s->c, i)->tensors;
        if (w->file.failed) return LORAC_OK; /* the commit says why */
    }
    return LORAC_OK;
}

static lorac_status write_shard(struct shards *s, size_t i, lorac_error *err)
{
    struct conversion *c = s->c;
    struct tensor_writer w;
    const char *own = c->same ? safetensors_metadata(&c->source->shards[0], "format") : NULL;
    const char *metadata[] = {"format", own ? own : c->bnb || c->same ? "pt" : "mlx"};
    size_t first = i ? s->ends[i - 1] : 0;
    char file[64];
    snprintf(file, sizeof file, "model-%05zu-of-%05zu.safetensors", i + 1, s->count);
    if (s->count == 1) snprintf(file, sizeof file, "model.safetensors");
    drop_tensors(s);
    TRY(list_tensors(s, first, s->ends[i], file, err));
    char *path = os_join(c->memory, s->folder, file);
    if (!path) return fail_memory(err, "a path", strlen(file));
    lorac_status status = st_writer_open(c->memory, path, s->tensors.items, s->tensors.count, metadata, 1, &w, err);
    mem_free(c->memory, path);
    if (status != LORAC_OK) return status;
    status = write_items(s, first, s->ends[i], &w, err);
    if (status == LORAC_OK) return tensor_writer_commit(&w, err);
    tensor_writer_abort(&w);
    return status;
}

/* ---- the index ----------------------------------------------------------------------------------- */

static lorac_status write_index(struct shards *s, lorac_error *err)
{
    struct conversion *c = s->c;
    size_t bytes = 0, elements = 0;
    for (size_t i = 0; i < c->items.count; i++) {
        bytes += item_at(c, i)->bytes;
        elements += item_elements(item_at(c, i));
    }
    json_t *index = json_pack("{s:{s:I, s:I}, s:O}", "metadata", "total_size", (json_int_t)bytes, "total_parameters",
                              (json_int_t)elements, "weight_map", s->map);
    lorac_status status = write_json(c, s->folder, "model.safetensors.index.json", index, true, err);
    json_decref(index);
    return status;
}

lorac_status conversion_write(struct conversion *c, const char *folder, lorac_error *err)
{
    struct shards s = {.c = c, .folder = folder, .map = json_object()};
    s.tensors = (struct list){.memory = c->memory, .size = sizeof(struct st_tensor)};
    lorac_status status = cut(&s, err);
    for (size_t i = 0; i < s.count && status == LORAC_OK; i++) status = write_shard(&s, i, err);
    if (status == LORAC_OK && (s.count > 1 || !(c->bnb || c->same))) status = write_index(&s, err);
    drop_tensors(&s);
    list_free(&s.tensors);
    mem_free(c->memory, s.ends);
    json_decref(s.map);
    return status;
}

/* st_folder.c — a Hugging Face model folder's safetensors: one file, or the shards of its index. See safetensors.h.
 *
 * Owns: the agreement of index and shards. Refuses file names that lead out of the folder. */
#include "file/safetensors.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define SINGLE "model.safetensors"
#define INDEX  "model.safetensors.index.json"
enum { INDEX_CAP = 64 << 20 };

struct opening {
    struct st_folder *f;
    const char *folder;
    const char *index;  /* the index's path, for errors */
    json_t *map;        /* tensor name -> file name */
    const char **files; /* sorted; files[i] is shards[i] */
    lorac_error *err;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

static lorac_status open_shard(struct opening *o, const char *name, bool map)
{
    struct st_folder *f = o->f;
    char *path = os_join(f->memory, o->folder, name);
    if (!path) return fail_memory(o->err, "a path", strlen(name));
    lorac_status status = safetensors_open(f->memory, path, map, &f->shards[f->shard_count], o->err);
    if (status == LORAC_OK) f->shard_count++;
    mem_free(f->memory, path);
    return status;
}

/* ---- the index --------------------------------------------------------------------------- */

static lorac_status list_files(struct opening *o, size_t *count)
{
    size_t entries = json_object_size(o->map), unique = 0;
    const char *tensor;
    json_t *value;
    if (!json_is_object(o->map) || !entries)
        return fail(o->err, LORAC_FORMAT, o->index, "has no \"weight_map\" that names a file");
    o->files = mem_array(o->f->memory, entries, sizeof *o->files);
    if (!o->files) return fail_memory(o->err, "a list of shards", entries * sizeof *o->files);
    *count = 0;
    json_object_foreach(o->map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name || strlen(name) != json_string_length(value) || !is_plain_name(name))
            return fail(o->err, LORAC_FORMAT, o->index, "\"%.200s\" should name a file of the folder", tensor);
        o->files[(*count)++] = name;
    }
    qsort(o->files, entries, sizeof *o->files, compare_texts);
    for (size_t i = 0; i < entries; i++)
        if (!unique || strcmp(o->files[unique - 1], o->files[i]) != 0) o->files[unique++] = o->files[i];
    *count = unique;
    return LORAC_OK;
}

/* Each tensor that the index names is in the shard it names. */
static lorac_status check_index(struct opening *o)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(o->map, tensor, value)
    {
        const char *name = json_string_value(value);
        const char **file = bsearch(&name, o->files, o->f->shard_count, sizeof *file, compare_texts);
        if (!safetensors_find(&o->f->shards[file - o->files], tensor))
            return fail(o->err, LORAC_FORMAT, o->index, "tensor \"%.200s\" is not in %.200s as it says", tensor, name);
    }
    return LORAC_OK;
}

/* And no tensor of the index is in a second shard, where a search might find it first. */
static lorac_status check_shards(struct opening *o)
{
    for (size_t i = 0; i < o->f->shard_count; i++) {
        const struct safetensors *s = &o->f->shards[i];
        for (size_t k = 0; k < s->count; k++) {
            const char *name = json_string_value(json_object_get(o->map, s->tensors[k].name));
            if (name && strcmp(name, o->files[i]) != 0)
                return fail(o->err, LORAC_FORMAT, o->index, "tensor \"%.200s\" is in %.200s, not only in %.200s",
                            s->tensors[k].name, o->files[i], name);
        }
    }
    return LORAC_OK;
}

/* A link may not lead out of the folder; in Hugging Face's cache, whose snapshots are links, it leads to the blobs. */
static lorac_status check_link(struct opening *o, const char *name)
{
    struct memory *m = o->f->memory;
    char *file = os_join(m, o->folder, name), *snapshots = os_join(m, o->folder, "../../snapshots"),
         *blobs = os_join(m, o->folder, "../../blobs");
    lorac_status status = LORAC_OK;
    if (!file || !snapshots || !blobs)
        status = fail_memory(o->err, "a path", strlen(o->folder));
    else if (os_is_file(file) && !os_is_inside(file, o->folder) &&
             !(os_is_inside(o->folder, snapshots) && os_is_inside(file, blobs)))
        status = fail(o->err, LORAC_FORMAT, file, "is a link out of the folder that its index is in");
    mem_free(m, file);
    mem_free(m, snapshots);
    mem_free(m, blobs);
    return status;
}

static lorac_status open_shards(struct opening *o, bool map)
{
    size_t count = 0;
    TRY(list_files(o, &count));
    o->f->shards = mem_array(o->f->memory, count, sizeof *o->f->shards);
    if (!o->f->shards) return fail_memory(o->err, "a list of shards", count * sizeof *o->f->shards);
    for (size_t i = 0; i < count; i++) {
        TRY(check_link(o, o->files[i]));
        TRY(open_shard(o, o->files[i], map));
    }
    TRY(check_index(o));
    return check_shards(o);
}

static lorac_status open_index(struct opening *o, bool map)
{
    json_t *root;
    TRY(json_read_file(o->f->memory, o->index, INDEX_CAP, &root, o->err));
    o->map = json_object_get(root, "weight_map");
    lorac_status status = open_shards(o, map);
    mem_free(o->f->memory, o->files);
    json_decref(root);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------- */

static lorac_status open_single(struct opening *o, bool map)
{
    o->f->shards = mem_array(o->f->memory, 1, sizeof *o->f->shards);
    if (!o->f->shards) return fail_memory(o->err, "a list of shards", sizeof *o->f->shards);
    return open_shard(o, SINGLE, map);
}

lorac_status st_folder_open(struct memory *m, const char *folder, bool map, struct st_folder *f, lorac_error *err)
{
    *f = (struct st_folder){.memory = m};
    struct opening o = {.f = f, .folder = folder, .err = err};
    char *single = os_join(m, folder, SINGLE), *index = os_join(m, folder, INDEX);
    o.index = index;
    lorac_status status;
    if (!single || !index)
        status = fail_memory(err, "a path", strlen(folder));
    else if (os_is_file(single))
        status = open_single(&o, map);
    else if (os_is_file(index))
        status = open_index(&o, map);
    else
        status = fail(err, LORAC_NOT_FOUND, folder, "holds neither " SINGLE " nor " INDEX);
    mem_free(m, single);
    mem_free(m, index);
    if (status != LORAC_OK) st_folder_close(f);
    return status;
}

void st_folder_close(struct st_folder *f)
{
    for (size_t i = 0; i < f->shard_count; i++) safetensors_close(&f->shards[i]);
    mem_free(f->memory, f->shards);
    *f = (struct st_folder){.memory = f->memory};
}

const struct st_tensor *st_folder_find(const struct st_folder *f, const char *name)
{
    const struct st_tensor *found = NULL;
    for (size_t i = 0; i < f->shard_count && !found; i++) found = safetensors_find(&f->shards[i], name);
    return found;
}

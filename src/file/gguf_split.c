/* gguf_split.c — opening a GGUF model that may be split into parts: NAME-00001-of-00003.gguf and so on.
 *
 * Format: llama.cpp's gguf-split. Each part is a GGUF file that holds split.no (from 0), split.count and
 * split.tensors.count (of all parts); the other metadata stand in the first one, tensors in any. Any part's path opens
 * the whole. Refuses: parts that are missing, renamed or of another split. */
#include "file/gguf_value.h"

#include <stdio.h>
#include <string.h>

enum { MOST_PARTS = 9999, SUFFIX = 64 };

struct split {
    size_t number, count, tensors; /* of one part from 0, of parts, of tensors in all */
};

static lorac_status read_split(const struct gguf *g, struct split *s, lorac_error *err)
{
    TRY(gguf_get_size(g, "split.no", 0, &s->number, err));
    TRY(gguf_get_size(g, "split.count", 1, &s->count, err));
    TRY(gguf_get_size(g, "split.tensors.count", g->tensor_count, &s->tensors, err));
    if (!s->count) s->count = 1; /* writers that do not split put 0 */
    if (s->number < s->count && s->count <= MOST_PARTS) return LORAC_OK;
    return fail(err, LORAC_FORMAT, g->path, "claims to be part %zu of %zu", s->number + 1, s->count);
}

/* ---- the parts' names -------------------------------------------------------------------- */

static void spell_suffix(size_t number, size_t count, char suffix[SUFFIX])
{
    snprintf(suffix, SUFFIX, "-%05zu-of-%05zu.gguf", number + 1, count);
}

/* `path` without the suffix that its part must have. */
static lorac_status find_stem(const char *path, const struct split *s, size_t *stem, lorac_error *err)
{
    char suffix[SUFFIX];
    size_t length = strlen(path), end;
    spell_suffix(s->number, s->count, suffix);
    end = strlen(suffix);
    *stem = length - end;
    if (length >= end && strcmp(path + *stem, suffix) == 0) return LORAC_OK;
    return fail(err, LORAC_FORMAT, path, "is part %zu of %zu, so its name should end in \"%s\"; was it renamed?",
                s->number + 1, s->count, suffix);
}

/* ---- opening the parts ------------------------------------------------------------------- */

static lorac_status open_part(struct memory *m, const char *path, const struct split *first, size_t number, bool map,
                              struct gguf *part, lorac_error *err)
{
    struct split s;
    if (!os_is_file(path))
        return fail(err, LORAC_NOT_FOUND, path, "is missing: the model needs all of its %zu parts in one folder",
                    first->count);
    TRY(gguf_open_part(m, path, map, part, err));
    TRY(read_split(part, &s, err));
    if (s.number == number && s.count == first->count && s.tensors == first->tensors) return LORAC_OK;
    return fail(err, LORAC_FORMAT, path,
                "is part %zu of %zu with %zu tensors in all, expected part %zu of %zu with %zu; parts of two models?",
                s.number + 1, s.count, s.tensors, number + 1, first->count, first->tensors);
}

/* All parts but `opened`, which is moved to its place among them. */
static lorac_status open_parts(struct gguf *opened, const struct split *s, bool map, struct gguf *parts,
                               lorac_error *err)
{
    struct memory *m = opened->memory;
    lorac_status status = LORAC_OK;
    size_t stem;
    TRY(find_stem(opened->path, s, &stem, err));
    char *path = mem_alloc(m, stem + SUFFIX);
    if (!path) return fail_memory(err, "a path", stem);
    memcpy(path, opened->path, stem);
    for (size_t i = 0; i < s->count && status == LORAC_OK; i++) {
        spell_suffix(i, s->count, path + stem);
        if (i != s->number) status = open_part(m, path, s, i, map, &parts[i], err);
    }
    mem_free(m, path);
    parts[s->number] = *opened;
    *opened = (struct gguf){.memory = m};
    return status;
}

/* ---- joining them ------------------------------------------------------------------------ */

static void move_part(struct gguf *whole, struct gguf *part, size_t number)
{
    struct gguf_tensor *to = whole->tensors + whole->tensor_count;
    whole->files[number] = part->files[0];
    part->file_count = 0;
    for (size_t i = 0; i < part->tensor_count; i++) {
        to[i] = part->tensors[i];
        to[i].file = number;
    }
    whole->tensor_count += part->tensor_count;
    whole->file_count++;
}

static lorac_status join(struct gguf *whole, struct gguf *parts, const struct split *s, lorac_error *err)
{
    struct gguf *first = &parts[0];
    size_t tensors = 0;
    for (size_t i = 0; i < s->count; i++) tensors += parts[i].tensor_count;
    if (tensors != s->tensors)
        return fail(err, LORAC_FORMAT, first->path, "and the other parts hold %zu tensors, expected %zu", tensors,
                    s->tensors);
    whole->files = mem_array(whole->memory, s->count, sizeof *whole->files);
    whole->tensors = mem_array(whole->memory, tensors, sizeof *whole->tensors);
    if (!whole->files || !whole->tensors) return fail_memory(err, "a tensor table", tensors * sizeof *whole->tensors);
    for (size_t i = 0; i < s->count; i++) move_part(whole, &parts[i], i);
    whole->path = first->path;
    whole->values = first->values;
    whole->value_count = first->value_count;
    first->path = NULL;
    first->values = NULL;
    return gguf_unique_tensors(whole, err);
}

static lorac_status open_split(struct gguf *g, const struct split *s, bool map, lorac_error *err)
{
    struct memory *m = g->memory;
    struct gguf *parts = mem_array(m, s->count, sizeof *parts);
    if (!parts) return fail_memory(err, "a list of parts", s->count * sizeof *parts);
    for (size_t i = 0; i < s->count; i++) parts[i].memory = m;
    lorac_status status = open_parts(g, s, map, parts, err);
    if (status == LORAC_OK) status = join(g, parts, s, err);
    for (size_t i = 0; i < s->count; i++) gguf_close(&parts[i]);
    mem_free(m, parts);
    return status;
}

lorac_status gguf_open(struct memory *m, const char *path, bool map, struct gguf *g, lorac_error *err)
{
    struct split s;
    TRY(gguf_open_part(m, path, map, g, err));
    lorac_status status = read_split(g, &s, err);
    if (status == LORAC_OK && s.count > 1) status = open_split(g, &s, map, err);
    if (status != LORAC_OK) gguf_close(g);
    return status;
}

/* gguf_file.c — a GGUF's general metadata and tokenizer, and the file: written under another name, opened to see that
 * it is whole, and renamed. */
#include "convert/conversion.h"

#include "text/tokenizer_gguf.h"

#include <lorac/model.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { QUANTIZATION_VERSION = 2 };

/* ---- metadata ------------------------------------------------------------------------------ */

/* The last part of the path: llama.cpp goes by some models' names. */
static lorac_status put_name(struct conversion *c, lorac_error *err)
{
    size_t length = strlen(c->model), from;
    while (length > 1 && c->model[length - 1] == '/') length--;
    for (from = length; from && c->model[from - 1] != '/'; from--) {}
    char *name = mem_text(c->memory, c->model + from, length - from);
    if (!name) return fail_memory(err, "a name", length);
    gguf_put_text(&c->draft, "general.name", name);
    mem_free(c->memory, name);
    return LORAC_OK;
}

static lorac_status put_tokenizer(struct conversion *c, lorac_error *err)
{
    struct lorac_tokenizer *t;
    if (!tokenizer_is_at(c->memory, c->model)) return LORAC_OK;
    TRY(tokenizer_open(c->memory, c->runtime->map_files, c->model, &t, err));
    lorac_status status = tokenizer_to_gguf(t, c->shape.vocab, &c->draft, err);
    lorac_tokenizer_close(t);
    return status;
}

static lorac_status put_metadata(struct conversion *c, lorac_error *err)
{
    gguf_put_text(&c->draft, "general.type", "model");
    TRY(put_name(c, err));
    gguf_put_size(&c->draft, "general.file_type", c->kind->file_type);
    gguf_put_size(&c->draft, "general.quantization_version", QUANTIZATION_VERSION);
    return put_tokenizer(c, err);
}

/* ---- the file ------------------------------------------------------------------------------ */

static lorac_status write_items(struct conversion *c, struct tensor_writer *w, lorac_error *err)
{
    const struct item *items = c->items.items;
    for (size_t i = 0; i < c->items.count && !w->file.failed; i++) /* the commit says why */
        TRY(write_item(c, &items[i], w, items[i].tensor, err));
    return LORAC_OK;
}

static lorac_status write_file(struct conversion *c, const char *path, lorac_error *err)
{
    struct tensor_writer w;
    TRY(gguf_writer_open(&c->draft, path, &w, err));
    lorac_status status = write_items(c, &w, err);
    if (status == LORAC_OK) return tensor_writer_commit(&w, err);
    tensor_writer_abort(&w);
    return status;
}

/* A tensor that is missing or misshapen shows before the file has its name. */
static lorac_status check_opens(struct conversion *c, const char *path, lorac_error *err)
{
    lorac_model *model;
    TRY(lorac_model_open(c->runtime, path, &model, err));
    lorac_model_release(model);
    return LORAC_OK;
}

static lorac_status make_named(struct conversion *c, const char *path, lorac_error *err)
{
    lorac_status status = write_file(c, path, err);
    if (status != LORAC_OK) return status;
    status = check_opens(c, path, err);
    if (status == LORAC_OK) status = os_rename(path, c->out, err);
    if (status != LORAC_OK) os_remove_tree(c->memory, path, NULL);
    return status;
}

lorac_status gguf_make(struct conversion *c, lorac_error *err)
{
    struct text path = {.memory = c->memory};
    TRY(put_metadata(c, err));
    text_printf(&path, "%s.%ld.tmp", c->out, (long)getpid());
    lorac_status status = path.failed ? fail_memory(err, "a path", strlen(c->out)) : make_named(c, path.data, err);
    text_free(&path);
    return status;
}

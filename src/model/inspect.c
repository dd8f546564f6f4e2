/* inspect.c — lorac_inspect: which kind of thing a file or folder is, and the pieces that every description has.
 *
 * Damaged files are errors; a well-formed model that lorac does not compute is described and marked "supported": false.
 */
#include "model/inspect.h"
#include "file/foreign.h"

#include <lorac/model.h>
#include "text/tokenizer.h"
#include <string.h>

/* ---- members -------------------------------------------------------------------------------- */

void put_text(json_t *out, const char *key, const char *text)
{
    if (text && *text) json_object_set_new(out, key, json_string(text));
}

void put_size(json_t *out, const char *key, size_t value)
{
    json_object_set_new(out, key, json_integer((json_int_t)value));
}

void put_gguf(json_t *out, const char *key, const struct gguf *g, const char *name)
{
    const struct gguf_value *v = gguf_find(g, name);
    if (!v || v->type == GGUF_ARRAY || v->type == GGUF_F32 || v->type == GGUF_F64 || v->type == GGUF_BOOL) return;
    json_object_set_new(out, key,
                        v->type == GGUF_STRING ? json_stringn(v->as.string.data, v->as.string.length)
                                               : json_integer((json_int_t)v->as.integer));
}

void put_support(json_t *out, lorac_status status, const lorac_error *err)
{
    json_object_set_new(out, "supported", json_boolean(status == LORAC_OK));
    if (status != LORAC_OK) put_text(out, "reason", err->message);
}

/* ---- tensors -------------------------------------------------------------------------------- */

void tally_add(struct tally *t, const char *type, size_t elements, size_t bytes)
{
    if (!t->types) t->types = json_object();
    json_t *entry = json_object_get(t->types, type);
    if (!entry) json_object_set_new(t->types, type, entry = json_pack("{s:i,s:i}", "count", 0, "bytes", 0));
    size_t sum = bytes + (size_t)json_integer_value(json_object_get(entry, "bytes"));
    put_size(entry, "count", 1 + (size_t)json_integer_value(json_object_get(entry, "count")));
    put_size(entry, "bytes", sum);
    t->elements += elements;
    t->element_bytes += bytes;
    t->bytes += bytes;
    if (sum > t->largest) t->largest = sum;
}

void tally_gguf(struct tally *t, const struct gguf *g)
{
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *tensor = &g->tensors[i];
        size_t block, bytes, elements = 1;
        const char *name = "unknown";
        gguf_type_size(tensor->type, &block, &bytes, &name);
        for (size_t d = 0; d < tensor->dims; d++) elements *= tensor->shape[d];
        tally_add(t, name, elements, tensor->bytes);
    }
    for (size_t i = 0; i < g->file_count; i++) t->files += g->files[i].size;
}

void tally_safetensors(struct tally *t, const struct safetensors *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct st_tensor *tensor = &s->tensors[i];
        tally_add(t, st_dtype_name(tensor->dtype), tensor->bytes / st_dtype_bytes(tensor->dtype), tensor->bytes);
    }
    t->files += s->file.size;
}

void tally_report(struct tally *t, json_t *out)
{
    if (t->elements) put_size(out, "parameters", t->elements);
    put_size(out, "weight_bytes", t->bytes);
    put_size(out, "file_bytes", t->files);
    json_object_set_new(out, "tensors", t->types ? t->types : json_object());
    t->types = NULL;
}

/* ---- tokenizers ----------------------------------------------------------------------------- */

static void describe_tokenizer(json_t *out, const lorac_tokenizer *tokenizer)
{
    lorac_tokenizer_info info = {.struct_size = sizeof info};
    lorac_tokenizer_get_info(tokenizer, &info);
    put_text(out, "type", tokenizer_type(tokenizer));
    put_size(out, "vocab_size", info.vocab_size);
    if (info.bos >= 0) json_object_set_new(out, "bos", json_integer(info.bos));
    if (info.eos >= 0) json_object_set_new(out, "eos", json_integer(info.eos));
    json_object_set_new(out, "adds_bos", json_boolean(info.adds_bos));
    json_object_set_new(out, "adds_eos", json_boolean(info.adds_eos));
}

static void put_template(json_t *out, const lorac_tokenizer *tokenizer)
{
    lorac_tokenizer_info info = {.struct_size = sizeof info};
    lorac_tokenizer_get_info(tokenizer, &info);
    put_text(out, "chat_template", info.chat_template);
}

/* "special_tokens": those that are no text of the model's, by id. */
static void put_special(json_t *out, const lorac_tokenizer *t)
{
    json_t *list = json_array();
    for (size_t id = 0; id < t->vocab.count; id++) {
        const struct token *token = &t->vocab.tokens[id];
        if (token->flags & TOKEN_SPECIAL)
            json_array_append_new(list, json_pack("{s:I, s:s%}", "id", (json_int_t)id, "text",
                                                  vocab_bytes(&t->vocab, token), (size_t)token->length));
    }
    json_object_set_new(out, "special_tokens", list);
}

void put_tokenizer(struct inspection *i)
{
    lorac_tokenizer *tokenizer;
    lorac_error err;
    json_t *part = json_object();
    lorac_status status = lorac_tokenizer_open(i->runtime, i->path, &tokenizer, &err);
    if (status == LORAC_OK) {
        describe_tokenizer(part, tokenizer);
        put_template(i->out, tokenizer);
        lorac_tokenizer_close(tokenizer);
    } else
        put_support(part, status, &err);
    json_object_set_new(i->out, "tokenizer", part);
}

static lorac_status inspect_tokenizer(struct inspection *i, lorac_error *err)
{
    lorac_tokenizer *tokenizer;
    TRY(lorac_tokenizer_open(i->runtime, i->path, &tokenizer, err));
    put_text(i->out, "kind", "tokenizer");
    put_text(i->out, "format", tokenizer->format);
    describe_tokenizer(i->out, tokenizer);
    put_special(i->out, tokenizer);
    put_template(i->out, tokenizer);
    lorac_tokenizer_close(tokenizer);
    return LORAC_OK;
}

/* ---- kinds ---------------------------------------------------------------------------------- */

static bool has(struct inspection *i, const char *folder, const char *name)
{
    char *path = os_join(i->memory, folder, name);
    bool there = path && os_is_file(path);
    mem_free(i->memory, path);
    return there;
}

static lorac_status inspect_folder(struct inspection *i, lorac_error *err)
{
    if (has(i, i->path, "adapter_config.json")) return inspect_adapter(i, i->path, NULL, err);
    if (has(i, i->path, "config.json")) return inspect_model_folder(i, err);
    if (tokenizer_is_at(i->memory, i->path)) return inspect_tokenizer(i, err);
    return fail(
        err, LORAC_NOT_FOUND, i->path,
        "holds neither adapter_config.json nor config.json nor a tokenizer's file: give a model's, adapter's or "
        "tokenizer's folder, or a file");
}

/* A .safetensors file says what it is only through the config beside it. */
static lorac_status inspect_weights(struct inspection *i, lorac_error *err)
{
    const char *slash = strrchr(i->path, '/');
    char *folder = slash ? mem_text(i->memory, i->path, (size_t)(slash - i->path)) : mem_text(i->memory, ".", 1);
    if (!folder) return fail_memory(err, "a path", strlen(i->path));
    lorac_status status;
    if (has(i, folder, "adapter_config.json"))
        status = inspect_adapter(i, folder, slash ? slash + 1 : i->path, err);
    else
        status = fail(err, LORAC_NOT_FOUND, i->path,
                      "there is no adapter_config.json beside it; for a model's weights, give the folder");
    mem_free(i->memory, folder);
    return status;
}

static lorac_status inspect_path(struct inspection *i, lorac_error *err)
{
    const char *foreign = file_foreign(i->path);
    if (os_is_folder(i->path) && !foreign) return inspect_folder(i, err);
    if (!os_is_folder(i->path) && !os_is_file(i->path))
        return fail(err, LORAC_NOT_FOUND, i->path, "there is no such file or folder");
    if (foreign) return fail(err, LORAC_FORMAT, i->path, "is %s", foreign);
    if (ends_with(i->path, ".safetensors")) return inspect_weights(i, err);
    if (gguf_is(i->path) || ends_with(i->path, ".gguf")) return inspect_gguf(i, err);
    if (tokenizer_is_at(i->memory, i->path)) return inspect_tokenizer(i, err);
    return fail(
        err, LORAC_FORMAT, i->path,
        "is none of what lorac describes: GGUF, .safetensors, tokenizer.json, tokenizer.model, folders of them");
}

lorac_status lorac_inspect(lorac_runtime *runtime, const char *path, char **json, lorac_error *err)
{
    struct inspection i = {runtime, &runtime->memory, path, json_object()};
    *json = NULL;
    lorac_status status = inspect_path(&i, err);
    if (status == LORAC_OK) status = json_hand_out(i.memory, i.out, json, err);
    json_decref(i.out);
    return status;
}

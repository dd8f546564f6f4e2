/* dataset_read.c — a file's rows to token rows: text, completions, chats.
 *
 *   {"text"}: encoded as the tokenizer does, EOS added unless it ends so; every token a target
 *   {"prompt", "completion"}: a chat of a user's and an assistant's message
 *   {"messages"[, "tools"]}: rendered by the chat template, encoded with nothing added (dataset_mask.c) */
#include "text/dataset.h"

#include "base/os.h"
#include "text/dataset_mask.h"
#include "text/dataset_rows.h"

#include <string.h>

struct reading {
    struct memory *memory;
    const lorac_tokenizer *tokenizer;
    struct chat_templates templates;
    const lorac_dataset_options *options;
    struct lorac_dataset *out;
    const char *path;
    size_t place; /* of the row at hand */
    const struct row_format *format;
    lorac_error *err;
};
struct row_format {
    const char *key, *needs; /* told by `key`; `needs`: another key that must be there, or NULL */
    lorac_status (*read)(struct reading *r, json_t *row);
};

/* ---- text ----------------------------------------------------------------------------------- */

static lorac_status bad(const struct reading *r, const char *what)
{
    return fail(r->err, LORAC_FORMAT, r->path, "%s %zu: %s", rows_unit(r->path), r->place, what);
}

static lorac_status add(struct reading *r, const int32_t *ids, size_t count, const uint8_t *mask)
{
    return dataset_add(r->out, ids, mask, count, r->options, r->path, r->place, r->err);
}

static lorac_status read_text(struct reading *r, json_t *row)
{
    const json_t *text = json_object_get(row, "text");
    lorac_tokenizer_info info = {.struct_size = sizeof info};
    int32_t *ids;
    size_t count;
    if (!json_is_string(text)) return bad(r, "\"text\" is not a string");
    if (r->options->train_on != LORAC_TRAIN_ON_ALL)
        return bad(r, "a prompt mask needs chats or completions; this row is plain text");
    lorac_tokenizer_get_info(r->tokenizer, &info);
    TRY(lorac_tokenizer_encode(r->tokenizer, json_string_value(text), json_string_length(text), 1, &ids, &count,
                               r->err));
    int32_t *all = mem_array(r->memory, count + 1, sizeof *all);
    uint8_t *mask = mem_alloc(r->memory, count + 1);
    lorac_status status = all && mask ? LORAC_OK : fail_memory(r->err, "a row", count * 5);
    if (status == LORAC_OK) {
        memcpy(all, ids, count * sizeof *ids);
        memset(mask, 1, count + 1);
        bool ends = info.eos < 0 || (count && ids[count - 1] == info.eos);
        all[count] = info.eos;
        status = add(r, all, count + !ends, mask);
    }
    mem_free(r->memory, all);
    mem_free(r->memory, mask);
    lorac_free(ids);
    return status;
}

/* ---- chats ---------------------------------------------------------------------------------- */

static lorac_status located(const struct reading *r, lorac_status status)
{
    lorac_error inner = r->err ? *r->err : (lorac_error){0};
    if (status == LORAC_OK || status == LORAC_OUT_OF_MEMORY || !r->err || strstr(inner.message, r->path)) return status;
    return fail(r->err, status, r->path, "%s %zu: %s", rows_unit(r->path), r->place, inner.message);
}

static lorac_status read_chat(struct reading *r, json_t *chat)
{
    const json_t *messages = json_object_get(chat, "messages");
    struct masked row;
    if (!json_is_array(messages) || !json_array_size(messages)) return bad(r, "\"messages\" is not a list of messages");
    TRY(located(r, mask_chat(&r->templates, chat, r->options->train_on, &row, r->err)));
    lorac_status status = add(r, row.ids, row.count, row.mask);
    mem_free(r->memory, row.mask);
    lorac_free(row.ids);
    return status;
}

static lorac_status read_completion(struct reading *r, json_t *row)
{
    json_t *prompt = json_object_get(row, "prompt"), *completion = json_object_get(row, "completion");
    if (!json_is_string(prompt) || !json_is_string(completion))
        return bad(r, "\"prompt\" and \"completion\" must be strings");
    json_t *chat = json_pack("{s:[{s:s,s:O},{s:s,s:O}]}", "messages", "role", "user", "content", prompt, "role",
                             "assistant", "content", completion);
    if (!chat) return fail_memory(r->err, "a row", 0);
    if (json_object_get(row, "tools")) json_object_set(chat, "tools", json_object_get(row, "tools"));
    lorac_status status = read_chat(r, chat);
    json_decref(chat);
    return status;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static const struct row_format formats[] = {
    {"prompt", "completion", read_completion}, {"messages", NULL, read_chat}, {"text", NULL, read_text}};

static lorac_status find_format(struct reading *r, const json_t *row)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (json_object_get(row, formats[i].key) && (!formats[i].needs || json_object_get(row, formats[i].needs))) {
            r->format = &formats[i];
            return LORAC_OK;
        }
    return bad(r, "a row needs \"text\", or \"prompt\" and \"completion\", or \"messages\"");
}

static lorac_status read_row(void *context, json_t *row, size_t place, lorac_error *err)
{
    struct reading *r = context;
    r->place = place;
    if (!r->format) TRY(find_format(r, row));
    if (!json_object_get(row, r->format->key)) {
        char what[96];
        snprintf(what, sizeof what, "has no \"%s\", which the first row has", r->format->key);
        return bad(r, what);
    }
    return r->format->read(r, row);
}

static lorac_status read_rows(struct reading *r, const struct os_file *file)
{
    if (file->size >= 4 && !memcmp(file->data, "PAR1", 4))
        return fail(r->err, LORAC_UNSUPPORTED, r->path,
                    "is Parquet, which lorac does not read; make JSONL of it, in Python: "
                    "pandas.read_parquet(\"train.parquet\").to_json(\"train.jsonl\", orient=\"records\", lines=True)");
    TRY(rows_read(r->memory, r->path, (const char *)file->data, file->size,
                  r->options->max_rows ? r->options->max_rows : SIZE_MAX, read_row, r, r->err));
    return r->out->starts.count > 1 ? LORAC_OK : fail(r->err, LORAC_FORMAT, r->path, "holds no row");
}

lorac_status lorac_dataset_open(lorac_runtime *runtime, const lorac_tokenizer *tokenizer, const char *path,
                                const lorac_dataset_options *options, lorac_dataset **dataset, lorac_error *err)
{
    lorac_dataset_options o;
    struct os_file file;
    struct reading r = {.memory = &runtime->memory,
                        .tokenizer = tokenizer,
                        .templates = {.tokenizer = tokenizer},
                        .options = &o,
                        .path = path,
                        .err = err};
    lorac_dataset_options_init(&o);
    if (options) memcpy(&o, options, options->struct_size < sizeof o ? options->struct_size : sizeof o);
    TRY(os_file_open(r.memory, path, runtime->map_files, &file, err));
    lorac_status status = dataset_create(r.memory, &r.out, err);
    if (status == LORAC_OK) {
        status = read_rows(&r, &file);
        chat_close(&r.templates);
        if (status == LORAC_OK) status = dataset_finish(r.out, err);
        if (status == LORAC_OK)
            *dataset = r.out;
        else
            lorac_dataset_close(r.out);
    }
    os_file_close(&file);
    return status;
}

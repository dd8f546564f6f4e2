/* dataset_read.c — the lines of a JSONL file to rows: text, completions, chats.
 *
 *   {"text"}: encoded as the tokenizer does, EOS added unless it ends so; every token a target
 *   {"prompt", "completion"}: a chat of a user's and an assistant's message
 *   {"messages"[, "tools"]}: rendered by the chat template, encoded with nothing added
 * Which tokens of a chat are targets is told by the rendered text of its beginnings. */
#include "text/dataset.h"

#include "base/json.h"
#include "base/os.h"

#include <string.h>

struct reading {
    struct memory *memory;
    const lorac_tokenizer *tokenizer;
    const lorac_dataset_options *options;
    struct lorac_dataset *out;
    const char *path;
    size_t line;
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
    return fail(r->err, LORAC_FORMAT, r->path, "line %zu: %s", r->line, what);
}

static lorac_status add(struct reading *r, const int32_t *ids, size_t count, const uint8_t *mask)
{
    return dataset_add(r->out, ids, mask, count, r->options, r->path, r->line, r->err);
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

/* The first `messages` messages of the chat, rendered and encoded. */
static lorac_status encode_beginning(struct reading *r, json_t *chat, size_t messages, bool prompt, int32_t **ids,
                                     size_t *count)
{
    json_t *part = json_copy(chat), *list = json_array();
    struct text source = {.memory = r->memory};
    char *text = NULL;
    size_t length = 0;
    for (size_t i = 0; i < messages; i++) json_array_append(list, json_array_get(json_object_get(chat, "messages"), i));
    json_object_set_new(part, "messages", list);
    json_print(&source, part, (struct json_style){.compact = true});
    lorac_status status =
        source.failed ? fail_memory(r->err, "a chat", source.length)
                      : lorac_chat_render(r->tokenizer, source.data, source.length, prompt, &text, &length, r->err);
    if (status == LORAC_OK) status = lorac_tokenizer_encode(r->tokenizer, text, length, 0, ids, count, r->err);
    lorac_free(text);
    text_free(&source);
    json_decref(part);
    return status;
}

static bool is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && !strcmp(role, "assistant");
}

/* Marks the tokens of message `i`: those between the chat's beginning up to it, with the assistant's header, and up to
 * its end. */
static lorac_status mark_message(struct reading *r, json_t *chat, size_t i, size_t total, uint8_t *mask)
{
    const json_t *messages = json_object_get(chat, "messages");
    int32_t *ids;
    size_t from = 0, to = total;
    if (i) {
        TRY(encode_beginning(r, chat, i, is_assistant(json_array_get(messages, i)), &ids, &from));
        lorac_free(ids);
    }
    if (i + 1 < json_array_size(messages)) {
        TRY(encode_beginning(r, chat, i + 1, false, &ids, &to));
        lorac_free(ids);
    }
    for (size_t k = from; k < to && k < total; k++) mask[k] = 1;
    return LORAC_OK;
}

static lorac_status mark(struct reading *r, json_t *chat, size_t total, uint8_t *mask)
{
    const json_t *messages = json_object_get(chat, "messages");
    size_t n = json_array_size(messages);
    if (r->options->train_on == LORAC_TRAIN_ON_ALL) memset(mask, 1, total);
    if (r->options->train_on == LORAC_TRAIN_ON_LAST) return mark_message(r, chat, n - 1, total, mask);
    for (size_t i = 0; r->options->train_on == LORAC_TRAIN_ON_ASSISTANT && i < n; i++)
        if (is_assistant(json_array_get(messages, i))) TRY(mark_message(r, chat, i, total, mask));
    return LORAC_OK;
}

static lorac_status located(const struct reading *r, lorac_status status)
{
    lorac_error inner = r->err ? *r->err : (lorac_error){0};
    if (status == LORAC_OK || status == LORAC_OUT_OF_MEMORY || !r->err || strstr(inner.message, r->path)) return status;
    return fail(r->err, status, r->path, "line %zu: %s", r->line, inner.message);
}

static lorac_status read_chat(struct reading *r, json_t *chat)
{
    const json_t *messages = json_object_get(chat, "messages");
    int32_t *ids;
    size_t count;
    if (!json_is_array(messages) || !json_array_size(messages)) return bad(r, "\"messages\" is not a list of messages");
    TRY(located(r, encode_beginning(r, chat, json_array_size(messages), false, &ids, &count)));
    uint8_t *mask = mem_alloc(r->memory, count + 1);
    lorac_status status = mask ? located(r, mark(r, chat, count, mask)) : fail_memory(r->err, "a mask", count);
    if (status == LORAC_OK) status = add(r, ids, count, mask);
    mem_free(r->memory, mask);
    lorac_free(ids);
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

/* ---- lines ---------------------------------------------------------------------------------- */

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

static lorac_status read_line(struct reading *r, const char *line, size_t length)
{
    json_t *row;
    lorac_error inner;
    if (json_read(r->memory, line, length, NULL, &row, &inner) != LORAC_OK)
        return fail(r->err, LORAC_FORMAT, r->path, "line %zu is not JSON: %s", r->line, inner.message);
    lorac_status status = json_is_object(row) ? LORAC_OK : bad(r, "is not a JSON object");
    if (status == LORAC_OK && !r->format) status = find_format(r, row);
    if (status == LORAC_OK && !json_object_get(row, r->format->key)) {
        char what[96];
        snprintf(what, sizeof what, "has no \"%s\", which the first row has", r->format->key);
        status = bad(r, what);
    }
    if (status == LORAC_OK) status = r->format->read(r, row);
    json_decref(row);
    return status;
}

static lorac_status read_lines(struct reading *r, const char *bytes, size_t size)
{
    for (const char *at = bytes, *end = bytes + size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at), blank = 0;
        r->line++;
        while (blank < length && strchr(" \t\r", at[blank])) blank++;
        if (blank < length) TRY(read_line(r, at, length));
        at = stop ? stop + 1 : end;
    }
    return r->out->starts.count > 1 ? LORAC_OK : fail(r->err, LORAC_FORMAT, r->path, "holds no row");
}

lorac_status lorac_dataset_open(lorac_runtime *runtime, const lorac_tokenizer *tokenizer, const char *path,
                                const lorac_dataset_options *options, lorac_dataset **dataset, lorac_error *err)
{
    lorac_dataset_options o;
    struct os_file file;
    struct reading r = {.memory = &runtime->memory, .tokenizer = tokenizer, .options = &o, .path = path, .err = err};
    lorac_dataset_options_init(&o);
    if (options) memcpy(&o, options, options->struct_size < sizeof o ? options->struct_size : sizeof o);
    TRY(os_file_open(r.memory, path, runtime->map_files, &file, err));
    lorac_status status = dataset_create(r.memory, &r.out, err);
    if (status == LORAC_OK) {
        status = read_lines(&r, (const char *)file.data, file.size);
        if (status == LORAC_OK) status = dataset_finish(r.out, err);
        if (status == LORAC_OK)
            *dataset = r.out;
        else
            lorac_dataset_close(r.out);
    }
    os_file_close(&file);
    return status;
}

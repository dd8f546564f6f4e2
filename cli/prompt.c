/* prompt.c — chat messages and raw text to token ids. */
#include "prompt.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

void messages_add(json_t *messages, const char *role, const char *text, size_t length)
{
    json_array_append_new(messages, json_pack("{s:s,s:o}", "role", role, "content", json_text(text, length)));
}

size_t prompt_room(const lorac_model *model, size_t prompt_tokens, size_t max_tokens)
{
    lorac_model_info info = {.struct_size = sizeof info};
    lorac_model_get_info(model, &info);
    size_t context = info.context_length;
    if (max_tokens >= context || prompt_tokens >= context - max_tokens) return context;
    return prompt_tokens + max_tokens + 1;
}

void engine_try_tokenizer(struct engine *e, const struct common *c)
{
    char buffer[4096];
    const char *path = model_path(c, buffer, sizeof buffer);
    if (path && lorac_tokenizer_open(e->runtime, path, &e->tokenizer, NULL)) e->tokenizer = NULL;
}

static int encode(const lorac_tokenizer *tokenizer, const char *text, size_t length, int add_special, bool json,
                  struct token_list *ids)
{
    lorac_error err;
    int32_t *found;
    size_t count;
    if (lorac_tokenizer_encode(tokenizer, text, length, add_special, &found, &count, &err))
        return fail_error(json, &err);
    free(ids->items);
    ids->items = malloc((count + 1) * sizeof *ids->items);
    ids->count = count;
    if (ids->items) memcpy(ids->items, found, count * sizeof *found);
    lorac_free(found);
    return ids->items ? 0 : fail_status(json, LORAC_OUT_OF_MEMORY, "", "out of memory");
}

/* The template's text with `response` behind it, encoded with nothing added. */
static int encode_rendered(const lorac_tokenizer *tokenizer, const char *rendered, size_t length, const char *response,
                           bool json, struct token_list *ids)
{
    if (!response) return encode(tokenizer, rendered, length, 0, json, ids);
    size_t more = strlen(response);
    char *text = malloc(length + more + 1);
    if (!text) return fail_status(json, LORAC_OUT_OF_MEMORY, "", "out of memory");
    memcpy(text, rendered, length);
    memcpy(text + length, response, more);
    int status = encode(tokenizer, text, length + more, 0, json, ids);
    free(text);
    return status;
}

int chat_encode(const lorac_tokenizer *tokenizer, json_t *messages, json_t *variables, const char *response, bool json,
                struct token_list *ids)
{
    lorac_error err;
    char *rendered;
    size_t length;
    json_t *chat = variables ? json_copy(variables) : json_object();
    json_object_set(chat, "messages", messages);
    char *text = json_line(chat);
    json_decref(chat);
    if (!text) return fail_status(json, LORAC_OUT_OF_MEMORY, "", "out of memory");
    lorac_status failed = lorac_chat_render(tokenizer, text, strlen(text), 1, &rendered, &length, &err);
    free(text);
    if (failed) return fail_error(json, &err);
    int status = encode_rendered(tokenizer, rendered, length, response, json, ids);
    lorac_free(rendered);
    return status;
}

static int encode_message(const struct prompt *p, const lorac_tokenizer *tokenizer, const char *text, size_t length,
                          bool json, struct token_list *ids)
{
    json_error_t bad;
    json_t *variables = p->variables ? json_loads(p->variables, 0, &bad) : NULL, *messages = json_array();
    int status;
    if (p->system) messages_add(messages, "system", p->system, strlen(p->system));
    messages_add(messages, "user", text, length);
    if (p->variables && !json_is_object(variables))
        status = fail_usage(json, "--chat-template-config needs a JSON object, not '%s'", p->variables);
    else
        status = chat_encode(tokenizer, messages, variables, p->response, json, ids);
    json_decref(messages);
    json_decref(variables);
    return status;
}

static int encode_text(const struct prompt *p, const lorac_tokenizer *tokenizer, const char *text, size_t length,
                       bool json, struct token_list *ids)
{
    lorac_tokenizer_info info = {.struct_size = sizeof info};
    lorac_tokenizer_get_info(tokenizer, &info);
    if (!p->raw && info.chat_template) return encode_message(p, tokenizer, text, length, json, ids);
    if (p->system || p->response || p->variables)
        return fail_usage(json, "a system prompt, a prefilled answer and template variables need a chat template%s",
                          p->raw ? ", but --raw leaves it out" : ", and this model has none");
    return encode(tokenizer, text, length, 1, json, ids);
}

int prompt_encode(const struct prompt *p, const lorac_tokenizer *tokenizer, bool json, struct token_list *ids)
{
    int status;
    if (p->ids) {
        ids->items = parse_ids(json, "prompt-tokens", p->ids, &ids->count);
        status = ids->items ? 0 : 2;
    } else if (!strcmp(p->text, "-")) {
        size_t length;
        char *text = read_whole(json, "-", &length);
        status = text ? encode_text(p, tokenizer, text, length, json, ids) : 1;
        free(text);
    } else
        status = encode_text(p, tokenizer, p->text, strlen(p->text), json, ids);
    if (!status && !ids->count) status = fail_usage(json, "the prompt has no tokens");
    return status;
}

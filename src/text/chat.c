/* chat.c — a conversation as JSON to the text that a model was taught with: the template's variables are
 * gathered here as transformers gathers them, the template itself is template.h's. */
#include "text/template.h"
#include "text/tokenizer.h"

#include <string.h>

/* Sets a variable unless the caller gave it; takes the reference to `value`. */
static bool set_default(json_t *variables, const char *key, json_t *value)
{
    if (!json_object_get(variables, key)) return value && !json_object_set_new(variables, key, value);
    json_decref(value);
    return true;
}

/* bos_token and its like: the tokens' text, where the tokenizer has them. */
static bool set_tokens(const struct lorac_tokenizer *t, json_t *variables)
{
    const struct {
        const char *key;
        int32_t id;
    } roles[] = {{"bos_token", t->special.bos},
                 {"eos_token", t->special.eos},
                 {"unk_token", t->special.unknown},
                 {"pad_token", t->special.pad}};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (roles[i].id < 0) continue;
        const struct token *token = &t->vocab.tokens[roles[i].id];
        if (!set_default(variables, roles[i].key, json_stringn(vocab_bytes(&t->vocab, token), token->length)))
            return false;
    }
    return true;
}

/* Absent tools and documents are none, not undefined: templates ask for both. */
static bool set_defaults(const struct lorac_tokenizer *t, json_t *variables, bool add_generation_prompt)
{
    return set_default(variables, "tools", json_null()) && set_default(variables, "documents", json_null()) &&
           set_default(variables, "add_generation_prompt", json_boolean(add_generation_prompt)) &&
           set_tokens(t, variables);
}

/* A list is the messages; an object has them. */
static lorac_status gather(const struct lorac_tokenizer *t, json_t *chat, bool add_generation_prompt,
                           json_t **variables, lorac_error *err)
{
    if (!json_is_array(chat) && !json_is_object(chat))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a chat is a list of messages or an object with \"messages\"");
    *variables = json_is_array(chat) ? json_pack("{sO}", "messages", chat) : json_copy(chat);
    if (*variables && !json_is_array(json_object_get(*variables, "messages")))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the chat has no list \"messages\"");
    if (!*variables || !set_defaults(t, *variables, add_generation_prompt)) return fail_memory(err, "a chat", 0);
    return LORAC_OK;
}

static lorac_status render(const struct lorac_tokenizer *t, json_t *variables, struct text *out, lorac_error *err)
{
    const json_t *tools = json_object_get(variables, "tools");
    bool with_tools = t->chat_template_tools && (json_array_size(tools) || !t->chat_template);
    const char *source = with_tools ? t->chat_template_tools : t->chat_template;
    struct chat_template *template;
    TRY(template_parse(t->memory, source, strlen(source), t->path, &template, err));
    lorac_status status = template_render(template, variables, out, NULL, err);
    template_free(template);
    return status == LORAC_OK && out->failed ? fail_memory(err, "the rendered chat", out->length) : status;
}

lorac_status lorac_chat_render(const lorac_tokenizer *t, const char *chat_json, size_t length,
                               int add_generation_prompt, char **text, size_t *text_length, lorac_error *err)
{
    if (!t->chat_template && !t->chat_template_tools)
        return fail(err, LORAC_NOT_FOUND, t->path, "the tokenizer has no chat template");
    json_t *chat, *variables = NULL;
    struct text out = {.memory = t->memory};
    TRY(json_read(t->memory, chat_json, length, "chat", &chat, err));
    lorac_status status = gather(t, chat, add_generation_prompt, &variables, err);
    if (status == LORAC_OK) status = render(t, variables, &out, err);
    json_decref(variables);
    json_decref(chat);
    if (status != LORAC_OK) return text_free(&out), status;

    *text_length = out.length;
    *text = text_release(&out);
    return *text ? LORAC_OK : fail_memory(err, "the rendered chat", *text_length);
}

/* chat.c — a conversation as JSON to the text that a model was taught with: the template's variables are
 * gathered here as transformers gathers them, the template itself is template.h's. */
#include "text/chat.h"

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

/* Reasoning comes under several names; templates read "reasoning_content", some "thinking". */
static bool alias_reasoning(json_t **message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *reasoning = NULL;
    for (size_t i = 0; !reasoning && i < sizeof names / sizeof *names; i++)
        reasoning = json_object_get(*message, names[i]);
    if (!reasoning) return true;
    json_t *aliased = json_pack("{sO}", "thinking", reasoning);
    bool ok =
        aliased && !json_object_update(aliased, *message) && !json_object_set(aliased, "reasoning_content", reasoning);
    json_decref(*message);
    *message = aliased;
    return ok;
}

/* A message as the reference hands it to a template: without keys whose value is null. */
static json_t *normal_message(json_t *message)
{
    json_t *normal = json_object();
    const char *key;
    json_t *value;
    bool ok = normal;
    json_object_foreach(message, key, value) ok = ok && (json_is_null(value) || !json_object_set(normal, key, value));
    if (ok && alias_reasoning(&normal)) return normal;
    json_decref(normal);
    return NULL;
}

static lorac_status normal_messages(const json_t *messages, json_t **normal, lorac_error *err)
{
    *normal = json_array();
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i);
        if (!json_is_object(message))
            return fail(err, LORAC_INVALID_ARGUMENT, NULL, "message %zu of the chat is not a JSON object", i + 1);
        if (json_array_append_new(*normal, normal_message(message))) return fail_memory(err, "a chat", 0);
    }
    return *normal ? LORAC_OK : fail_memory(err, "a chat", 0);
}

/* A list is the messages; an object has them. */
static lorac_status gather(const struct lorac_tokenizer *t, json_t *chat, bool add_generation_prompt,
                           json_t **variables, lorac_error *err)
{
    json_t *messages = json_is_object(chat) ? json_object_get(chat, "messages") : chat, *normal;
    if (!json_is_array(chat) && !json_is_object(chat))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a chat is a list of messages or an object with \"messages\"");
    if (!json_is_array(messages)) return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the chat has no list \"messages\"");
    *variables = json_is_object(chat) ? json_copy(chat) : json_object();
    lorac_status status = normal_messages(messages, &normal, err);
    if (status != LORAC_OK) return json_decref(normal), status;
    if (json_object_set_new(*variables, "messages", normal) || !set_defaults(t, *variables, add_generation_prompt))
        return fail_memory(err, "a chat", 0);
    return LORAC_OK;
}

/* ---- templates ------------------------------------------------------------------------------ */

void chat_close(struct chat_templates *t)
{
    template_free(t->plain);
    template_free(t->tools);
}

lorac_status chat_template_for(struct chat_templates *t, const json_t *tools, const struct chat_template **found,
                               lorac_error *err)
{
    const struct lorac_tokenizer *k = t->tokenizer;
    bool with_tools = k->chat_template_tools && ((tools && !json_is_null(tools)) || !k->chat_template);
    const char *source = with_tools ? k->chat_template_tools : k->chat_template;
    struct chat_template **template = with_tools ? &t->tools : &t->plain;
    if (!source) return fail(err, LORAC_NOT_FOUND, k->path, "the tokenizer has no chat template");
    if (!*template) TRY(template_parse(k->memory, source, strlen(source), k->path, template, err));
    *found = *template;
    return LORAC_OK;
}

lorac_status chat_render(struct chat_templates *t, json_t *chat, bool add_generation_prompt, struct text *out,
                         struct list *spans, lorac_error *err)
{
    const struct chat_template *template;
    json_t *variables = NULL;
    lorac_status status = gather(t->tokenizer, chat, add_generation_prompt, &variables, err);
    if (status == LORAC_OK) status = chat_template_for(t, json_object_get(variables, "tools"), &template, err);
    if (status == LORAC_OK) status = template_render(template, variables, out, spans, err);
    json_decref(variables);
    return status == LORAC_OK && out->failed ? fail_memory(err, "the rendered chat", out->length) : status;
}

static bool is_empty(const json_t *chat)
{
    const json_t *messages = json_is_object(chat) ? json_object_get(chat, "messages") : chat;
    return json_is_array(messages) && !json_array_size(messages);
}

lorac_status lorac_chat_render(const lorac_tokenizer *t, const char *chat_json, size_t length,
                               int add_generation_prompt, char **text, size_t *text_length, lorac_error *err)
{
    struct chat_templates templates = {.tokenizer = t};
    struct text out = {.memory = t->memory};
    json_t *chat;
    TRY(json_read(t->memory, chat_json, length, "chat", &chat, err));
    lorac_status status = is_empty(chat) ? fail(err, LORAC_INVALID_ARGUMENT, NULL, "the chat has no message")
                                         : chat_render(&templates, chat, add_generation_prompt, &out, NULL, err);
    chat_close(&templates);
    json_decref(chat);
    if (status != LORAC_OK) return text_free(&out), status;

    *text_length = out.length;
    *text = text_release(&out);
    return *text ? LORAC_OK : fail_memory(err, "the rendered chat", *text_length);
}

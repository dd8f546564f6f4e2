/* sentencepiece_config.c — the tokens that a tokenizer_config.json adds to a tokenizer.model's pieces:
 * "added_tokens_decoder": {"32000": {"content": "<tool>", "special": true, ...}}. As in transformers the numbers are an
 * order: a token that is no piece gets the next free id. */
#include "text/sentencepiece.h"

#include <stdlib.h>
#include <string.h>
#include "text/tokenizer_parts.h"

struct configured {
    int64_t number;
    const json_t *token;
};

static int by_number(const void *x, const void *y)
{
    const struct configured *a = x, *b = y;
    return (a->number > b->number) - (a->number < b->number);
}

static lorac_status list_configured(const struct sentencepiece *s, const json_t *object, struct list *tokens,
                                    lorac_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char *end;
        long long number = strtoll(key, &end, 10);
        if (*end || end == key || number < 0 || number > INT32_MAX)
            return fail(err, LORAC_FORMAT, s->path, "added_tokens_decoder: \"%.60s\" is no id", key);
        struct configured *item = list_add(tokens);
        if (!item) return fail_memory(err, "added tokens", tokens->count * sizeof *item);
        *item = (struct configured){number, value};
    }
    if (tokens->count) qsort(tokens->items, tokens->count, sizeof(struct configured), by_number);
    return LORAC_OK;
}

/* A token with a role is special, whatever its entry says. */
static bool has_role(const json_t *config, const char *content)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    bool found = false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        const json_t *role = json_object_get(config, roles[i]);
        if (json_is_object(role)) role = json_object_get(role, "content");
        found |= json_is_string(role) && !strcmp(json_string_value(role), content);
    }
    return found;
}

static lorac_status add_configured(struct sentencepiece *s, bool general, const struct configured *c, lorac_error *err)
{
    struct parts parts = {.tokenizer = s->tokenizer, .err = err};
    struct vocab *v = &s->tokenizer->vocab;
    struct added_token flags = {0};
    const json_t *content = json_object_get(c->token, "content");
    if (!json_is_string(content)) return parts_wrong(&parts, "added_tokens_decoder has a token without content");
    const char *text = json_string_value(content);
    size_t length = json_string_length(content);
    int32_t id = vocab_find(v, text, length);
    if (general && id < 0 && (uint64_t)c->number < s->types.count)
        return fail(err, LORAC_UNSUPPORTED, s->path, "added_tokens_decoder gives piece %lld another text, \"%.60s\"",
                    (long long)c->number, text);
    TRY(parts_added_flags(&parts, c->token, &flags));
    flags.special |= has_role(s->config, text);
    if (general && s->dummy_prefix) flags.normalized = false;
    if (id >= 0 && v->tokens[id].flags & TOKEN_ADDED) return LORAC_OK; /* the first one stands */
    return tokenizer_add_token(s->tokenizer, id < 0 ? (int64_t)v->count : id, text, length, flags, err);
}

lorac_status sentencepiece_add_configured(struct sentencepiece *s, bool general, lorac_error *err)
{
    struct list tokens = {.memory = s->tokenizer->memory, .size = sizeof(struct configured)};
    lorac_status status = list_configured(s, json_object_get(s->config, "added_tokens_decoder"), &tokens, err);
    for (size_t i = 0; i < tokens.count && status == LORAC_OK; i++)
        status = add_configured(s, general, (const struct configured *)tokens.items + i, err);
    list_free(&tokens);
    return status;
}

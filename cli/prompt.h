/* prompt.h — from what the user writes to the tokens a session starts with. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "common.h"
#include <jansson.h>

struct prompt {
    const char *text, *ids, *system, *response, *variables;
    bool raw;
};

struct token_list {
    int32_t *items; /* freed by the owner */
    size_t count;
};

/* 0, or the exit status of a failure that was reported. A tokenizer is needed unless `ids` are given. */
int prompt_encode(const struct prompt *p, const lorac_tokenizer *tokenizer, bool json, struct token_list *ids);

/* Renders {"messages", …variables} for an answer, adds `response`, encodes. Takes over neither value. */
int chat_encode(const lorac_tokenizer *tokenizer, json_t *messages, json_t *variables, const char *response, bool json,
                struct token_list *ids);
void messages_add(json_t *messages, const char *role, const char *text, size_t length);

/* How many tokens a session needs for a prompt and its answer: at most the model's context. */
size_t prompt_room(const lorac_model *model, size_t prompt_tokens, size_t max_tokens);

/* Opens the model's tokenizer if it has one; it is not needed, so failures are silent. */
void engine_try_tokenizer(struct engine *e, const struct common *c);

#endif

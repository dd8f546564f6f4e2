/* parts_postprocessor.c — what is added before and after the text's tokens. */
#include "text/tokenizer_parts.h"

#include <string.h>

static lorac_status read_postprocessors(struct parts *p, const json_t *part)
{
    return parts_read_list(p, "the post_processor has no list \"processors\"", json_object_get(part, "processors"),
                           parts_read_postprocessor);
}

static lorac_status read_offsets(struct parts *p, const json_t *part)
{
    return LORAC_OK; /* ByteLevel moves offsets, no tokens */
}

static lorac_status add_id(struct parts *p, struct list *to, const json_t *id)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        (uint64_t)json_integer_value(id) >= p->tokenizer->vocab.count)
        return parts_wrong(p, "the post_processor adds a token that is not in the vocabulary");
    return tokenizer_add_fixed(to, (int32_t)json_integer_value(id), p->err);
}

/* {"SpecialToken": {"id": name}} stands for special_tokens[name].ids. */
static lorac_status add_template_token(struct parts *p, struct list *to, const json_t *part, const json_t *piece)
{
    const char *name = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
    const json_t *ids =
        name ? json_object_get(json_object_get(json_object_get(part, "special_tokens"), name), "ids") : NULL;
    if (!json_is_array(ids)) return parts_wrong(p, "TemplateProcessing names a special token that it does not list");
    for (size_t i = 0; i < json_array_size(ids); i++) TRY(add_id(p, to, json_array_get(ids, i)));
    return LORAC_OK;
}

static lorac_status add_pair(struct parts *p, struct list *to, const json_t *part, const char *key)
{
    return add_id(p, to, json_array_get(json_object_get(part, key), 1));
}

/* Several templates wrap one another: what a later one puts before stands first. */
static lorac_status wrap(struct parts *p, struct list *before)
{
    struct list *prefix = &p->tokenizer->prefix, inner = *prefix;
    *prefix = *before;
    *before = inner;
    for (size_t i = 0; i < inner.count; i++)
        TRY(tokenizer_add_fixed(prefix, ((const int32_t *)inner.items)[i], p->err));
    return LORAC_OK;
}

static lorac_status read_template_pieces(struct parts *p, const json_t *part, struct list *before)
{
    const json_t *single = json_object_get(part, "single");
    bool seen = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i), *sequence = json_object_get(piece, "Sequence");
        const char *name = json_string_value(json_object_get(sequence, "id"));
        if (!sequence)
            TRY(add_template_token(p, seen ? &p->tokenizer->suffix : before, part, piece));
        else if (seen || !name || strcmp(name, "A"))
            return parts_wrong(p, "TemplateProcessing does not hold the text once");
        else
            seen = true;
    }
    return seen ? wrap(p, before) : parts_wrong(p, "TemplateProcessing does not hold the text");
}

static lorac_status read_template(struct parts *p, const json_t *part)
{
    struct list before = {.memory = p->tokenizer->memory, .size = sizeof(int32_t)};
    lorac_status status = read_template_pieces(p, part, &before);
    list_free(&before);
    return status;
}

/* "cls": ["[CLS]", 101]. Wraps what there is. */
static lorac_status read_bert(struct parts *p, const json_t *part)
{
    struct list before = {.memory = p->tokenizer->memory, .size = sizeof(int32_t)};
    lorac_status status = add_pair(p, &before, part, "cls");
    if (status == LORAC_OK) status = add_pair(p, &p->tokenizer->suffix, part, "sep");
    if (status == LORAC_OK) status = wrap(p, &before);
    list_free(&before);
    return status;
}

static const struct part_kind postprocessors[] = {
    {"Sequence", read_postprocessors}, {"TemplateProcessing", read_template}, {"BertProcessing", read_bert},
    {"RobertaProcessing", read_bert},  {"ByteLevel", read_offsets},           {0}};

lorac_status parts_read_postprocessor(struct parts *p, const json_t *part)
{
    return parts_read_kind(p, "post-processor", part, postprocessors);
}

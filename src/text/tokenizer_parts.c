/* tokenizer_parts.c — the small parts of a tokenizer.json: what all readers of parts share, added tokens,
 * pre-tokenizer. See tokenizer_parts.h. */
#include "text/tokenizer_parts.h"

#include <string.h>

const char *parts_type_of(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "without a type";
}

lorac_status parts_unsupported(struct parts *p, const char *what, const char *name)
{
    return fail(p->err, LORAC_UNSUPPORTED, p->tokenizer->path, "%s \"%.100s\" is not one that lorac knows", what, name);
}

lorac_status parts_wrong(struct parts *p, const char *what)
{
    return fail(p->err, LORAC_FORMAT, p->tokenizer->path, "%s", what);
}

lorac_status parts_read_kind(struct parts *p, const char *what, const json_t *part, const struct part_kind *kinds)
{
    if (!part || json_is_null(part)) return LORAC_OK;
    for (; kinds->type; kinds++)
        if (!strcmp(kinds->type, parts_type_of(part))) return kinds->read(p, part);
    return parts_unsupported(p, what, parts_type_of(part));
}

lorac_status parts_read_list(struct parts *p, const char *what, const json_t *list, part_fn read)
{
    if (!json_is_array(list)) return parts_wrong(p, what);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read(p, json_array_get(list, i)));
    return LORAC_OK;
}

lorac_status parts_bool(struct parts *p, const json_t *part, const char *key, bool fallback, bool *value)
{
    return json_get_bool(part, key, fallback, value, p->tokenizer->path, p->err);
}

lorac_status parts_text(struct parts *p, const json_t *part, const char *key, const char *fallback, const char **value)
{
    return json_get_text(part, key, fallback, value, p->tokenizer->path, p->err);
}

lorac_status parts_copy(struct parts *p, const json_t *part, const char *key, const char *fallback, char **value)
{
    const char *text;
    TRY(parts_text(p, part, key, fallback, &text));
    *value = *text ? mem_text(p->tokenizer->memory, text, strlen(text)) : NULL;
    return *value || !*text ? LORAC_OK : fail_memory(p->err, "a tokenizer's part", strlen(text));
}

lorac_status parts_pattern(struct parts *p, const json_t *part, struct pattern *pattern)
{
    const json_t *given = json_object_get(part, "pattern"), *regex = json_object_get(given, "Regex");
    const json_t *text = regex ? regex : json_object_get(given, "String");
    if (!json_is_string(text)) return parts_wrong(p, "a Replace has no pattern");
    return pattern_make(pattern, p->tokenizer->memory, json_string_value(text), json_string_length(text), !regex,
                        p->tokenizer->path, p->err);
}

/* ---- added tokens ------------------------------------------------------------------------ */

lorac_status parts_added_flags(struct parts *p, const json_t *part, struct added_token *flags)
{
    TRY(parts_bool(p, part, "special", false, &flags->special));
    TRY(parts_bool(p, part, "normalized", !flags->special, &flags->normalized));
    TRY(parts_bool(p, part, "lstrip", false, &flags->lstrip));
    TRY(parts_bool(p, part, "rstrip", false, &flags->rstrip));
    return parts_bool(p, part, "single_word", false, &flags->single_word);
}

static lorac_status read_added_token(struct parts *p, const json_t *part)
{
    const json_t *content = json_object_get(part, "content"), *id = json_object_get(part, "id");
    if (!json_is_string(content) || !json_is_integer(id))
        return parts_wrong(p, "an added token has no content or no id");
    struct added_token flags = {0};
    TRY(parts_added_flags(p, part, &flags));
    return tokenizer_add_token(p->tokenizer, json_integer_value(id), json_string_value(content),
                               json_string_length(content), flags, p->err);
}

/* ---- pre-tokenizer ----------------------------------------------------------------------- */

lorac_status parts_read_pretokenizer(struct parts *p, const json_t *part)
{
    struct pretokenizer *pretokenizer = &p->tokenizer->pretokenizer;
    TRY(pretokenizer_read(pretokenizer, part, p->tokenizer->path, p->err));
    p->spells_bytes = pretokenizer->byte_level || pretokenizer->spelled;
    return LORAC_OK;
}

/* ---- all --------------------------------------------------------------------------------- */

lorac_status tokenizer_read_parts(struct lorac_tokenizer *t, const json_t *root, lorac_error *err)
{
    struct parts p = {.tokenizer = t, .err = err};
    const json_t *added = json_object_get(root, "added_tokens");
    TRY(parts_read_normalizer(&p, json_object_get(root, "normalizer")));
    TRY(parts_read_pretokenizer(&p, json_object_get(root, "pre_tokenizer")));
    TRY(parts_read_model(&p, json_object_get(root, "model")));
    if (added && !json_is_null(added))
        TRY(parts_read_list(&p, "\"added_tokens\" is not a list", added, read_added_token));
    TRY(parts_read_postprocessor(&p, json_object_get(root, "post_processor")));
    const json_t *decoder = json_object_get(root, "decoder");
    if (!decoder || json_is_null(decoder))
        return decoder_add(&t->decoder, &decoder_join, err) ? LORAC_OK : LORAC_OUT_OF_MEMORY;
    return parts_read_decoder(&p, decoder);
}

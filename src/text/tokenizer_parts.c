/* tokenizer_parts.c — the small parts of a tokenizer.json: what all readers of parts share, added tokens,
 * pre-tokenizer. See tokenizer_parts.h. */
#include "text/tokenizer_parts.h"

#include "base/reader.h"
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

static lorac_status read_added_token(struct parts *p, const json_t *part)
{
    const json_t *content = json_object_get(part, "content"), *id = json_object_get(part, "id");
    if (!json_is_string(content) || !json_is_integer(id))
        return parts_wrong(p, "an added token has no content or no id");
    struct added_token flags = {0};
    TRY(parts_bool(p, part, "special", false, &flags.special));
    TRY(parts_bool(p, part, "normalized", !flags.special, &flags.normalized));
    TRY(parts_bool(p, part, "lstrip", false, &flags.lstrip));
    TRY(parts_bool(p, part, "rstrip", false, &flags.rstrip));
    TRY(parts_bool(p, part, "single_word", false, &flags.single_word));
    return tokenizer_add_token(p->tokenizer, json_integer_value(id), json_string_value(content),
                               json_string_length(content), flags, p->err);
}

/* ---- pre-tokenizer ----------------------------------------------------------------------- */

static lorac_status read_pretokenizers(struct parts *p, const json_t *part)
{
    return parts_read_list(p, "the pre_tokenizer has no list \"pretokenizers\"", json_object_get(part, "pretokenizers"),
                           parts_read_pretokenizer);
}

static lorac_status add_step(struct parts *p, const char *pattern, size_t length, bool literal, struct split_step step)
{
    if (p->spells_bytes) return parts_wrong(p, "a pre-tokenizer comes after ByteLevel");
    return pretokenizer_add(&p->tokenizer->pretokenizer, pattern, length, literal, step, p->tokenizer->path, p->err);
}

static lorac_status read_split(struct parts *p, const json_t *part)
{
    const char *behaviour;
    const json_t *pattern = json_object_get(part, "pattern"), *regex = json_object_get(pattern, "Regex");
    const json_t *text = regex ? regex : json_object_get(pattern, "String");
    struct split_step step = {0};
    TRY(parts_text(p, part, "behavior", "", &behaviour));
    TRY(parts_bool(p, part, "invert", false, &step.invert));
    if (!json_is_string(text)) return parts_wrong(p, "a Split has no pattern");
    if (!strcmp(behaviour, "Removed"))
        step.behaviour = SPLIT_REMOVED;
    else if (strcmp(behaviour, "Isolated"))
        return parts_unsupported(p, "Split behavior", behaviour);
    return add_step(p, json_string_value(text), json_string_length(text), !regex, step);
}

/* The reference asks Rust's is_numeric here, which knows Unicode 17; its regular expressions know 16. */
#define DIGIT "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]"

static lorac_status read_digits(struct parts *p, const json_t *part)
{
    bool individual;
    TRY(parts_bool(p, part, "individual_digits", false, &individual));
    const char *pattern = individual ? DIGIT : DIGIT "+";
    return add_step(p, pattern, strlen(pattern), false, (struct split_step){0});
}

static lorac_status read_byte_level(struct parts *p, const json_t *part)
{
    bool use_regex;
    struct split_step step = {0};
    TRY(parts_bool(p, part, "use_regex", true, &use_regex));
    TRY(parts_bool(p, part, "add_prefix_space", true, &step.prefix_space));
    TRY(add_step(p, use_regex ? pattern_gpt2 : NULL, strlen(pattern_gpt2), false, step));
    p->spells_bytes = true;
    return LORAC_OK;
}

static lorac_status read_metaspace(struct parts *p, const json_t *part)
{
    static const char *const schemes[] = {"always", "first", "never"}; /* in the order of metaspace_prepend */
    struct split_step step = {0};
    const char *mark, *scheme;
    bool prefix;
    TRY(parts_text(p, part, "replacement", "\xE2\x96\x81", &mark));
    TRY(parts_bool(p, part, "add_prefix_space", true, &prefix)); /* older files */
    TRY(parts_text(p, part, "prepend_scheme", prefix ? "always" : "never", &scheme));
    TRY(parts_bool(p, part, "split", true, &step.metaspace.split));
    if (!*mark || utf8_length((const uint8_t *)mark, strlen(mark)) != strlen(mark))
        return parts_wrong(p, "a Metaspace's replacement is not one character");
    memcpy(step.metaspace.mark, mark, strlen(mark) + 1);
    size_t at = 0, count = sizeof schemes / sizeof *schemes;
    while (at < count && strcmp(schemes[at], scheme)) at++;
    if (at == count) return parts_unsupported(p, "prepend_scheme", scheme);
    step.metaspace.prepend = (enum metaspace_prepend)at;
    return add_step(p, NULL, 0, false, step);
}

/* White space goes, a punctuation mark is a word. */
static lorac_status read_bert(struct parts *p, const json_t *part)
{
    static const char spaces[] = "\\s+", marks[] = "[\\p{P}!-/:-@\\[-`{-~]";
    TRY(add_step(p, spaces, strlen(spaces), false, (struct split_step){.behaviour = SPLIT_REMOVED}));
    return add_step(p, marks, strlen(marks), false, (struct split_step){0});
}

static const struct part_kind pretokenizers[] = {{"Sequence", read_pretokenizers},
                                                 {"Split", read_split},
                                                 {"Digits", read_digits},
                                                 {"ByteLevel", read_byte_level},
                                                 {"Metaspace", read_metaspace},
                                                 {"BertPreTokenizer", read_bert},
                                                 {0}};

lorac_status parts_read_pretokenizer(struct parts *p, const json_t *part)
{
    return parts_read_kind(p, "pre-tokenizer", part, pretokenizers);
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

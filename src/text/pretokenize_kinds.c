/* pretokenize_kinds.c — the pre-tokenizers that a tokenizer.json names, as steps. Each kind is one line of a table; one
 * that is in no table would cut words in a way lorac does not know, and is refused by name. */
#include "text/pretokenize.h"

#include "base/reader.h"
#include <stdio.h>
#include <string.h>

struct reader_state {
    struct pretokenizer *out;
    const char *file;
    lorac_error *err;
};
typedef lorac_status (*kind_fn)(const struct reader_state *r, const json_t *part);

static lorac_status wrong(const struct reader_state *r, const char *what)
{
    return fail(r->err, LORAC_FORMAT, r->file, "%s", what);
}

static lorac_status get_bool(const struct reader_state *r, const json_t *part, const char *key, bool fallback,
                             bool *value)
{
    return json_get_bool(part, key, fallback, value, r->file, r->err);
}

/* What follows a ByteLevel sees the bytes as it spells them. */
static lorac_status add_step(const struct reader_state *r, const char *pattern, size_t length, bool literal,
                             struct split_step step)
{
    if (r->out->byte_level) {
        TRY(pretokenizer_stay_spelled(r->out, r->file, r->err));
        r->out->spelled = true;
    }
    return pretokenizer_add(r->out, pattern, length, literal, step, r->file, r->err);
}

static lorac_status add_pattern(const struct reader_state *r, const char *pattern, struct split_step step)
{
    return add_step(r, pattern, strlen(pattern), false, step);
}

/* ---- kinds ------------------------------------------------------------------------------- */

static lorac_status read_sequence(const struct reader_state *r, const json_t *part)
{
    const json_t *list = json_object_get(part, "pretokenizers");
    if (!json_is_array(list)) return wrong(r, "the pre_tokenizer has no list \"pretokenizers\"");
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(pretokenizer_read(r->out, json_array_get(list, i), r->file, r->err));
    return LORAC_OK;
}

static lorac_status read_behaviour(const struct reader_state *r, const json_t *part, const char *fallback,
                                   enum split_behaviour *behaviour)
{
    static const char *const names[] = {[SPLIT_ISOLATED] = "Isolated",
                                        [SPLIT_REMOVED] = "Removed",
                                        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
                                        [SPLIT_CONTIGUOUS] = "Contiguous"};
    const char *name;
    TRY(json_get_text(part, "behavior", fallback, &name, r->file, r->err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return *behaviour = (enum split_behaviour)i, LORAC_OK;
    return fail(r->err, LORAC_UNSUPPORTED, r->file, "Split behavior \"%.100s\" is not one that lorac knows", name);
}

static lorac_status read_split(const struct reader_state *r, const json_t *part)
{
    const json_t *pattern = json_object_get(part, "pattern"), *regex = json_object_get(pattern, "Regex");
    const json_t *text = regex ? regex : json_object_get(pattern, "String");
    struct split_step step = {0};
    TRY(read_behaviour(r, part, "", &step.behaviour));
    TRY(get_bool(r, part, "invert", false, &step.invert));
    if (!json_is_string(text)) return wrong(r, "a Split has no pattern");
    return add_step(r, json_string_value(text), json_string_length(text), !regex, step);
}

static lorac_status read_digits(const struct reader_state *r, const json_t *part)
{
    bool individual;
    TRY(get_bool(r, part, "individual_digits", false, &individual));
    return add_pattern(r, "\\p{!digit}",
                       (struct split_step){.behaviour = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS});
}

static lorac_status read_byte_level(const struct reader_state *r, const json_t *part)
{
    bool use_regex;
    struct split_step step = {0};
    TRY(get_bool(r, part, "use_regex", true, &use_regex));
    TRY(get_bool(r, part, "add_prefix_space", true, &step.prefix_space));
    TRY(add_step(r, use_regex ? pattern_gpt2 : NULL, strlen(pattern_gpt2), false, step));
    r->out->byte_level = true;
    return LORAC_OK;
}

static lorac_status read_whitespace(const struct reader_state *r, const json_t *part)
{
    return add_pattern(r, "\\p{!word}+|[^\\p{!word}\\p{!wordspace}]+",
                       (struct split_step){.behaviour = SPLIT_REMOVED, .invert = true});
}

static lorac_status read_whitespace_split(const struct reader_state *r, const json_t *part)
{
    return add_pattern(r, "\\p{!space}", (struct split_step){.behaviour = SPLIT_REMOVED});
}

static lorac_status read_punctuation(const struct reader_state *r, const json_t *part)
{
    struct split_step step = {0};
    TRY(read_behaviour(r, part, "Isolated", &step.behaviour));
    return add_pattern(r, "\\p{!punctuation}", step);
}

static lorac_status read_delimiter(const struct reader_state *r, const json_t *part)
{
    const json_t *delimiter = json_object_get(part, "delimiter");
    if (!json_is_string(delimiter) || !json_string_length(delimiter)) return wrong(r, "there is no \"delimiter\"");
    return add_step(r, json_string_value(delimiter), json_string_length(delimiter), true,
                    (struct split_step){.behaviour = SPLIT_REMOVED});
}

static lorac_status read_fixed_length(const struct reader_state *r, const json_t *part)
{
    size_t length;
    char pattern[64];
    TRY(json_get_size(part, "length", 5, &length, r->file, r->err));
    if (!length || length > 60000) return wrong(r, "FixedLength's \"length\" is not between 1 and 60000");
    snprintf(pattern, sizeof pattern, "(?m:.{1,%zu})", length);
    return add_pattern(r, pattern, (struct split_step){0});
}

static lorac_status read_metaspace(const struct reader_state *r, const json_t *part)
{
    static const char *const schemes[] = {"always", "first", "never"}; /* in the order of metaspace_prepend */
    struct split_step step = {0};
    const char *mark, *scheme;
    bool prefix;
    TRY(json_get_text(part, "replacement", "\xE2\x96\x81", &mark, r->file, r->err));
    TRY(get_bool(r, part, "add_prefix_space", true, &prefix)); /* older files */
    TRY(json_get_text(part, "prepend_scheme", prefix ? "always" : "never", &scheme, r->file, r->err));
    TRY(get_bool(r, part, "split", true, &step.metaspace.split));
    if (!*mark || utf8_length((const uint8_t *)mark, strlen(mark)) != strlen(mark))
        return wrong(r, "a Metaspace's replacement is not one character");
    memcpy(step.metaspace.mark, mark, strlen(mark) + 1);
    size_t at = 0, count = sizeof schemes / sizeof *schemes;
    while (at < count && strcmp(schemes[at], scheme)) at++;
    if (at == count)
        return fail(r->err, LORAC_UNSUPPORTED, r->file, "prepend_scheme \"%.100s\" is not one that lorac knows",
                    scheme);
    step.metaspace.prepend = (enum metaspace_prepend)at;
    return add_step(r, NULL, 0, false, step);
}

static lorac_status read_scripts(const struct reader_state *r, const json_t *part)
{
    return add_step(r, NULL, 0, false, (struct split_step){.scripts = true});
}

/* White space goes, a punctuation mark is a word. */
static lorac_status read_bert(const struct reader_state *r, const json_t *part)
{
    TRY(add_pattern(r, "\\p{!space}", (struct split_step){.behaviour = SPLIT_REMOVED}));
    return add_pattern(r, "\\p{!punctuation}", (struct split_step){0});
}

static const struct {
    const char *type;
    kind_fn read;
} kinds[] = {{"Sequence", read_sequence},
             {"Split", read_split},
             {"Digits", read_digits},
             {"ByteLevel", read_byte_level},
             {"Whitespace", read_whitespace},
             {"WhitespaceSplit", read_whitespace_split},
             {"Punctuation", read_punctuation},
             {"CharDelimiterSplit", read_delimiter},
             {"FixedLength", read_fixed_length},
             {"Metaspace", read_metaspace},
             {"UnicodeScripts", read_scripts},
             {"BertPreTokenizer", read_bert}};

lorac_status pretokenizer_read(struct pretokenizer *p, const json_t *part, const char *file, lorac_error *err)
{
    struct reader_state r = {p, file, err};
    if (!part || json_is_null(part)) return LORAC_OK; /* a missing part changes nothing */
    const char *type = json_string_value(json_object_get(part, "type"));
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].type, type)) return kinds[i].read(&r, part);
    return fail(err, LORAC_UNSUPPORTED, file, "pre-tokenizer \"%.100s\" is not one that lorac knows",
                type ? type : "without a type");
}

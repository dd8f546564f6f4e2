/* tokenizer_parts.c — the small parts of a tokenizer.json: model settings, normaliser, added tokens,
 * pre-tokenizer, post-processor, decoder. Each kind is one line of a table; a kind that is in no table would
 * change tokens in a way lorac does not know, and is refused by name. */
#include "text/tokenizer.h"

#include <string.h>

/* What is known when a part is read. */
struct parts {
    struct lorac_tokenizer *tokenizer;
    lorac_error *err;
};
typedef lorac_status (*part_fn)(struct parts *p, const json_t *part);
struct part_kind {
    const char *type;
    part_fn read;
};

static const char *type_of(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "without a type";
}

static lorac_status unsupported(struct parts *p, const char *what, const char *name)
{
    return fail(p->err, LORAC_UNSUPPORTED, p->tokenizer->path, "%s \"%.100s\" is not one that lorac knows", what, name);
}

static lorac_status wrong(struct parts *p, const char *what)
{
    return fail(p->err, LORAC_FORMAT, p->tokenizer->path, "%s", what);
}

/* A missing part changes nothing. */
static lorac_status read_part(struct parts *p, const char *what, const json_t *part, const struct part_kind *kinds)
{
    if (!part || json_is_null(part)) return LORAC_OK;
    for (; kinds->type; kinds++)
        if (!strcmp(kinds->type, type_of(part))) return kinds->read(p, part);
    return unsupported(p, what, type_of(part));
}

static lorac_status read_sequence(struct parts *p, const char *what, const json_t *list, part_fn read)
{
    if (!json_is_array(list)) return wrong(p, what);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read(p, json_array_get(list, i)));
    return LORAC_OK;
}

static lorac_status get_bool(struct parts *p, const json_t *part, const char *key, bool fallback, bool *value)
{
    return json_get_bool(part, key, fallback, value, p->tokenizer->path, p->err);
}

static lorac_status get_text(struct parts *p, const json_t *part, const char *key, const char **value)
{
    return json_get_text(part, key, "", value, p->tokenizer->path, p->err);
}

/* ---- normaliser -------------------------------------------------------------------------- */

static lorac_status read_normalizer(struct parts *p, const json_t *part)
{
    if (json_is_null(part)) return LORAC_OK;
    if (!strcmp(type_of(part), "Sequence"))
        return read_sequence(p, "the normalizer has no list \"normalizers\"", json_object_get(part, "normalizers"),
                             read_normalizer);
    struct normalizer *n = &p->tokenizer->normalizer;
    normalize_fn step = normalize_named(type_of(part));
    if (!step) return unsupported(p, "normalizer", type_of(part));
    if (n->count == MAX_NORMALIZERS) return wrong(p, "there are too many normalizers");
    n->steps[n->count++] = step;
    return LORAC_OK;
}

/* ---- added tokens ------------------------------------------------------------------------ */

static lorac_status read_added_token(struct parts *p, const json_t *part)
{
    const json_t *content = json_object_get(part, "content"), *id = json_object_get(part, "id");
    if (!json_is_string(content) || !json_is_integer(id)) return wrong(p, "an added token has no content or no id");
    struct added_token flags = {0};
    TRY(get_bool(p, part, "special", false, &flags.special));
    TRY(get_bool(p, part, "normalized", !flags.special, &flags.normalized));
    TRY(get_bool(p, part, "lstrip", false, &flags.lstrip));
    TRY(get_bool(p, part, "rstrip", false, &flags.rstrip));
    TRY(get_bool(p, part, "single_word", false, &flags.single_word));
    return tokenizer_add_token(p->tokenizer, json_integer_value(id), json_string_value(content),
                               json_string_length(content), flags, p->err);
}

/* ---- post-processor ---------------------------------------------------------------------- */

static lorac_status read_postprocessor(struct parts *p, const json_t *part);

static lorac_status read_postprocessors(struct parts *p, const json_t *part)
{
    return read_sequence(p, "the post_processor has no list \"processors\"", json_object_get(part, "processors"),
                         read_postprocessor);
}

static lorac_status read_offsets(struct parts *p, const json_t *part)
{
    return LORAC_OK; /* ByteLevel moves offsets, no tokens */
}

/* {"SpecialToken": {"id": name}} stands for special_tokens[name].ids. */
static lorac_status add_template_token(struct parts *p, struct list *to, const json_t *part, const json_t *piece)
{
    const char *name = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
    const json_t *ids =
        name ? json_object_get(json_object_get(json_object_get(part, "special_tokens"), name), "ids") : NULL;
    if (!json_is_array(ids)) return wrong(p, "TemplateProcessing names a special token that it does not list");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            (uint64_t)json_integer_value(id) >= p->tokenizer->vocab.count)
            return wrong(p, "TemplateProcessing adds a token that is not in the vocabulary");
        TRY(tokenizer_add_fixed(to, (int32_t)json_integer_value(id), p->err));
    }
    return LORAC_OK;
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
            return wrong(p, "TemplateProcessing does not hold the text once");
        else
            seen = true;
    }
    return seen ? wrap(p, before) : wrong(p, "TemplateProcessing does not hold the text");
}

static lorac_status read_template(struct parts *p, const json_t *part)
{
    struct list before = {.memory = p->tokenizer->memory, .size = sizeof(int32_t)};
    lorac_status status = read_template_pieces(p, part, &before);
    list_free(&before);
    return status;
}

static const struct part_kind postprocessors[] = {
    {"Sequence", read_postprocessors}, {"TemplateProcessing", read_template}, {"ByteLevel", read_offsets}, {0}};

static lorac_status read_postprocessor(struct parts *p, const json_t *part)
{
    return read_part(p, "post-processor", part, postprocessors);
}

/* ---- model ------------------------------------------------------------------------------- */

lorac_status tokenizer_check_model(struct lorac_tokenizer *t, const json_t *root, lorac_error *err)
{
    struct parts p = {.tokenizer = t, .err = err};
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model)) return wrong(&p, "there is no \"model\"");
    bool untyped_bpe = !json_object_get(model, "type") && json_object_get(model, "merges"); /* older files */
    return untyped_bpe || !strcmp(type_of(model), "BPE") ? LORAC_OK : unsupported(&p, "model", type_of(model));
}

/* Settings that would change tokens and have no counterpart here. */
static lorac_status refuse_settings(struct parts *p, const json_t *model)
{
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value;
        TRY(get_text(p, model, texts[i], &value));
        if (*value) return unsupported(p, texts[i], value);
    }
    double dropout;
    TRY(json_get_float(model, "dropout", 0, &dropout, p->tokenizer->path, p->err));
    if (dropout != 0) return wrong(p, "the model drops merges at random (dropout): its tokens are not fixed");

    bool fallback, all_bytes = true;
    for (int byte = 0; byte < 256; byte++) all_bytes &= p->tokenizer->bpe.byte_id[byte] >= 0;
    TRY(get_bool(p, model, "byte_fallback", false, &fallback));
    return fallback && !all_bytes ? unsupported(p, "byte_fallback", "true") : LORAC_OK;
}

static lorac_status read_model(struct parts *p, const json_t *model)
{
    struct lorac_tokenizer *t = p->tokenizer;
    const char *unknown;
    TRY(refuse_settings(p, model));
    TRY(get_text(p, model, "unk_token", &unknown));
    TRY(get_bool(p, model, "fuse_unk", false, &t->bpe.fuse_unknown));
    TRY(get_bool(p, model, "ignore_merges", false, &t->bpe.ignore_merges));
    if (*unknown) t->special.unknown = t->bpe.unknown = vocab_find(&t->vocab, unknown, strlen(unknown));
    return LORAC_OK;
}

static lorac_status check_decoder(struct parts *p, const json_t *decoder)
{
    return !strcmp(type_of(decoder), "ByteLevel") ? LORAC_OK : unsupported(p, "decoder", type_of(decoder));
}

/* ---- all --------------------------------------------------------------------------------- */

lorac_status tokenizer_read_parts(struct lorac_tokenizer *t, const json_t *root, lorac_error *err)
{
    struct parts p = {.tokenizer = t, .err = err};
    const json_t *normalizer = json_object_get(root, "normalizer"), *added = json_object_get(root, "added_tokens");
    TRY(read_model(&p, json_object_get(root, "model")));
    if (normalizer) TRY(read_normalizer(&p, normalizer));
    if (added && !json_is_null(added))
        TRY(read_sequence(&p, "\"added_tokens\" is not a list", added, read_added_token));
    TRY(pretokenizer_read(&t->pretokenizer, json_object_get(root, "pre_tokenizer"), t->path, err));
    if (!t->pretokenizer.byte_level && !t->pretokenizer.spelled) return unsupported(&p, "BPE", "without ByteLevel");
    TRY(read_postprocessor(&p, json_object_get(root, "post_processor")));
    return check_decoder(&p, json_object_get(root, "decoder"));
}

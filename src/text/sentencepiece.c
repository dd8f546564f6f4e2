/* sentencepiece.c — families of SentencePiece tokenizers, and what is added to their pieces. See sentencepiece.h. */
#include "text/sentencepiece.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

/* ---- families ---------------------------------------------------------------------------- */

#define MARK              "\xE2\x96\x81"
#define REPLACE(from, to) "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" from "\"},\"content\":\"" to "\"}"
#define METASPACE(scheme, split)                                                                                       \
    "{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\",\"prepend_scheme\":\"" scheme "\",\"split\":" split "}"
#define SEQUENCE(key, list) "{\"type\":\"Sequence\",\"" key "\":[" list "]}"
#define TO_BYTES            REPLACE(MARK, " ") ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"
#define STRIP               ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"

/* What tokenizer.json would hold; `plain` where the file asks for no space before the text. */
struct sentencepiece_family {
    const char *classes, *architectures; /* separated by blanks */
    bool unigram;
    bool settled;       /* the class decides alone: bytes stand for unknown text, the file's normaliser is not asked */
    bool drops_unknown; /* unknown text without byte tokens gives nothing */
    const char *parts, *plain;
    const char *specials;               /* tokens that are special if the vocabulary has them */
    enum merge_order order, gguf_order; /* in a tokenizer.model, in a GGUF */
    bool adds_eos;                      /* in a tokenizer.model; a GGUF says itself */
    int extra_ids;                      /* T5: that many <extra_id_N> follow the pieces */
};

static const struct sentencepiece_family families[] = {
    {.classes = "GemmaTokenizer GemmaTokenizerFast",
     .architectures = "gemma gemma2 gemma3",
     .settled = true,
     .parts = "{\"normalizer\":" REPLACE(" ", MARK) ",\"decoder\":" SEQUENCE("decoders", TO_BYTES) "}",
     .specials = "<unk> <bos> <eos> <pad> <mask>",
     .order = MERGE_BY_ID,
     .gguf_order = MERGE_BY_ID_LONG_LEFT},
    {.classes = "T5Tokenizer T5TokenizerFast",
     .architectures = "*",
     .unigram = true,
     .parts = "{\"pre_tokenizer\":" SEQUENCE(
         "pretokenizers",
         "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"behavior\":\"Removed\",\"invert\":false}," METASPACE(
             "always", "true")) ",\"decoder\":" METASPACE("always", "true") "}",
     .specials = "<unk> </s> <pad>",
     .adds_eos = true,
     .extra_ids = 100},
    {.classes = "",
     .architectures = "phi3",
     .settled = true,
     .drops_unknown = true,
     .parts = "{\"normalizer\":" SEQUENCE(
         "normalizers", "{\"type\":\"Prepend\",\"prepend\":\"" MARK
                        "\"}," REPLACE(" ", MARK)) ",\"decoder\":" SEQUENCE("decoders", TO_BYTES STRIP) "}",
     .specials = "<unk> <s> </s>",
     .gguf_order = MERGE_BY_SCORE_LONG_LEFT},
    {.classes = "LlamaTokenizer LlamaTokenizerFast CodeLlamaTokenizer CodeLlamaTokenizerFast",
     .architectures = "*",
     .settled = true,
     .drops_unknown = true,
     .parts =
         "{\"pre_tokenizer\":" METASPACE("first", "false") ",\"decoder\":" SEQUENCE("decoders", TO_BYTES STRIP) "}",
     .plain = "{\"pre_tokenizer\":" METASPACE("never", "false") ",\"decoder\":" SEQUENCE("decoders", TO_BYTES) "}",
     .specials = "<unk> <s> </s>",
     .order = MERGE_BY_ID,
     .gguf_order = MERGE_BY_SCORE_LONG_LEFT},
    {.classes = "*", .architectures = "", .order = MERGE_BY_SCORE}, /* as SentencePiece itself: the file's settings */
};
enum { FAMILIES = sizeof families / sizeof *families };

static bool is_listed(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; length && (at = strstr(at, name)); at++)
        if ((at == names || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return !strcmp(names, "*");
}

void sentencepiece_of_class(struct sentencepiece *s, const char *class)
{
    size_t i = 0;
    while (!is_listed(families[i].classes, class ? class : "")) i++;
    s->family = &families[i];
    s->order = families[i].order;
}

void sentencepiece_of_architecture(struct sentencepiece *s, const char *architecture)
{
    size_t i = 0;
    while (s->unigram != families[i].unigram || !is_listed(families[i].architectures, architecture)) i++;
    s->family = &families[i];
    s->order = families[i].gguf_order;
}

lorac_status sentencepiece_settle_prefix(struct sentencepiece *s, lorac_error *err)
{
    if (!s->family->settled) return LORAC_OK;
    return json_get_bool(s->config, "add_prefix_space", true, &s->dummy_prefix, s->path, err);
}

bool sentencepiece_adds_eos(const struct sentencepiece *s)
{
    return s->family->adds_eos;
}

/* ---- pieces ------------------------------------------------------------------------------ */

void sentencepiece_init(struct sentencepiece *s, struct lorac_tokenizer *t)
{
    *s = (struct sentencepiece){.tokenizer = t,
                                .types = {.memory = t->memory, .size = 1},
                                .dummy_prefix = true,
                                .legacy = true,
                                .remove_extra_spaces = true,
                                .escape_spaces = true,
                                .unknown = -1,
                                .path = t->path};
}

void sentencepiece_free(struct sentencepiece *s)
{
    list_free(&s->types);
}

lorac_status sentencepiece_add(struct sentencepiece *s, const char *piece, size_t length, double score,
                               enum piece_type type, lorac_error *err)
{
    struct vocab *v = &s->tokenizer->vocab;
    if (!utf8_is_valid(piece, length))
        return fail(err, LORAC_FORMAT, s->path, "piece %zu is not UTF-8", s->types.count);
    TRY(vocab_put(v, (int64_t)s->types.count, piece, length, true, s->path, err));
    uint8_t *item = list_add(&s->types);
    double *kept = item ? list_add(&s->tokenizer->scores) : NULL;
    if (!kept) return fail_memory(err, "the pieces", s->types.count);
    *item = (uint8_t)type;
    *kept = score;
    return LORAC_OK;
}

static lorac_status add_special(struct sentencepiece *s, int32_t id, bool special, lorac_error *err)
{
    struct lorac_tokenizer *t = s->tokenizer;
    if (id < 0 || t->vocab.tokens[id].flags & TOKEN_ADDED) return LORAC_OK;
    struct token token = t->vocab.tokens[id];
    struct text copy = {.memory = t->memory}; /* adding may move the vocabulary's bytes */
    text_add(&copy, vocab_bytes(&t->vocab, &token), token.length);
    lorac_status status =
        copy.failed ? fail_memory(err, "added tokens", token.length)
                    : tokenizer_add_token(t, id, copy.data, copy.length, (struct added_token){.special = special}, err);
    text_free(&copy);
    return status;
}

static lorac_status add_extra_ids(struct sentencepiece *s, lorac_error *err)
{
    for (int i = s->family->extra_ids - 1; i >= 0; i--) {
        char name[32];
        int length = snprintf(name, sizeof name, "<extra_id_%d>", i);
        if (vocab_find(&s->tokenizer->vocab, name, (size_t)length) < 0)
            TRY(sentencepiece_add(s, name, (size_t)length, 0, PIECE_CONTROL, err));
    }
    return LORAC_OK;
}

/* User-defined pieces of the general family are cut out by its pre-tokenizer. */
static lorac_status add_specials(struct sentencepiece *s, lorac_error *err)
{
    const uint8_t *types = s->types.items;
    for (size_t id = 0; id < s->types.count; id++) {
        bool control = types[id] == PIECE_CONTROL, user = types[id] == PIECE_USER_DEFINED && s->family->parts;
        if (control || user) TRY(add_special(s, (int32_t)id, control, err));
    }
    for (const char *name = s->family->specials, *end; name && *name; name = *end ? end + 1 : end) {
        end = name + strcspn(name, " ");
        TRY(add_special(s, vocab_find(&s->tokenizer->vocab, name, (size_t)(end - name)), true, err));
    }
    const struct tokenizer_special *roles = &s->tokenizer->special;
    const int32_t named[] = {roles->bos, roles->eos, roles->unknown, roles->pad};
    for (size_t i = 0; i < 4; i++) TRY(add_special(s, named[i], true, err));
    return LORAC_OK;
}

/* ---- the general family's parts ---------------------------------------------------------- */

struct user_piece {
    uint32_t length;
    int32_t id;
};

static int longer_first(const void *x, const void *y)
{
    const struct user_piece *a = x, *b = y;
    if (a->length != b->length) return a->length > b->length ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static bool find_user_pieces(const struct sentencepiece *s, struct list *pieces)
{
    const uint8_t *types = s->types.items;
    for (size_t id = 0; id < s->types.count; id++) {
        if (types[id] != PIECE_USER_DEFINED) continue;
        struct user_piece *piece = list_add(pieces);
        if (!piece) return false;
        *piece = (struct user_piece){s->tokenizer->vocab.tokens[id].length, (int32_t)id};
    }
    if (pieces->count) qsort(pieces->items, pieces->count, sizeof(struct user_piece), longer_first);
    return true;
}

/* One expression that finds the user-defined pieces, the longest first; empty where there are none. */
static bool user_pattern(const struct sentencepiece *s, struct text *pattern)
{
    struct list pieces = {.memory = pattern->memory, .size = sizeof(struct user_piece)};
    bool found = find_user_pieces(s, &pieces);
    for (size_t i = 0; i < pieces.count; i++) {
        const struct token *token = &s->tokenizer->vocab.tokens[((const struct user_piece *)pieces.items)[i].id];
        if (i) text_puts(pattern, "|");
        for (size_t at = 0; at < token->length; at++) {
            char c = vocab_bytes(&s->tokenizer->vocab, token)[at];
            if (strchr("\\^$.[]|(){}?*+-#&~ ", c) && c) text_puts(pattern, "\\");
            text_add(pattern, &c, 1);
        }
    }
    list_free(&pieces);
    return found && !pattern->failed;
}

static json_t *general_pretokenizer(const struct sentencepiece *s, const struct text *users)
{
    json_t *list = json_array();
    const char *scheme = !s->dummy_prefix ? "never" : s->legacy ? "always" : "first";
    if (s->dummy_prefix || s->words)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", MARK,
                                              "prepend_scheme", scheme, "split", s->words));
    if (users->length)
        json_array_append_new(list, json_pack("{s:s, s:{s:s%}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                              users->data, users->length, "behavior", "Isolated", "invert", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

static json_t *general_decoder(const struct sentencepiece *s)
{
    json_t *list = json_array();
    json_array_append_new(
        list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", MARK, "content", " "));
    if (s->byte_fallback) json_array_append_new(list, json_pack("{s:s}", "type", "ByteFallback"));
    if (s->byte_fallback || s->dummy_prefix) json_array_append_new(list, json_pack("{s:s}", "type", "Fuse"));
    if (s->dummy_prefix)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

static lorac_status general_parts(const struct sentencepiece *s, bool *has_users, json_t **root, lorac_error *err)
{
    struct text users = {.memory = s->tokenizer->memory};
    bool made = s->words || user_pattern(s, &users);
    *root =
        made ? json_pack("{s:o, s:o}", "pre_tokenizer", general_pretokenizer(s, &users), "decoder", general_decoder(s))
             : NULL;
    *has_users = users.length > 0;
    text_free(&users);
    return *root ? LORAC_OK : fail_memory(err, "the tokenizer's parts", 0);
}

/* ---- all --------------------------------------------------------------------------------- */

static lorac_status family_parts(const struct sentencepiece *s, json_t **root, lorac_error *err)
{
    const char *parts = s->dummy_prefix || !s->family->plain ? s->family->parts : s->family->plain;
    return json_read(s->tokenizer->memory, parts, strlen(parts), s->path, root, err);
}

static json_t *model_part(const struct sentencepiece *s, bool has_users)
{
    if (s->words) return json_pack("{s:s}", "type", "WordLevel");
    if (s->unigram)
        return s->unknown < 0 ? json_pack("{s:s, s:b}", "type", "Unigram", "byte_fallback", s->byte_fallback)
                              : json_pack("{s:s, s:b, s:i}", "type", "Unigram", "byte_fallback", s->byte_fallback,
                                          "unk_id", s->unknown);
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "BPE", "fuse_unk", 1, "byte_fallback", s->byte_fallback,
                     "ignore_merges", has_users);
}

static lorac_status add_charsmap(struct sentencepiece *s, lorac_error *err)
{
    if (!s->charsmap_length || s->family->settled) return LORAC_OK;
    struct normalizer_step *step = normalizer_add(&s->tokenizer->normalizer, normalize_precompiled, err);
    if (!step) return LORAC_OUT_OF_MEMORY;
    return charsmap_make(s->tokenizer->memory, s->charsmap, s->charsmap_length, s->path, &step->charsmap, err);
}

/* A space goes before each piece of text; where the text itself begins with one, Metaspace would leave it at that. */
static lorac_status add_spaces(struct sentencepiece *s, lorac_error *err)
{
    if (s->family->parts) return LORAC_OK;
    struct normalizer_step *step = normalizer_add(&s->tokenizer->normalizer, normalize_spaces, err);
    if (!step) return LORAC_OUT_OF_MEMORY;
    step->trim = s->remove_extra_spaces;
    step->trim_marks = s->remove_extra_spaces && s->words; /* as SentencePiece; transformers leaves them */
    step->escape = s->escape_spaces;
    step->mark_again = s->dummy_prefix && s->legacy;
    return LORAC_OK;
}

static lorac_status read_parts(struct sentencepiece *s, lorac_error *err)
{
    bool has_users = false;
    json_t *root;
    struct lorac_tokenizer *t = s->tokenizer;
    TRY(s->family->parts ? family_parts(s, &root, err) : general_parts(s, &has_users, &root, err));
    json_object_set_new(root, "model", model_part(s, has_users));
    int32_t unknown = t->special.unknown;
    lorac_status status = tokenizer_read_parts(t, root, err);
    json_decref(root);
    if (!s->unigram) t->bpe.unknown = s->family->drops_unknown ? -1 : s->unknown;
    t->special.unknown = unknown;
    if (s->words) t->model = &model_words;
    return status;
}

lorac_status sentencepiece_finish(struct sentencepiece *s, lorac_error *err)
{
    struct lorac_tokenizer *t = s->tokenizer;
    if (!s->types.count) return fail(err, LORAC_FORMAT, s->path, "there are no pieces");
    s->byte_fallback |= s->family->settled;
    if (s->unigram) TRY(add_extra_ids(s, err));
    if (!s->unigram && !s->words && !t->bpe.memory) TRY(vocab_merges(t, s->order, s->types.items, err));
    TRY(add_charsmap(s, err));
    TRY(add_spaces(s, err));
    TRY(read_parts(s, err));
    TRY(sentencepiece_add_configured(s, !s->family->parts, err));
    return add_specials(s, err);
}

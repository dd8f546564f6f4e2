/* tokenizer_gguf.c — a tokenizer from a GGUF file's metadata, by tokenizer.ggml.model: "gpt2" (BPE, mostly of bytes,
 * the splitting named by .pre), "whitespace" (BPE of characters), "llama" and "gemma4" (SentencePiece BPE), "t5"
 * (unigram), "bert" (WordPiece).
 * Everything is copied: the file may be closed afterwards. Refuses other models and unknown splittings by name. */
#include "text/tokenizer_gguf.h"

#include <stdio.h>
#include <string.h>
#include "text/sentencepiece.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

/* ---- metadata ---------------------------------------------------------------------------- */

static const struct gguf_value *find_array(const struct gguf *g, const char *key, bool of_strings)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->type == GGUF_ARRAY && (v->as.array.type == GGUF_STRING) == of_strings ? v : NULL;
}

static lorac_status read_id(const struct gguf *g, const char *key, size_t count, int32_t *id, lorac_error *err)
{
    size_t value;
    TRY(gguf_get_size(g, key, SIZE_MAX, &value, err));
    if (value == SIZE_MAX) return LORAC_OK;
    if (value >= count)
        return fail(err, LORAC_FORMAT, g->path, "%s is %zu, but there are %zu tokens", key, value, count);
    *id = (int32_t)value;
    return LORAC_OK;
}

/* The tokens, and what goes with them: NULL where the file has none. */
struct tokens {
    const struct gguf_value *texts, *types, *scores, *merges;
};

static lorac_status check_count(const struct gguf *g, const struct gguf_value *array, size_t count, const char *key,
                                lorac_error *err)
{
    if (!array || array->as.array.count == count) return LORAC_OK;
    return fail(err, LORAC_FORMAT, g->path, "%s has %zu entries for %zu tokens", key, array->as.array.count, count);
}

static lorac_status find_tokens(const struct gguf *g, struct tokens *t, lorac_error *err)
{
    *t =
        (struct tokens){find_array(g, "tokenizer.ggml.tokens", true), find_array(g, "tokenizer.ggml.token_type", false),
                        find_array(g, "tokenizer.ggml.scores", false), find_array(g, "tokenizer.ggml.merges", true)};
    if (!t->texts) return fail(err, LORAC_FORMAT, g->path, "tokenizer.ggml.tokens is missing or not a list of strings");
    size_t count = t->texts->as.array.count;
    TRY(check_count(g, t->types, count, "tokenizer.ggml.token_type", err));
    return check_count(g, t->scores, count, "tokenizer.ggml.scores", err);
}

static unsigned type_of(const struct tokens *t, size_t id)
{
    double type = t->types ? gguf_number(t->types, id) : PIECE_NORMAL;
    return type >= PIECE_NORMAL && type <= PIECE_BYTE ? (unsigned)type : PIECE_NORMAL;
}

/* ---- merges ------------------------------------------------------------------------------ */

static lorac_status read_merges(struct lorac_tokenizer *t, const struct gguf *g, const struct gguf_value *merges,
                                lorac_error *err)
{
    TRY(bpe_init(&t->bpe, t->memory, &t->vocab, merges->as.array.count, err));
    struct gguf_string s;
    uint32_t rank = 0;
    for (size_t at = 0; gguf_next_string(merges, &at, &s); rank++) {
        const char *space = s.length > 1 ? memchr(s.data + 1, ' ', s.length - 1) : NULL;
        size_t left = space ? (size_t)(space - s.data) : 0;
        if (!space) return fail(err, LORAC_FORMAT, g->path, "merge %u has no space between its parts", rank);
        TRY(bpe_add_merge(&t->bpe, &t->vocab, rank, s.data, left, space + 1, s.length - left - 1, g->path, err));
    }
    return LORAC_OK;
}

/* ---- words, each by itself ----------------------------------------------------------------- */

static lorac_status add_marked_tokens(struct lorac_tokenizer *t, const struct tokens *tokens, lorac_error *err)
{
    for (size_t id = 0; id < t->vocab.count; id++) {
        unsigned type = type_of(tokens, id);
        if (type != PIECE_CONTROL && type != PIECE_USER_DEFINED) continue;
        const struct token *token = &t->vocab.tokens[id];
        TRY(tokenizer_add_token(t, (int64_t)id, vocab_bytes(&t->vocab, token), token->length,
                                (struct added_token){.special = type == PIECE_CONTROL}, err));
    }
    return LORAC_OK;
}

static lorac_status read_texts(struct lorac_tokenizer *t, const struct gguf *g, const struct gguf_value *texts,
                               lorac_error *err)
{
    struct gguf_string s;
    int64_t id = 0;
    TRY(vocab_reserve(&t->vocab, texts->as.array.count, err));
    for (size_t at = 0; gguf_next_string(texts, &at, &s); id++) {
        if (!utf8_is_valid(s.data, s.length))
            return fail(err, LORAC_FORMAT, g->path, "token %lld is not UTF-8", (long long)id);
        TRY(vocab_put(&t->vocab, id, s.data, s.length, true, g->path, err));
    }
    return LORAC_OK;
}

static lorac_status find_split(const struct gguf *g, const struct gguf_split **split, lorac_error *err)
{
    char *pre;
    TRY(gguf_get_text(g, "tokenizer.ggml.pre", &pre, err));
    const char *name = pre ? pre : "default";
    *split = gguf_split_named(name);
    lorac_status status = *split
                              ? LORAC_OK
                              : fail(err, LORAC_UNSUPPORTED, g->path,
                                     "pre-tokenizer \"%.60s\" (tokenizer.ggml.pre) is not one that lorac knows", name);
    mem_free(g->memory, pre);
    return status;
}

static lorac_status read_words(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                               const struct gguf_split *split, lorac_error *err)
{
    static const struct split_step between_spaces = {.behaviour = SPLIT_REMOVED, .invert = true};
    bool bytes = split->words == WORDS_OF_BYTES;
    if (!tokens->merges)
        return fail(err, LORAC_FORMAT, g->path, "tokenizer.ggml.merges is missing or not a list of strings");
    TRY(read_texts(t, g, tokens->texts, err));
    TRY(add_marked_tokens(t, tokens, err));
    TRY(read_merges(t, g, tokens->merges, err));
    t->bpe.ignore_merges = split->ignore_merges;
    if (!bytes) TRY(read_id(g, "tokenizer.ggml.unknown_token_id", t->vocab.count, &t->bpe.unknown, err));
    if (!bytes) TRY(bpe_use_characters(&t->bpe, &t->vocab, err));
    for (size_t i = 0; i < GGUF_SPLIT_STEPS && split->patterns[i]; i++)
        TRY(pretokenizer_add(&t->pretokenizer, split->patterns[i], strlen(split->patterns[i]), false,
                             bytes ? (struct split_step){0} : between_spaces, g->path, err));
    const struct decoder_kind *decoder = decoder_kind_named(bytes ? "ByteLevel" : "Fuse");
    return decoder_add(&t->decoder, decoder, err) ? LORAC_OK : LORAC_OUT_OF_MEMORY;
}

/* ---- llama, gemma4, t5 -------------------------------------------------------------------- */

/* Gemma's files write tokens of spaces as spaces; they are marks to the model. T5's write <extra_id_N>, the last of
 * them first, as [PADn]. */
static void respell(const struct sentencepiece *s, struct gguf_string token, int *pads, struct text *out)
{
    bool spaces = token.length > 0 && !s->unigram;
    for (size_t i = 0; i < token.length; i++) spaces &= token.data[i] == ' ';
    bool pad = s->unigram && *pads > 0 && token.length > 5 && !memcmp(token.data, "[PAD", 4) &&
               strspn(token.data + 4, "0123456789") == token.length - 5 && token.data[token.length - 1] == ']';
    out->length = 0;
    if (pad)
        text_printf(out, "<extra_id_%d>", --*pads);
    else if (spaces)
        for (size_t i = 0; i < token.length; i++) text_puts(out, "\xE2\x96\x81");
    else
        text_add(out, token.data, token.length);
}

static lorac_status add_pieces(struct sentencepiece *s, const struct tokens *tokens, lorac_error *err)
{
    struct text spelled = {.memory = s->tokenizer->memory};
    struct gguf_string token;
    size_t id = 0;
    int pads = 100;
    lorac_status status = LORAC_OK;
    for (size_t at = 0; status == LORAC_OK && gguf_next_string(tokens->texts, &at, &token); id++) {
        unsigned type = type_of(tokens, id);
        respell(s, token, &pads, &spelled);
        bool same = spelled.length == token.length;
        if (spelled.failed) status = fail_memory(err, "the pieces", token.length);
        if (s->unigram && !same) type = PIECE_CONTROL;
        if (!s->unigram && !same) type = PIECE_NORMAL; /* spaces are not looked for in the text as they were written */
        if (status == LORAC_OK)
            status =
                sentencepiece_add(s, spelled.data ? spelled.data : "", spelled.length,
                                  tokens->scores ? gguf_number(tokens->scores, id) : 0, (enum piece_type)type, err);
    }
    text_free(&spelled);
    return status;
}

static lorac_status read_pieces(struct sentencepiece *s, const struct gguf *g, const struct tokens *tokens,
                                lorac_error *err)
{
    struct lorac_tokenizer *t = s->tokenizer;
    const struct gguf_value *charsmap = find_array(g, "tokenizer.ggml.precompiled_charsmap", false);
    TRY(add_pieces(s, tokens, err));
    TRY(gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", true, &s->dummy_prefix, err));
    if (charsmap) s->charsmap = charsmap->as.array.data, s->charsmap_length = charsmap->as.array.bytes;
    TRY(read_id(g, "tokenizer.ggml.unknown_token_id", t->vocab.count, &s->unknown, err));
    t->special.unknown = s->unknown;
    if (s->unigram && !tokens->scores) return fail(err, LORAC_FORMAT, g->path, "tokenizer.ggml.scores is missing");
    if (!s->unigram && tokens->merges) TRY(read_merges(t, g, tokens->merges, err));
    return sentencepiece_finish(s, err);
}

static lorac_status read_sentencepiece(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                                       const char *architecture, bool unigram, lorac_error *err)
{
    struct sentencepiece s;
    sentencepiece_init(&s, t);
    s.unigram = unigram;
    s.path = g->path;
    sentencepiece_of_architecture(&s, architecture);
    lorac_status status = read_pieces(&s, g, tokens, err);
    sentencepiece_free(&s);
    return status;
}

static lorac_status read_llama(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                               lorac_error *err)
{
    char *architecture;
    bool always;
    TRY(gguf_get_bool(g, GGUF_ALWAYS_SPACE, false, &always, err));
    TRY(gguf_get_text(g, "general.architecture", &architecture, err));
    const char *name = always ? "phi3" : architecture ? architecture : "llama"; /* of tokenizers: Phi 3's does */
    lorac_status status = read_sentencepiece(t, g, tokens, name, false, err);
    mem_free(g->memory, architecture);
    return status;
}

static lorac_status read_gemma4(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                                lorac_error *err)
{
    return read_sentencepiece(t, g, tokens, "gemma", false, err);
}

static lorac_status read_t5(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                            lorac_error *err)
{
    return read_sentencepiece(t, g, tokens, "t5", true, err);
}

/* ---- gpt2 --------------------------------------------------------------------------------- */

static lorac_status read_gpt2(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                              lorac_error *err)
{
    const struct gguf_split *split;
    TRY(find_split(g, &split, err));
    return split->words == NO_WORDS ? read_gemma4(t, g, tokens, err) : read_words(t, g, tokens, split, err);
}

/* ---- normalisers --------------------------------------------------------------------------- */

/* Models of words and of word pieces say whether text is normalised; accents go where case does, unless they say. */
static lorac_status read_flags(const struct gguf *g, bool fallback, bool *lowercase, bool *strip_accents,
                               lorac_error *err)
{
    TRY(gguf_get_bool(g, "tokenizer.ggml.normalizer.lowercase", fallback, lowercase, err));
    return gguf_get_bool(g, "tokenizer.ggml.normalizer.strip_accents", *lowercase, strip_accents, err);
}

static lorac_status read_whitespace(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                                    lorac_error *err)
{
    bool lowercase, accents;
    struct parts parts = {.tokenizer = t, .err = err};
    TRY(read_flags(g, false, &lowercase, &accents, err));
    json_t *part = json_pack("{s:s}", "type", "Lowercase");
    lorac_status status = lowercase ? parts_read_normalizer(&parts, part) : LORAC_OK;
    json_decref(part);
    return status == LORAC_OK ? read_gpt2(t, g, tokens, err) : status;
}

/* ---- bert -------------------------------------------------------------------------------- */

/* A token that begins a word carries a mark in the file; WordPiece marks those that do not. */
static lorac_status read_word_pieces(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                                     lorac_error *err)
{
    static const char mark[] = "\xE2\x96\x81";
    struct text spelled = {.memory = t->memory};
    struct gguf_string s;
    size_t id = 0;
    lorac_status status = LORAC_OK;
    for (size_t at = 0; status == LORAC_OK && gguf_next_string(tokens->texts, &at, &s); id++) {
        bool begins = s.length >= 3 && !memcmp(s.data, mark, 3), plain = type_of(tokens, id) != PIECE_NORMAL;
        plain |= s.length > 1 && s.data[0] == '[' && s.data[s.length - 1] == ']';
        spelled.length = 0;
        if (!begins && !plain) text_puts(&spelled, "##");
        text_add(&spelled, s.data + (begins ? 3 : 0), s.length - (begins ? 3 : 0));
        if (!utf8_is_valid(s.data, s.length)) status = fail(err, LORAC_FORMAT, g->path, "token %zu is not UTF-8", id);
        if (status == LORAC_OK && spelled.failed) status = fail_memory(err, "the vocabulary", s.length);
        if (status == LORAC_OK)
            status = vocab_put(&t->vocab, (int64_t)id, spelled.data, spelled.length, true, g->path, err);
    }
    text_free(&spelled);
    return status;
}

static lorac_status read_bert(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                              lorac_error *err)
{
    bool lowercase, accents;
    TRY(read_flags(g, true, &lowercase, &accents, err));
    TRY(read_word_pieces(t, g, tokens, err));
    json_t *root = json_pack("{s:{s:s,s:b,s:b},s:{s:s},s:{s:s},s:{s:s}}", "normalizer", "type", "BertNormalizer",
                             "lowercase", lowercase, "strip_accents", accents, "pre_tokenizer", "type",
                             "BertPreTokenizer", "decoder", "type", "WordPiece", "model", "type", "WordPiece");
    if (!root) return fail_memory(err, "a tokenizer's parts", 0);
    lorac_status status = tokenizer_read_parts(t, root, err);
    json_decref(root);
    if (status == LORAC_OK) status = add_marked_tokens(t, tokens, err);
    return status;
}

/* ---- roles ------------------------------------------------------------------------------- */

static lorac_status read_stops(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int32_t id = -1;
        TRY(read_id(g, keys[i], t->vocab.count, &id, err));
        tokenizer_add_stop(t, id);
    }
    return LORAC_OK;
}

/* The role's token is special, whatever its type. */
static lorac_status read_role(struct lorac_tokenizer *t, const struct gguf *g, const char *key, int32_t *id,
                              lorac_error *err)
{
    TRY(read_id(g, key, t->vocab.count, id, err));
    if (*id < 0 || t->vocab.tokens[*id].flags & TOKEN_ADDED || t->model == &model_bpe) return LORAC_OK;
    const struct token *token = &t->vocab.tokens[*id];
    return tokenizer_add_token(t, *id, vocab_bytes(&t->vocab, token), token->length,
                               (struct added_token){.special = true}, err);
}

static lorac_status read_special(struct lorac_tokenizer *t, const struct gguf *g, bool adds_bos, bool adds_eos,
                                 lorac_error *err)
{
    TRY(read_role(t, g, "tokenizer.ggml.bos_token_id", &t->special.bos, err));
    TRY(read_role(t, g, "tokenizer.ggml.eos_token_id", &t->special.eos, err));
    TRY(read_role(t, g, "tokenizer.ggml.unknown_token_id", &t->special.unknown, err));
    TRY(read_role(t, g, "tokenizer.ggml.padding_token_id", &t->special.pad, err));
    TRY(read_stops(t, g, err));
    TRY(gguf_get_bool(g, "tokenizer.ggml.add_bos_token", adds_bos, &adds_bos, err));
    TRY(gguf_get_bool(g, "tokenizer.ggml.add_eos_token", adds_eos, &adds_eos, err));
    if (adds_bos && t->special.bos >= 0) TRY(tokenizer_add_fixed(&t->prefix, t->special.bos, err));
    if (adds_eos && t->special.eos >= 0) TRY(tokenizer_add_fixed(&t->suffix, t->special.eos, err));
    return gguf_get_text(g, "tokenizer.chat_template", &t->chat_template, err);
}

/* ---- all --------------------------------------------------------------------------------- */

/* What tokenizer.ggml.model may be; adds_bos, adds_eos: where the file does not say. */
static const struct gguf_model {
    const char *name;
    lorac_status (*read)(struct lorac_tokenizer *t, const struct gguf *g, const struct tokens *tokens,
                         lorac_error *err);
    bool adds_bos, adds_eos;
} models[] = {
    {"gpt2", read_gpt2, false, false},     {"llama", read_llama, true, false},
    {"gemma4", read_gemma4, false, false}, {"t5", read_t5, false, true},
    {"bert", read_bert, true, true},       {"whitespace", read_whitespace, false, false},
};

static lorac_status find_model(const struct gguf *g, const struct gguf_model **model, lorac_error *err)
{
    char *name;
    TRY(gguf_get_text(g, "tokenizer.ggml.model", &name, err));
    *model = NULL;
    for (size_t i = 0; i < sizeof models / sizeof *models && name; i++)
        if (!strcmp(models[i].name, name)) *model = &models[i];
    lorac_status status =
        *model ? LORAC_OK
        : name ? fail(err, LORAC_UNSUPPORTED, g->path, "tokenizer model \"%.60s\" (tokenizer.ggml.model)", name)
               : fail(err, LORAC_NOT_FOUND, g->path, "the file has no tokenizer (tokenizer.ggml.model)");
    mem_free(g->memory, name);
    return status;
}

lorac_status tokenizer_read_gguf(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err)
{
    const struct gguf_model *model;
    const struct gguf_split *split = NULL;
    struct tokens tokens;
    TRY(find_model(g, &model, err));
    TRY(find_tokens(g, &tokens, err));
    TRY(model->read(t, g, &tokens, err));
    if (model->read == read_gpt2) TRY(find_split(g, &split, err));
    return read_special(t, g, split ? split->adds_bos : model->adds_bos, model->adds_eos, err);
}

/* tokenizer_gguf_write.c — a tokenizer as a GGUF's metadata: "gpt2" (BPE of bytes, with the name of its splitting),
 * "llama" (BPE of SentencePiece pieces, by score), "t5" (unigram). See tokenizer_gguf.h; read by tokenizer_gguf.c.
 *
 * Refuses what the format cannot say: other models, splittings without a name, ids beyond the model's rows. */
#include "text/tokenizer_gguf.h"

#include "file/gguf_draft.h"
#include "text/sentencepiece.h"

#include <stdlib.h>
#include <string.h>

#define MARK "\xE2\x96\x81"
static const float NO_MERGE = -1000; /* the score of what no merge makes, as llama.cpp's converter has it */

struct writing {
    const struct lorac_tokenizer *t;
    struct gguf_draft *d;
    size_t rows;
    bool pieces; /* SentencePiece's spelling: spaces are marks */
    lorac_error *err;
};

static lorac_status refuse(const struct writing *w, const char *why)
{
    return fail(w->err, LORAC_UNSUPPORTED, w->t->path, "a GGUF cannot hold this tokenizer: %s", why);
}

/* ---- tokens -------------------------------------------------------------------------------- */

static bool is_byte(const char *text, size_t length)
{
    return length == 6 && !memcmp(text, "<0x", 3) && text[5] == '>';
}

static enum piece_type type_of(const struct writing *w, size_t id)
{
    const struct token *token = id < w->t->vocab.count ? &w->t->vocab.tokens[id] : NULL;
    if (!token || !token->flags) return PIECE_UNUSED;
    if (w->pieces && (int32_t)id == w->t->special.unknown) return PIECE_UNKNOWN;
    if (token->flags & TOKEN_ADDED) return token->flags & TOKEN_SPECIAL ? PIECE_CONTROL : PIECE_USER_DEFINED;
    return w->pieces && is_byte(vocab_bytes(&w->t->vocab, token), token->length) ? PIECE_BYTE : PIECE_NORMAL;
}

/* A name for an id without token that no token has. */
static void add_filler(const struct writing *w, struct text *name, size_t id)
{
    name->length = 0;
    text_printf(name, "[PAD%zu]", id);
    while (!name->failed && tokenizer_find(w->t, name->data, name->length) >= 0) text_puts(name, "_");
}

/* Pieces that stand for themselves have spaces for marks, so that they are found in the text as it is written. */
static void add_spaced(struct text *spaced, const char *text, size_t length)
{
    spaced->length = 0;
    for (size_t at = 0; at < length;) {
        bool mark = length - at >= 3 && !memcmp(text + at, MARK, 3);
        text_add(spaced, mark ? " " : text + at, 1);
        at += mark ? 3 : 1;
    }
}

static void spell_token(const struct writing *w, size_t id, int32_t type, struct text *out)
{
    const struct vocab *v = &w->t->vocab;
    const struct token *token = type == PIECE_UNUSED ? NULL : &v->tokens[id];
    out->length = 0;
    if (!token)
        add_filler(w, out, id);
    else if (w->pieces && type == PIECE_USER_DEFINED)
        add_spaced(out, vocab_bytes(v, token), token->length);
    else
        text_add(out, vocab_bytes(v, token), token->length);
}

static lorac_status put_tokens(const struct writing *w)
{
    struct memory *m = w->t->memory;
    struct text texts = {.memory = m}, types = {.memory = m}, spelled = {.memory = m};
    for (size_t id = 0; id < w->rows; id++) {
        int32_t type = type_of(w, id);
        spell_token(w, id, type, &spelled);
        gguf_add_string(&texts, spelled.data ? spelled.data : "", spelled.length);
        text_add(&types, &type, sizeof type);
        if (spelled.failed || texts.failed) break;
    }
    bool failed = spelled.failed || texts.failed || types.failed;
    if (!failed) {
        gguf_put_array(w->d, "tokenizer.ggml.tokens", GGUF_STRING, w->rows, texts.data, texts.length);
        gguf_put_array(w->d, "tokenizer.ggml.token_type", GGUF_I32, w->rows, types.data, types.length);
    }
    text_free(&texts);
    text_free(&types);
    text_free(&spelled);
    return failed ? fail_memory(w->err, "the tokens", w->rows) : LORAC_OK;
}

/* ---- merges -------------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* By rank; *merges (mem_free). */
static lorac_status list_merges(const struct writing *w, struct merge **merges, size_t *count)
{
    const struct bpe *b = &w->t->bpe;
    *count = 0;
    *merges = mem_array(w->t->memory, b->slot_count + 1, sizeof **merges);
    if (!*merges) return fail_memory(w->err, "the merges", b->slot_count);
    for (size_t i = 0; i < b->slot_count; i++)
        if (b->merges[i].left >= 0) (*merges)[(*count)++] = b->merges[i];
    qsort(*merges, *count, sizeof **merges, by_rank);
    return LORAC_OK;
}

/* "left right": a space in one of the two could not be told from the one between. */
static bool spell_merge(const struct vocab *v, const struct merge *m, struct text *out)
{
    const struct token *left = &v->tokens[m->left], *right = &v->tokens[m->right];
    const char *a = vocab_bytes(v, left), *b = vocab_bytes(v, right);
    out->length = 0;
    text_add(out, a, left->length);
    text_puts(out, " ");
    text_add(out, b, right->length);
    return !memchr(a, ' ', left->length) && !memchr(b, ' ', right->length);
}

static lorac_status put_merges(const struct writing *w)
{
    struct text texts = {.memory = w->t->memory}, one = {.memory = w->t->memory};
    struct merge *merges;
    size_t count;
    lorac_status status = LORAC_OK;
    TRY(list_merges(w, &merges, &count));
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        if (!spell_merge(&w->t->vocab, &merges[i], &one)) status = refuse(w, "a merge holds a space");
        gguf_add_string(&texts, one.data, one.length);
        if (one.failed || texts.failed) status = fail_memory(w->err, "the merges", count);
    }
    if (status == LORAC_OK) gguf_put_array(w->d, "tokenizer.ggml.merges", GGUF_STRING, count, texts.data, texts.length);
    mem_free(w->t->memory, merges);
    text_free(&texts);
    text_free(&one);
    return status;
}

/* ---- scores -------------------------------------------------------------------------------- */

/* Where the file has none: what merges early scores high. */
static lorac_status score_merges(const struct writing *w, float *scores)
{
    struct merge *merges;
    size_t count;
    TRY(list_merges(w, &merges, &count));
    for (size_t i = count; i-- > 0;)
        if ((size_t)merges[i].id < w->rows) scores[merges[i].id] = -(float)merges[i].rank;
    mem_free(w->t->memory, merges);
    return LORAC_OK;
}

static lorac_status put_scores(const struct writing *w)
{
    const struct lorac_tokenizer *t = w->t;
    const double *given = t->model == &model_unigram ? t->unigram.scores : t->scores.items;
    size_t count = t->model == &model_unigram ? t->vocab.count : t->scores.count;
    float *scores = mem_array(t->memory, w->rows, sizeof *scores);
    if (!scores) return fail_memory(w->err, "the scores", w->rows);
    for (size_t i = 0; i < w->rows; i++) scores[i] = i < count ? (float)given[i] : NO_MERGE;
    lorac_status status = count ? LORAC_OK : score_merges(w, scores);
    if (status == LORAC_OK)
        gguf_put_array(w->d, "tokenizer.ggml.scores", GGUF_F32, w->rows, scores, w->rows * sizeof *scores);
    mem_free(t->memory, scores);
    return status;
}

/* ---- models -------------------------------------------------------------------------------- */

static lorac_status put_bytes_model(struct writing *w)
{
    char name[64];
    const struct lorac_tokenizer *t = w->t;
    const struct gguf_split *split = gguf_split_of(&t->pretokenizer, t->bpe.ignore_merges);
    if (!split) split = gguf_split_of(&t->pretokenizer, !t->bpe.ignore_merges);
    if (!split) return refuse(w, "its pre-tokenizer is none that llama.cpp has a name for");
    size_t length = strcspn(split->names, " ");
    memcpy(name, split->names, length);
    name[length] = 0;
    gguf_put_text(w->d, "tokenizer.ggml.model", "gpt2");
    gguf_put_text(w->d, "tokenizer.ggml.pre", name);
    TRY(put_tokens(w));
    return put_merges(w);
}

/* How many spaces the tokens of a text hold. */
static lorac_status count_marks(const struct writing *w, const char *text, size_t *marks)
{
    const struct vocab *v = &w->t->vocab;
    int32_t *ids;
    size_t count;
    TRY(lorac_tokenizer_encode(w->t, text, strlen(text), 0, &ids, &count, w->err));
    *marks = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at + 3 <= v->tokens[ids[i]].length; at++)
            *marks += !memcmp(vocab_bytes(v, &v->tokens[ids[i]]) + at, MARK, 3);
    lorac_free(ids);
    return LORAC_OK;
}

/* Whether a space goes before the text, and even before one that begins with a space. */
static lorac_status put_space_prefix(const struct writing *w)
{
    size_t plain, spaced;
    TRY(count_marks(w, "a", &plain));
    TRY(count_marks(w, " a", &spaced));
    gguf_put_bool(w->d, "tokenizer.ggml.add_space_prefix", plain > 0);
    if (plain && spaced > 1) gguf_put_bool(w->d, GGUF_ALWAYS_SPACE, true);
    return LORAC_OK;
}

static lorac_status put_pieces_model(struct writing *w)
{
    bool unigram = w->t->model == &model_unigram;
    w->pieces = true;
    gguf_put_text(w->d, "tokenizer.ggml.model", unigram ? "t5" : "llama");
    gguf_put_text(w->d, "tokenizer.ggml.pre", "default");
    TRY(put_space_prefix(w));
    TRY(put_tokens(w));
    TRY(put_scores(w));
    return w->t->scores.count ? LORAC_OK : put_merges(w); /* those of a tokenizer.json go before scores */
}

static lorac_status put_model(struct writing *w)
{
    const struct lorac_tokenizer *t = w->t;
    bool bpe = t->model == &model_bpe;
    if (bpe && !t->bpe.characters) return put_bytes_model(w);
    if (bpe || t->model == &model_unigram) return put_pieces_model(w);
    return refuse(w, tokenizer_type(t));
}

/* ---- roles, templates ---------------------------------------------------------------------- */

static bool holds(const struct list *fixed, int32_t id)
{
    const int32_t *ids = fixed->items;
    for (size_t i = 0; i < fixed->count; i++)
        if (id >= 0 && ids[i] == id) return true;
    return false;
}

static void put_id(const struct writing *w, const char *key, int32_t id)
{
    if (id >= 0) gguf_put_size(w->d, key, (size_t)id);
}

/* EOS ends a generation anyway; of further tokens that do the format has room for two. */
static void put_stops(const struct writing *w)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    size_t used = 0;
    for (size_t id = 0; id < w->t->vocab.count && used < 2; id++)
        if (w->t->vocab.tokens[id].flags & TOKEN_STOP && (int32_t)id != w->t->special.eos)
            put_id(w, keys[used++], (int32_t)id);
}

static void put_templates(const struct writing *w)
{
    struct text names = {.memory = w->t->memory};
    if (w->t->chat_template) gguf_put_text(w->d, "tokenizer.chat_template", w->t->chat_template);
    if (!w->t->chat_template_tools) return;
    gguf_add_string(&names, "tool_use", strlen("tool_use"));
    w->d->failed |= names.failed;
    if (!names.failed) gguf_put_array(w->d, "tokenizer.chat_templates", GGUF_STRING, 1, names.data, names.length);
    gguf_put_text(w->d, "tokenizer.chat_template.tool_use", w->t->chat_template_tools);
    text_free(&names);
}

static void put_roles(const struct writing *w)
{
    const struct tokenizer_special *s = &w->t->special;
    put_id(w, "tokenizer.ggml.bos_token_id", s->bos);
    put_id(w, "tokenizer.ggml.eos_token_id", s->eos);
    put_id(w, "tokenizer.ggml.unknown_token_id", s->unknown);
    put_id(w, "tokenizer.ggml.padding_token_id", s->pad);
    put_stops(w);
    gguf_put_bool(w->d, "tokenizer.ggml.add_bos_token", holds(&w->t->prefix, s->bos));
    gguf_put_bool(w->d, "tokenizer.ggml.add_eos_token", holds(&w->t->suffix, s->eos));
    put_templates(w);
}

/* ---- reading back -------------------------------------------------------------------------- */

/* What tokenizers of the families that are known cut in different ways. */
static const char *const probes[] = {
    "a",
    "Hello, World! How's it going? I'VE we'll they'D",
    " leading",
    "  two  spaces   three    four ",
    "trailing ",
    "\n",
    "\n\n\n",
    " \n \n",
    "\t\ttabs\tand\r\nlines\r",
    "0 1 12 123 1234 12345 123456 3.14159 1,000,000 v2.0",
    "x=1;y+=2;if(a&&b){return!c;}//...\n    indented\n\tdef f(self):\n        pass",
    "camelCase PascalCase SCREAMING_CASE kebab-case snake_case don't can't",
    "\xC3\xA9t\xC3\xA9 \xC3\x9C"
    "ber na\xC3\xAFve \xC5\x81\xC3\xB3"
    "d\xC5\xBA",
    "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82 "
    "\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF \xEC\x95\x88\xEB\x85\x95",
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D "
    "\xD8\xB3\xD9\x84\xD8\xA7\xD9\x85 \xE0\xB9\x84\xE0\xB8\x97\xE0\xB8\xA2",
    "\xF0\x9F\x98\x80\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD \xE2\x82\xAC\xC2\xA3\xC2\xA5 \xE2\x88\x9E\xE2\x89\xA0 "
    "\xE2\x80\x9Cquotes\xE2\x80\x9D \xE2\x80\x94 dash\xE2\x80\xA6",
    "\xC2\xBD \xC2\xB2 \xD9\xA3\xD9\xA4 \xE2\x85\xA7 \xC2\xA0nbsp\xE2\x80\x8Bzero",
    "https://example.org/path?q=1&r=2#frag user@mail.example <b>bold</b> [link](url) `code` $x^2$ #tag @name",
    "The quick brown fox jumps over the lazy dog; internationalization, antidisestablishmentarianism.",
};

static lorac_status same_tokens(const struct writing *w, const struct lorac_tokenizer *back, const char *text)
{
    int32_t *own = NULL, *read = NULL;
    size_t own_count, read_count;
    TRY(lorac_tokenizer_encode(w->t, text, strlen(text), 0, &own, &own_count, w->err));
    lorac_status status = lorac_tokenizer_encode(back, text, strlen(text), 0, &read, &read_count, w->err);
    bool same = status == LORAC_OK && own_count == read_count && !memcmp(own, read, own_count * sizeof *own);
    lorac_free(own);
    lorac_free(read);
    if (same || status != LORAC_OK) return status;
    return fail(w->err, LORAC_UNSUPPORTED, w->t->path,
                "a GGUF cannot hold this tokenizer: read from one, it would cut \"%.60s\" otherwise", text);
}

static lorac_status check_back(const struct writing *w)
{
    struct lorac_tokenizer *back = tokenizer_new(w->t->memory, w->d->gguf.path);
    if (!back) return fail_memory(w->err, "the tokenizer", sizeof *back);
    lorac_status status = tokenizer_read_gguf(back, &w->d->gguf, w->err);
    if (status == LORAC_OK) status = tokenizer_finish(back, w->err);
    for (size_t i = 0; i < sizeof probes / sizeof *probes && status == LORAC_OK; i++)
        status = same_tokens(w, back, probes[i]);
    lorac_tokenizer_close(back);
    return status;
}

/* ---- all ----------------------------------------------------------------------------------- */

lorac_status tokenizer_to_gguf(const struct lorac_tokenizer *t, size_t rows, struct gguf_draft *d, lorac_error *err)
{
    struct writing w = {.t = t, .d = d, .rows = rows, .err = err};
    if (t->vocab.count > rows)
        return fail(err, LORAC_UNSUPPORTED, t->path, "there are %zu tokens, but the model has rows for %zu",
                    t->vocab.count, rows);
    TRY(put_model(&w));
    put_roles(&w);
    TRY(gguf_draft_check(d, err));
    return check_back(&w);
}

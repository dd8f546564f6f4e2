/* sentencepiece_merges.c — SentencePiece's BPE has no list of merges: two neighbours merge if together they are a
 * piece, the best piece first. Written as ranked merges, these are all cuts of all pieces in two pieces. */
#include "text/sentencepiece.h"

#include "base/reader.h"
#include <stdlib.h>

enum { MAX_PIECE = 1024 }; /* bytes; every cut of a piece is looked up */

struct cut {
    double score; /* of the whole */
    int32_t whole, left, right;
    uint32_t left_length, right_length; /* in characters */
};

/* ---- order ------------------------------------------------------------------------------- */

static int by_id(const void *x, const void *y)
{
    const struct cut *a = x, *b = y;
    if (a->whole != b->whole) return a->whole < b->whole ? -1 : 1;
    return (a->left_length > b->left_length) - (a->left_length < b->left_length);
}

static int by_score(const void *x, const void *y)
{
    const struct cut *a = x, *b = y;
    return a->score != b->score ? (a->score > b->score ? -1 : 1) : by_id(x, y);
}

static int by_score_long_left(const void *x, const void *y)
{
    const struct cut *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->left_length != b->left_length) return a->left_length > b->left_length ? -1 : 1;
    if (a->right_length != b->right_length) return a->right_length > b->right_length ? -1 : 1;
    return by_id(x, y);
}

static int by_id_long_left(const void *x, const void *y)
{
    const struct cut *a = x, *b = y;
    return a->whole != b->whole ? by_id(x, y) : by_id(y, x);
}

static int by_ranks(const void *x, const void *y)
{
    const struct cut *a = x, *b = y;
    if (a->whole != b->whole) return a->whole < b->whole ? -1 : 1;
    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    return (a->right > b->right) - (a->right < b->right);
}

/* ---- cuts -------------------------------------------------------------------------------- */

struct derive {
    struct lorac_tokenizer *tokenizer;
    enum merge_order order;
    const uint8_t *types;
    struct list cuts; /* struct cut */
};

static bool may_merge(const struct derive *d, int32_t id)
{
    bool normal = d->order != MERGE_BY_SCORE || !d->types || d->types[id] == PIECE_NORMAL;
    return normal && !(d->tokenizer->vocab.tokens[id].flags & TOKEN_ADDED);
}

static double score_of(const struct derive *d, int32_t id)
{
    const struct list *scores = &d->tokenizer->scores;
    return (size_t)id < scores->count ? ((const double *)scores->items)[id] : 0;
}

static size_t characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += ((uint8_t)text[i] & 0xC0) != 0x80;
    return count;
}

static lorac_status cut_token(struct derive *d, int32_t id, lorac_error *err)
{
    const struct vocab *v = &d->tokenizer->vocab;
    const struct token *token = &v->tokens[id];
    const char *text = vocab_bytes(v, token);
    size_t all = characters(text, token->length), step;
    if (token->length > MAX_PIECE)
        return fail(err, LORAC_FORMAT, d->tokenizer->path, "token %d has %u bytes; at most %d are taken", id,
                    token->length, MAX_PIECE);
    for (size_t at = 0; at < token->length; at += step) {
        step = utf8_length((const uint8_t *)text + at, token->length - at);
        if (!step) step = 1; /* pieces are valid UTF-8 */
        if (!at) continue;
        int32_t left = vocab_find(v, text, at), right = left < 0 ? -1 : vocab_find(v, text + at, token->length - at);
        if (left < 0 || right < 0 || !may_merge(d, left) || !may_merge(d, right)) continue;
        struct cut *cut = list_add(&d->cuts);
        if (!cut) return fail_memory(err, "the merges", d->cuts.count * sizeof *cut);
        size_t left_length = characters(text, at);
        *cut = (struct cut){score_of(d, id), id, left, right, (uint32_t)left_length, (uint32_t)(all - left_length)};
    }
    return LORAC_OK;
}

static lorac_status add_merges(struct derive *d, lorac_error *err)
{
    static int (*const orders[])(const void *, const void *) = {
        [MERGE_BY_ID] = by_id,
        [MERGE_BY_SCORE] = by_score,
        [MERGE_BY_SCORE_LONG_LEFT] = by_score_long_left,
        [MERGE_BY_ID_LONG_LEFT] = by_id_long_left,
        [MERGE_BY_RANKS] = by_ranks,
    };
    struct lorac_tokenizer *t = d->tokenizer;
    if (d->cuts.count > UINT32_MAX) return fail(err, LORAC_FORMAT, t->path, "too many merges");
    if (d->cuts.count) qsort(d->cuts.items, d->cuts.count, sizeof(struct cut), orders[d->order]);
    TRY(bpe_init(&t->bpe, t->memory, &t->vocab, d->cuts.count, err));
    for (size_t i = 0; i < d->cuts.count; i++) {
        const struct cut *c = (const struct cut *)d->cuts.items + i;
        bpe_add_merge_ids(&t->bpe, (struct merge){c->left, c->right, (uint32_t)i, c->whole});
    }
    return LORAC_OK;
}

lorac_status vocab_merges(struct lorac_tokenizer *t, enum merge_order order, const uint8_t *types, lorac_error *err)
{
    struct derive d = {t, order, types, {.memory = t->memory, .size = sizeof(struct cut)}};
    lorac_status status = LORAC_OK;
    for (size_t id = 0; id < t->vocab.count && status == LORAC_OK; id++)
        if (t->vocab.tokens[id].flags && may_merge(&d, (int32_t)id)) status = cut_token(&d, (int32_t)id, err);
    if (status == LORAC_OK) status = add_merges(&d, err);
    list_free(&d.cuts);
    return status;
}

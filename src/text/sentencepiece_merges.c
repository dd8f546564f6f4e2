/* sentencepiece_merges.c — SentencePiece's BPE has no list of merges: two neighbours merge if together they are a piece,
 * the best piece first. Written as ranked merges, these are all cuts of all pieces in two pieces. */
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

/* ---- cuts -------------------------------------------------------------------------------- */

static bool may_merge(const struct sentencepiece *s, int32_t id)
{
    return s->order != MERGE_BY_SCORE || ((const uint8_t *)s->types.items)[id] == PIECE_NORMAL;
}

static size_t characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += ((uint8_t)text[i] & 0xC0) != 0x80;
    return count;
}

static lorac_status cut_piece(const struct sentencepiece *s, int32_t id, struct list *cuts, lorac_error *err)
{
    const struct vocab *v = &s->tokenizer->vocab;
    const struct token *token = &v->tokens[id];
    const char *text = vocab_bytes(v, token);
    size_t all = characters(text, token->length), step;
    if (token->length > MAX_PIECE)
        return fail(err, LORAC_FORMAT, s->path, "piece %d has %u bytes; at most %d are taken", id, token->length, MAX_PIECE);
    for (size_t at = 0; at < token->length; at += step) {
        step = utf8_length((const uint8_t *)text + at, token->length - at);
        if (!step) step = 1; /* pieces are valid UTF-8 */
        if (!at) continue;
        int32_t left = vocab_find(v, text, at), right = left < 0 ? -1 : vocab_find(v, text + at, token->length - at);
        if (left < 0 || right < 0 || !may_merge(s, left) || !may_merge(s, right)) continue;
        struct cut *cut = list_add(cuts);
        if (!cut) return fail_memory(err, "the merges", cuts->count * sizeof *cut);
        size_t left_length = characters(text, at);
        *cut = (struct cut){((const double *)s->tokenizer->scores.items)[id], id, left, right, (uint32_t)left_length,
                            (uint32_t)(all - left_length)};
    }
    return LORAC_OK;
}

static lorac_status add_merges(struct sentencepiece *s, struct list *cuts, lorac_error *err)
{
    static int (*const orders[])(const void *, const void *) = {
        [MERGE_BY_ID] = by_id,
        [MERGE_BY_SCORE] = by_score,
        [MERGE_BY_SCORE_LONG_LEFT] = by_score_long_left,
        [MERGE_BY_ID_LONG_LEFT] = by_id_long_left,
    };
    struct lorac_tokenizer *t = s->tokenizer;
    if (cuts->count > UINT32_MAX) return fail(err, LORAC_FORMAT, t->path, "too many merges");
    if (cuts->count) qsort(cuts->items, cuts->count, sizeof(struct cut), orders[s->order]);
    TRY(bpe_init(&t->bpe, t->memory, &t->vocab, cuts->count, err));
    for (size_t i = 0; i < cuts->count; i++) {
        const struct cut *c = (const struct cut *)cuts->items + i;
        bpe_add_merge_ids(&t->bpe, (struct merge){c->left, c->right, (uint32_t)i, c->whole});
    }
    return LORAC_OK;
}

lorac_status sentencepiece_merges(struct sentencepiece *s, lorac_error *err)
{
    struct list cuts = {.memory = s->tokenizer->memory, .size = sizeof(struct cut)};
    lorac_status status = LORAC_OK;
    for (size_t id = 0; id < s->types.count && status == LORAC_OK; id++)
        if (may_merge(s, (int32_t)id)) status = cut_piece(s, (int32_t)id, &cuts, err);
    if (status == LORAC_OK) status = add_merges(s, &cuts, err);
    list_free(&cuts);
    return status;
}

/* unigram.c — unigram segmentation. See unigram.h. */
#include "text/unigram.h"

#include "base/reader.h"

enum { MAX_TEXT = 1 << 30 };

static const double unknown_penalty = 10; /* an unknown character scores that much below the worst token */

/* The best way to the place where it stands. */
struct unigram_node {
    double score;
    int32_t id;
    uint32_t begin; /* of the token that ends here */
    bool reached;
};

/* ---- making ------------------------------------------------------------------------------ */

lorac_status unigram_make(struct unigram *u, struct memory *m, const struct vocab *v, const double *scores,
                          int32_t unknown, bool byte_fallback, lorac_error *err)
{
    *u = (struct unigram){.memory = m, .unknown = unknown, .byte_fallback = byte_fallback};
    double least = 0;
    u->scores = mem_array(m, v->count, sizeof *u->scores);
    if (!u->scores) return fail_memory(err, "the scores", v->count * sizeof *u->scores);
    for (size_t i = 0; i < v->count; i++) {
        u->scores[i] = scores[i];
        if (!i || scores[i] < least) least = scores[i];
    }
    u->unknown_score = least - unknown_penalty;
    byte_tokens_find(&u->bytes, v);
    return trie_make(&u->trie, m, v, err);
}

void unigram_free(struct unigram *u)
{
    if (!u->memory) return;
    trie_free(&u->trie);
    mem_free(u->memory, u->scores);
    *u = (struct unigram){0};
}

void unigram_scratch_free(struct unigram_scratch *s)
{
    mem_free(s->memory, s->nodes);
    *s = (struct unigram_scratch){.memory = s->memory};
}

/* ---- the best path ----------------------------------------------------------------------- */

static lorac_status reserve(struct unigram_scratch *s, size_t count, lorac_error *err)
{
    if (count <= s->capacity) return LORAC_OK;
    mem_free(s->memory, s->nodes);
    s->capacity = count < 1024 ? 1024 : count + count / 2;
    s->nodes = mem_array(s->memory, s->capacity, sizeof *s->nodes);
    if (!s->nodes) s->capacity = 0;
    return s->nodes ? LORAC_OK : fail_memory(err, "a long text", count * sizeof *s->nodes);
}

/* Of two equal ways the first found stays, as in the reference. */
static void reach(struct unigram_node *nodes, size_t begin, size_t end, int32_t id, double score)
{
    struct unigram_node *n = &nodes[end];
    if (n->reached && score <= n->score) return;
    *n = (struct unigram_node){score, id, (uint32_t)begin, true};
}

/* Every token that begins at `at`. A character that is no token alone is unknown. */
static void reach_from(const struct unigram *u, struct unigram_node *nodes, const uint8_t *text, size_t length,
                       size_t at, size_t character)
{
    double score = nodes[at].score;
    bool single = false;
    const struct trie_node *node = u->trie.nodes;
    for (size_t end = at; end < length && (node = trie_child(&u->trie, node, text[end]));) {
        end++;
        if (node->id < 0) continue;
        reach(nodes, at, end, node->id, u->scores[node->id] + score);
        single |= end == at + character;
    }
    if (!single) reach(nodes, at, at + character, u->unknown, u->unknown_score + score);
}

static void find_path(const struct unigram *u, struct unigram_node *nodes, const uint8_t *text, size_t length)
{
    for (size_t i = 0; i <= length; i++) nodes[i] = (struct unigram_node){0};
    for (size_t at = 0, character; at < length; at += character) {
        character = text[at] < 0x80 ? 1 : utf8_length(text + at, length - at);
        if (!character) character = 1; /* callers give valid UTF-8 */
        reach_from(u, nodes, text, length, at, character);
    }
}

/* ---- ids --------------------------------------------------------------------------------- */

static bool put_bytes(const struct unigram *u, const uint8_t *text, size_t length, struct text *ids)
{
    if (!u->byte_fallback || !byte_tokens_spell(&u->bytes, text, length)) return false;
    for (size_t i = 0; i < length; i++) text_add(ids, &u->bytes.id[text[i]], sizeof(int32_t));
    return true;
}

/* The unknown token itself may be written in the text: then it is found, not spelled. */
static lorac_status put_unknown(const struct unigram *u, const struct vocab *v, const uint8_t *text, size_t length,
                                struct text *ids, lorac_error *err)
{
    int32_t whole = vocab_find(v, (const char *)text, length);
    if (whole >= 0) return text_add(ids, &whole, sizeof whole), LORAC_OK;
    if (put_bytes(u, text, length, ids)) return LORAC_OK;
    if (u->unknown < 0)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "the text holds \"%.*s\", and the vocabulary has no token for what it does not know",
                    length < 40 ? (int)length : 40, text);
    text_add(ids, &u->unknown, sizeof u->unknown);
    return LORAC_OK;
}

/* The path is known from its end: `begin` of each node is turned to point forwards. */
static void turn(struct unigram_node *nodes, size_t length)
{
    size_t end = length, next = length;
    while (end) {
        size_t begin = nodes[end].begin;
        nodes[end].begin = (uint32_t)next;
        next = end;
        end = begin;
    }
    nodes[0].begin = (uint32_t)next;
}

/* Unknown characters side by side count as one. */
static lorac_status put_path(const struct unigram *u, const struct vocab *v, const struct unigram_node *nodes,
                             const uint8_t *text, size_t length, struct text *ids, lorac_error *err)
{
    size_t unknown_from = 0;
    bool unknown = false;
    for (size_t at = 0; at < length;) {
        size_t end = nodes[at].begin;
        bool known = nodes[end].id != u->unknown;
        if (known && unknown) TRY(put_unknown(u, v, text + unknown_from, at - unknown_from, ids, err));
        if (!known && !unknown) unknown_from = at;
        if (known) text_add(ids, &nodes[end].id, sizeof(int32_t));
        unknown = !known;
        at = end;
    }
    return unknown ? put_unknown(u, v, text + unknown_from, length - unknown_from, ids, err) : LORAC_OK;
}

lorac_status unigram_encode(const struct unigram *u, const struct vocab *v, struct unigram_scratch *s, const char *text,
                            size_t length, struct text *ids, lorac_error *err)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (length > MAX_TEXT)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a piece of %zu bytes is too long to encode", length);
    TRY(reserve(s, length + 1, err));
    find_path(u, s->nodes, bytes, length);
    turn(s->nodes, length);
    return put_path(u, v, s->nodes, bytes, length, ids, err);
}

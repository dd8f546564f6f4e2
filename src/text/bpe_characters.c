/* bpe_characters.c — byte-pair encoding of text whose characters are tokens (SentencePiece's kind), with byte fallback,
 * unknown tokens, and a prefix or suffix on symbols inside a word.
 *
 * Such text comes without words, in pieces of any length. A merge of L and R reaches over a border between characters x
 * and y only if L ends with x and R begins with y; a border between characters that no merge so joins is final, and
 * the pieces between are merged one by one. */
#include "text/bpe.h"

#include "base/reader.h"
#include <string.h>

struct bpe_characters {
    struct memory *memory;
    int32_t ascii[128]; /* ids, -1: not a token */
    struct byte_tokens bytes;
    uint64_t *joined; /* a set of hashes of (id of x, id of y): may hold too many, never too few */
    size_t bits;      /* a power of two */
};

/* ---- borders ----------------------------------------------------------------------------- */

static size_t bit_of(const struct bpe_characters *c, int32_t x, int32_t y)
{
    uint64_t h = ((uint64_t)(uint32_t)x << 32 | (uint32_t)y) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 24) & (c->bits - 1);
}

static bool may_join(const struct bpe_characters *c, int32_t x, int32_t y)
{
    size_t bit = bit_of(c, x, y);
    return c->joined[bit / 64] >> bit % 64 & 1;
}

/* The ids of a token's first and last character, -1 for one that is no token. */
static void outer_characters(const struct vocab *v, int32_t id, int32_t *first, int32_t *last)
{
    const struct token *t = &v->tokens[id];
    const char *bytes = vocab_bytes(v, t);
    size_t head = utf8_length((const uint8_t *)bytes, t->length), tail = t->length ? t->length - 1 : 0;
    while (tail && ((uint8_t)bytes[tail] & 0xC0) == 0x80) tail--;
    *first = head ? vocab_find(v, bytes, head) : -1;
    *last = vocab_find(v, bytes + tail, t->length - tail);
}

static lorac_status find_joined(struct bpe_characters *c, const struct bpe *b, const struct vocab *v, lorac_error *err)
{
    for (c->bits = 4096; c->bits < b->slot_count * 8; c->bits *= 2) {}
    c->joined = mem_alloc(c->memory, c->bits / 8);
    if (!c->joined) return fail_memory(err, "the merges", c->bits / 8);
    for (size_t i = 0; i < b->slot_count; i++) {
        int32_t unused, x, y;
        if (b->merges[i].left < 0) continue;
        outer_characters(v, b->merges[i].left, &unused, &x);
        outer_characters(v, b->merges[i].right, &y, &unused);
        size_t bit = bit_of(c, x, y);
        c->joined[bit / 64] |= (uint64_t)1 << bit % 64;
    }
    return LORAC_OK;
}

/* ---- symbols ----------------------------------------------------------------------------- */

struct loading {
    const struct bpe *bpe;
    struct bpe_symbol *symbols;
    size_t count;
    bool plain;   /* the last symbol is a character's own token */
    bool unknown; /* an unknown token waits for its place: it follows the bytes that come before a known character */
};

static void put(struct loading *l, int32_t id, bool plain)
{
    const struct bpe_characters *c = l->bpe->characters;
    bool cut = c->joined && plain && l->plain && !may_join(c, l->symbols[l->count - 1].id, id);
    l->symbols[l->count++] = (struct bpe_symbol){.id = id, .joins = !cut};
    l->plain = plain;
}

static void put_waiting(struct loading *l)
{
    if (l->unknown) put(l, l->bpe->unknown, false);
    l->unknown = false;
}

static bool put_bytes(struct loading *l, const uint8_t *spelled, size_t length)
{
    const struct byte_tokens *bytes = &l->bpe->characters->bytes;
    if (!l->bpe->byte_fallback || !byte_tokens_spell(bytes, spelled, length)) return false;
    for (size_t i = 0; i < length; i++) put(l, bytes->id[spelled[i]], false);
    return true;
}

/* `id`: of the character as it is spelled, -1: it is no token. */
static void put_character(struct loading *l, int32_t id, const uint8_t *spelled, size_t length)
{
    if (id >= 0) {
        put_waiting(l);
        put(l, id, true);
    } else if (!put_bytes(l, spelled, length) && l->bpe->unknown >= 0) {
        if (!l->bpe->fuse_unknown) put_waiting(l);
        l->unknown = true;
    }
}

static void put_spelled(struct loading *l, const struct vocab *v, const char *prefix, const uint8_t *character,
                        size_t length, const char *suffix)
{
    struct text spelled = {.memory = l->bpe->memory};
    text_puts(&spelled, prefix ? prefix : "");
    text_add(&spelled, character, length);
    text_puts(&spelled, suffix ? suffix : "");
    if (!spelled.failed)
        put_character(l, vocab_find(v, spelled.data, spelled.length), (const uint8_t *)spelled.data, spelled.length);
    text_free(&spelled);
}

static size_t load_characters(const struct bpe *b, const struct vocab *v, struct bpe_symbol *symbols,
                              const uint8_t *word, size_t length)
{
    struct loading l = {.bpe = b, .symbols = symbols};
    for (size_t at = 0, step; at < length; at += step) {
        const uint8_t *p = word + at;
        step = *p < 0x80 ? 1 : utf8_length(p, length - at);
        if (!step) step = 1; /* callers give valid UTF-8 */
        if (b->prefix || b->suffix)
            put_spelled(&l, v, at ? b->prefix : NULL, p, step, at + step == length ? b->suffix : NULL);
        else
            put_character(&l, *p < 0x80 ? b->characters->ascii[*p] : vocab_find(v, (const char *)p, step), p, step);
    }
    put_waiting(&l);
    return l.count;
}

/* ---- making ------------------------------------------------------------------------------ */

lorac_status bpe_use_characters(struct bpe *b, const struct vocab *v, lorac_error *err)
{
    struct bpe_characters *c = b->characters = mem_alloc(b->memory, sizeof *c);
    if (!c) return fail_memory(err, "the characters", sizeof *c);
    c->memory = b->memory;
    b->load = load_characters;
    byte_tokens_find(&c->bytes, v);
    for (int byte = 0; byte < 128; byte++) c->ascii[byte] = vocab_find(v, (const char[]){(char)byte}, 1);
    return b->prefix || b->suffix ? LORAC_OK
                                  : find_joined(c, b, v, err); /* spelled symbols are not single characters */
}

void bpe_characters_free(struct bpe_characters *c)
{
    if (!c) return;
    mem_free(c->memory, c->joined);
    mem_free(c->memory, c);
}

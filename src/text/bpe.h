/* bpe.h — byte-pair encoding of one word by ranked merges (Sennrich et al. 2016).
 *
 * The merges wait in a heap by (rank, place), so that a word of n bytes takes O(n log n) whatever it holds. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/bytelevel.h"
#include "text/vocab.h"

struct merge {
    int32_t left, right; /* ids; left -1: a free slot */
    uint32_t rank;
    int32_t id; /* what the pair becomes */
};

struct bpe;
struct bpe_symbol {
    int32_t id;         /* -1: merged into the one before */
    int32_t prev, next; /* neighbours by index, -1 at the ends */
    bool joins;         /* false: no merge reaches over the border to the symbol before */
};
/* Writes the symbols that merging begins with, unlinked; returns how many. */
typedef size_t (*bpe_load_fn)(const struct bpe *b, const struct vocab *v, struct bpe_symbol *symbols,
                              const uint8_t *word, size_t length);

struct bpe {
    struct memory *memory;
    bpe_load_fn load; /* of bytes, or of characters (bpe_characters.c) */
    struct byte_alphabet alphabet;
    int32_t byte_id[256]; /* what byte-level words begin with; -1: the vocabulary has no token of that byte */
    struct merge *merges;
    size_t slot_count;                 /* a power of two, at most 3/4 full */
    int32_t unknown;                   /* stands for a missing byte; -1: such a byte is dropped */
    bool fuse_unknown;                 /* neighbouring unknown bytes give one token */
    bool ignore_merges;                /* a word that is a token is that token, whatever the merges give */
    bool byte_fallback;                /* a character without token gives the tokens <0x00> .. <0xFF> of its bytes */
    char *prefix, *suffix;             /* of a symbol that continues a word, of the last one; NULL: none */
    struct bpe_characters *characters; /* NULL: words are bytes */
};

/* After the vocabulary is complete: the ids of the single bytes, and room for `count` merges. Words are bytes unless
 * bpe_use_characters follows. */
lorac_status bpe_init(struct bpe *b, struct memory *m, const struct vocab *v, size_t merge_count, lorac_error *err);
void bpe_free(struct bpe *b);
/* The merge of tokens spelled `left` and `right`. A pair given twice has the later rank, as in the reference. */
lorac_status bpe_add_merge(struct bpe *b, const struct vocab *v, uint32_t rank, const char *left, size_t left_length,
                           const char *right, size_t right_length, const char *file, lorac_error *err);

void bpe_add_merge_ids(struct bpe *b, struct merge merge);

/* After the merges and settings: words are text whose characters are tokens, as SentencePiece's are. */
lorac_status bpe_use_characters(struct bpe *b, const struct vocab *v, lorac_error *err);
void bpe_characters_free(struct bpe_characters *c);

/* What one encoder needs; grows to the longest word. Zero-initialise with .memory set. */
struct bpe_scratch {
    struct memory *memory;
    struct bpe_symbol *symbols;
    struct bpe_waiting *heap;
    size_t capacity; /* symbols; the heap has three times as many */
    struct text spelled;
};
void bpe_scratch_free(struct bpe_scratch *s);

/* Appends the ids (int32_t) of a word of raw bytes to *ids. */
lorac_status bpe_encode(const struct bpe *b, const struct vocab *v, struct bpe_scratch *s, const uint8_t *word,
                        size_t length, struct text *ids, lorac_error *err);

#endif

/* unigram.h — the cut of a text into tokens whose scores (log probabilities) sum highest (Kudo 2018), by Viterbi.
 *
 * From each character the tree of tokens is walked once, so the time is linear in the text for a given longest token.
 */
#ifndef TEXT_UNIGRAM_H
#define TEXT_UNIGRAM_H

#include "text/trie.h"

struct unigram {
    struct memory *memory;
    struct trie trie;
    double *scores;       /* (vocab.count): by id */
    double unknown_score; /* of a character that is no token */
    int32_t unknown;      /* -1: such a character is an error */
    struct byte_tokens bytes;
    bool byte_fallback; /* every byte has its token, and they stand for what is no token */
};

/* scores: one for each of v's tokens, copied. */
lorac_status unigram_make(struct unigram *u, struct memory *m, const struct vocab *v, const double *scores,
                          int32_t unknown, bool byte_fallback, lorac_error *err);
void unigram_free(struct unigram *u);

/* Grows to the longest text. Zero-initialise with .memory set. */
struct unigram_scratch {
    struct memory *memory;
    struct unigram_node *nodes;
    size_t capacity;
};
void unigram_scratch_free(struct unigram_scratch *s);

/* Appends the ids (int32_t) of a text (valid UTF-8) to *ids. */
lorac_status unigram_encode(const struct unigram *u, const struct vocab *v, struct unigram_scratch *s, const char *text,
                            size_t length, struct text *ids, lorac_error *err);

#endif

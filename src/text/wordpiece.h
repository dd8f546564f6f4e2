/* wordpiece.h — a word as the longest token it begins with, then the longest that continues it, and so on (Schuster and
 * Nakajima 2012). */
#ifndef TEXT_WORDPIECE_H
#define TEXT_WORDPIECE_H

#include "text/trie.h"

struct wordpiece {
    struct trie trie;
    const struct trie_node *continuing; /* behind the prefix of tokens inside a word, such as "##"; NULL: none has it */
    int32_t unknown;                    /* stands for a word that cannot be cut so */
    size_t longest_word;                /* in characters: a longer one is unknown */
};
lorac_status wordpiece_make(struct wordpiece *w, struct memory *m, const struct vocab *v, const char *prefix,
                            lorac_error *err);
void wordpiece_free(struct wordpiece *w);

/* Appends the ids (int32_t) of a word (valid UTF-8) to *ids. */
void wordpiece_encode(const struct wordpiece *w, const char *word, size_t length, struct text *ids);

#endif

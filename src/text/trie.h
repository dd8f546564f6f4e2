/* trie.h — a tree of a vocabulary's bytes: all tokens that a text begins with, in one walk.
 *
 * A node's children lie side by side, ordered by their byte. */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include "text/vocab.h"

struct trie_node {
    uint32_t first; /* of its children, in trie.nodes */
    uint16_t count; /* of its children */
    uint8_t byte;   /* that leads here */
    int32_t id;     /* the token that ends here, -1: none */
};
struct trie {
    struct memory *memory;
    struct trie_node *nodes; /* nodes[0] is the root */
    size_t count;
};

/* Over the tokens that vocab_find finds; of several with the same bytes, the last. */
lorac_status trie_make(struct trie *t, struct memory *m, const struct vocab *v, lorac_error *err);
void trie_free(struct trie *t);

/* The child of `node` by `byte`, NULL: none. */
static inline const struct trie_node *trie_child(const struct trie *t, const struct trie_node *node, uint8_t byte)
{
    size_t low = node->first, high = low + node->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->nodes[middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < node->first + (size_t)node->count && t->nodes[low].byte == byte ? &t->nodes[low] : NULL;
}

#endif

/* trie.c — building the tree. See trie.h. */
#include "text/trie.h"

#include <string.h>

/* The tokens below a node still to be made: ids[begin .. end) share `depth` bytes. */
struct range {
    uint32_t begin, end, depth;
};

struct build {
    const struct vocab *vocab;
    int32_t *ids; /* sorted by bytes */
    size_t count;
    struct list nodes, ranges; /* struct trie_node, struct range: one each, in breadth-first order */
};

/* ---- order ------------------------------------------------------------------------------- */

static int compare(const struct vocab *v, int32_t x, int32_t y)
{
    const struct token *a = &v->tokens[x], *b = &v->tokens[y];
    size_t shared = a->length < b->length ? a->length : b->length;
    int order = shared ? memcmp(vocab_bytes(v, a), vocab_bytes(v, b), shared) : 0;
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static void sift(const struct build *b, size_t at, size_t count)
{
    int32_t moved = b->ids[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare(b->vocab, b->ids[child + 1], b->ids[child]) > 0) child++;
        if (compare(b->vocab, b->ids[child], moved) <= 0) break;
        b->ids[at] = b->ids[child];
    }
    b->ids[at] = moved;
}

/* Heap sort: no worst case, whatever the file holds. */
static void sort(const struct build *b)
{
    for (size_t i = b->count / 2; i-- > 0;) sift(b, i, b->count);
    for (size_t last = b->count; last-- > 1;) {
        int32_t largest = b->ids[0];
        b->ids[0] = b->ids[last];
        b->ids[last] = largest;
        sift(b, 0, last);
    }
}

/* ---- nodes ------------------------------------------------------------------------------- */

static const struct token *token_at(const struct build *b, size_t i)
{
    return &b->vocab->tokens[b->ids[i]];
}

static uint8_t byte_at(const struct build *b, size_t i, size_t depth)
{
    return (uint8_t)vocab_bytes(b->vocab, token_at(b, i))[depth];
}

static bool add_node(struct build *b, uint8_t byte, struct range range)
{
    struct trie_node *node = list_add(&b->nodes);
    struct range *waiting = node ? list_add(&b->ranges) : NULL;
    if (!waiting) return false;
    *node = (struct trie_node){.byte = byte, .id = -1};
    *waiting = range;
    return true;
}

/* The shortest token of a range stands first: it is the node's own. */
static bool add_children(struct build *b, size_t at)
{
    struct range r = ((const struct range *)b->ranges.items)[at];
    size_t first = b->nodes.count;
    int32_t id = -1;
    for (; r.begin < r.end && token_at(b, r.begin)->length == r.depth; r.begin++) id = b->ids[r.begin];
    for (size_t i = r.begin, end; i < r.end; i = end) {
        uint8_t byte = byte_at(b, i, r.depth);
        for (end = i + 1; end < r.end && byte_at(b, end, r.depth) == byte;) end++;
        if (!add_node(b, byte, (struct range){(uint32_t)i, (uint32_t)end, r.depth + 1})) return false;
    }
    struct trie_node *node = (struct trie_node *)b->nodes.items + at;
    node->first = (uint32_t)first;
    node->count = (uint16_t)(b->nodes.count - first);
    node->id = id;
    return true;
}

static bool add_all(struct build *b)
{
    if (!add_node(b, 0, (struct range){0, (uint32_t)b->count, 0})) return false;
    for (size_t at = 0; at < b->nodes.count; at++)
        if (b->nodes.count > UINT32_MAX - 512 || !add_children(b, at)) return false;
    return true;
}

lorac_status trie_make(struct trie *t, struct memory *m, const struct vocab *v, lorac_error *err)
{
    struct build b = {.vocab = v,
                      .ids = mem_array(m, v->count, sizeof(int32_t)),
                      .nodes = {.memory = m, .size = sizeof(struct trie_node)},
                      .ranges = {.memory = m, .size = sizeof(struct range)}};
    for (size_t id = 0; b.ids && id < v->count; id++)
        if (v->tokens[id].flags && v->tokens[id].length) b.ids[b.count++] = (int32_t)id;
    bool made = b.ids != NULL;
    if (made) sort(&b), made = add_all(&b);
    mem_free(m, b.ids);
    list_free(&b.ranges);
    *t = (struct trie){m, b.nodes.items, b.nodes.count};
    return made ? LORAC_OK : fail_memory(err, "the tree of tokens", v->count * sizeof(struct trie_node));
}

void trie_free(struct trie *t)
{
    if (t->memory) mem_free(t->memory, t->nodes);
    *t = (struct trie){0};
}

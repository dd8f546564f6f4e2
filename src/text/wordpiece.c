/* wordpiece.c — longest match first. See wordpiece.h. */
#include "text/wordpiece.h"

lorac_status wordpiece_make(struct wordpiece *w, struct memory *m, const struct vocab *v, const char *prefix,
                            lorac_error *err)
{
    TRY(trie_make(&w->trie, m, v, err));
    w->continuing = w->trie.nodes;
    for (; *prefix && w->continuing; prefix++) w->continuing = trie_child(&w->trie, w->continuing, (uint8_t)*prefix);
    return LORAC_OK;
}

void wordpiece_free(struct wordpiece *w)
{
    trie_free(&w->trie);
    *w = (struct wordpiece){0};
}

static bool is_longer(const char *word, size_t length, size_t characters)
{
    for (size_t i = 0; i < length; i++) {
        if (((uint8_t)word[i] & 0xC0) == 0x80) continue;
        if (!characters--) return true;
    }
    return false;
}

/* The longest token below `node` that the bytes begin with; *size of its bytes, 0: none. */
static int32_t longest(const struct wordpiece *w, const struct trie_node *node, const uint8_t *bytes, size_t length,
                       size_t *size)
{
    int32_t best = -1;
    *size = 0;
    for (size_t at = 0; at < length && node && (node = trie_child(&w->trie, node, bytes[at]));) {
        at++;
        if (node->id >= 0) best = node->id, *size = at;
    }
    return best;
}

void wordpiece_encode(const struct wordpiece *w, const char *word, size_t length, struct text *ids)
{
    const uint8_t *bytes = (const uint8_t *)word;
    size_t before = ids->length;
    bool whole = !is_longer(word, length, w->longest_word);
    for (size_t at = 0, size; at < length && whole; at += size) {
        int32_t id = longest(w, at ? w->continuing : w->trie.nodes, bytes + at, length - at, &size);
        whole = size > 0;
        if (whole) text_add(ids, &id, sizeof id);
    }
    if (whole) return;
    ids->length = before;
    text_add(ids, &w->unknown, sizeof w->unknown);
}

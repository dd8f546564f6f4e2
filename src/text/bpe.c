/* bpe.c — byte-pair encoding. See bpe.h. */
#include "text/bpe.h"

#include "base/reader.h"
#include <string.h>

enum { MAX_WORD = 1 << 30, MAX_MERGED = 4096 };

struct bpe_waiting {
    uint64_t order; /* rank << 32 | index of the left symbol */
    int32_t id;     /* what it becomes */
};

/* ---- the table of merges ----------------------------------------------------------------- */

static size_t slot_of(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 32)) * 0xBF58476D1CE4E5B9u;
    size_t at = (size_t)(h >> 32) & (b->slot_count - 1);
    while (b->merges[at].left >= 0 && (b->merges[at].left != left || b->merges[at].right != right))
        at = (at + 1) & (b->slot_count - 1);
    return at;
}

static size_t load_bytes(const struct bpe *b, const struct vocab *v, struct bpe_symbol *symbols, const uint8_t *word,
                         size_t length)
{
    size_t count = 0;
    bool after_unknown = false;
    for (size_t i = 0; i < length; i++) {
        int32_t id = b->byte_id[word[i]];
        bool unknown = id < 0;
        if (unknown) id = b->unknown;
        bool fused = unknown && after_unknown && b->fuse_unknown;
        after_unknown = unknown;
        if (id >= 0 && !fused) symbols[count++] = (struct bpe_symbol){.id = id, .joins = true};
    }
    return count;
}

lorac_status bpe_init(struct bpe *b, struct memory *m, const struct vocab *v, size_t merge_count, lorac_error *err)
{
    *b = (struct bpe){.memory = m, .load = load_bytes, .unknown = -1, .slot_count = 64};
    byte_alphabet_init(&b->alphabet);
    for (int byte = 0; byte < 256; byte++) {
        char spelled[4];
        b->byte_id[byte] = vocab_find(v, spelled, utf8_encode(b->alphabet.code[byte], spelled));
    }
    while (b->slot_count / 4 * 3 < merge_count) b->slot_count *= 2;
    b->merges = mem_array(m, b->slot_count, sizeof *b->merges);
    if (!b->merges) return fail_memory(err, "the merges", b->slot_count * sizeof *b->merges);
    for (size_t i = 0; i < b->slot_count; i++) b->merges[i].left = -1;
    return LORAC_OK;
}

void bpe_free(struct bpe *b)
{
    if (!b->memory) return;
    bpe_characters_free(b->characters);
    mem_free(b->memory, b->prefix);
    mem_free(b->memory, b->suffix);
    mem_free(b->memory, b->merges);
    *b = (struct bpe){0};
}

void bpe_add_merge_ids(struct bpe *b, struct merge merge)
{
    b->merges[slot_of(b, merge.left, merge.right)] = merge;
}

lorac_status bpe_add_merge(struct bpe *b, const struct vocab *v, uint32_t rank, const char *left, size_t left_length,
                           const char *right, size_t right_length, const char *file, lorac_error *err)
{
    char both[MAX_MERGED];
    if (left_length > MAX_MERGED || right_length > MAX_MERGED - left_length)
        return fail(err, LORAC_FORMAT, file, "merge %u is longer than %d bytes", rank, MAX_MERGED);
    size_t prefix = b->prefix ? strlen(b->prefix) : 0, rest = right_length > prefix ? right_length - prefix : 0;
    memcpy(both, left, left_length);
    memcpy(both + left_length, right + (right_length - rest), rest);

    int32_t ids[2] = {vocab_find(v, left, left_length), vocab_find(v, right, right_length)};
    int32_t id = vocab_find(v, both, left_length + rest);
    if (ids[0] < 0 || ids[1] < 0 || id < 0)
        return fail(err, LORAC_FORMAT, file, "merge %u, \"%.*s\" + \"%.*s\", names a token that the vocabulary lacks",
                    rank, (int)left_length, left, (int)right_length, right);
    bpe_add_merge_ids(b, (struct merge){ids[0], ids[1], rank, id});
    return LORAC_OK;
}

/* ---- the heap ---------------------------------------------------------------------------- */

static void heap_push(struct bpe_waiting *heap, size_t *count, struct bpe_waiting item)
{
    size_t at = (*count)++;
    for (; at && heap[(at - 1) / 2].order > item.order; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static struct bpe_waiting heap_pop(struct bpe_waiting *heap, size_t *count)
{
    struct bpe_waiting top = heap[0], last = heap[--*count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < *count; at = child) {
        if (child + 1 < *count && heap[child + 1].order < heap[child].order) child++;
        if (heap[child].order >= last.order) break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

/* ---- one word ---------------------------------------------------------------------------- */

static lorac_status reserve(struct bpe_scratch *s, size_t length, lorac_error *err)
{
    if (length <= s->capacity) return LORAC_OK;
    size_t capacity = length < 256 ? 256 : length + length / 2;
    mem_free(s->memory, s->symbols);
    mem_free(s->memory, s->heap);
    s->symbols = mem_array(s->memory, capacity, sizeof *s->symbols);
    s->heap = mem_array(s->memory, capacity, 3 * sizeof *s->heap);
    s->capacity = s->symbols && s->heap ? capacity : 0;
    return s->capacity ? LORAC_OK : fail_memory(err, "a long word", capacity * 3 * sizeof *s->heap);
}

void bpe_scratch_free(struct bpe_scratch *s)
{
    mem_free(s->memory, s->symbols);
    mem_free(s->memory, s->heap);
    text_free(&s->spelled);
    *s = (struct bpe_scratch){.memory = s->memory};
}

static void wait_pair(const struct bpe *b, struct bpe_scratch *s, size_t *waiting, int32_t left)
{
    int32_t right = left < 0 ? -1 : s->symbols[left].next;
    if (right < 0) return;
    const struct merge *m = &b->merges[slot_of(b, s->symbols[left].id, s->symbols[right].id)];
    if (m->left >= 0)
        heap_push(s->heap, waiting, (struct bpe_waiting){(uint64_t)m->rank << 32 | (uint32_t)left, m->id});
}

/* Symbols [begin, end). Each merge adds at most two waiting pairs, and there are fewer than symbols of both: three for
 * each symbol suffice. */
static void merge_symbols(const struct bpe *b, struct bpe_scratch *s, size_t begin, size_t end)
{
    struct bpe_symbol *symbols = s->symbols;
    size_t waiting = 0;
    for (size_t i = begin; i < end; i++) {
        symbols[i].prev = i > begin ? (int32_t)i - 1 : -1;
        symbols[i].next = i + 1 < end ? (int32_t)i + 1 : -1;
    }
    for (size_t i = begin; i + 1 < end; i++) wait_pair(b, s, &waiting, (int32_t)i);
    while (waiting) {
        struct bpe_waiting top = heap_pop(s->heap, &waiting);
        int32_t left = (int32_t)(uint32_t)top.order, right = symbols[left].next;
        if (symbols[left].id < 0 || right < 0) continue;
        const struct merge *m = &b->merges[slot_of(b, symbols[left].id, symbols[right].id)];
        if (m->left < 0 || m->id != top.id) continue; /* a neighbour has changed since */

        symbols[left].id = m->id;
        symbols[left].next = symbols[right].next;
        symbols[right].id = -1;
        if (symbols[left].next >= 0) symbols[symbols[left].next].prev = left;
        wait_pair(b, s, &waiting, symbols[left].prev);
        wait_pair(b, s, &waiting, left);
    }
}

static bool whole_word(const struct bpe *b, const struct vocab *v, struct bpe_scratch *s, const uint8_t *word,
                       size_t length, int32_t *id)
{
    if (b->characters) {
        *id = vocab_find(v, (const char *)word, length);
    } else {
        s->spelled.length = 0;
        byte_level_spell(&b->alphabet, &s->spelled, word, length);
        *id = s->spelled.failed ? -1 : vocab_find(v, s->spelled.data, s->spelled.length);
    }
    return *id >= 0;
}

/* A character that falls back to bytes gives one symbol for each byte of its spelling. */
static size_t most_symbols(const struct bpe *b, size_t length)
{
    size_t prefix = b->prefix ? strlen(b->prefix) : 0, suffix = b->suffix ? strlen(b->suffix) : 0;
    return length * (1 + prefix) + suffix;
}

lorac_status bpe_encode(const struct bpe *b, const struct vocab *v, struct bpe_scratch *s, const uint8_t *word,
                        size_t length, struct text *ids, lorac_error *err)
{
    if (length > MAX_WORD)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a word of %zu bytes is too long to encode", length);
    int32_t id;
    if (b->ignore_merges && length < MAX_MERGED && whole_word(b, v, s, word, length, &id)) {
        text_add(ids, &id, sizeof id);
        return LORAC_OK;
    }
    TRY(reserve(s, most_symbols(b, length), err));
    size_t count = b->load(b, v, s->symbols, word, length);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && s->symbols[end].joins;) end++;
        merge_symbols(b, s, begin, end);
        for (int32_t i = (int32_t)begin; i >= 0; i = s->symbols[i].next)
            text_add(ids, &s->symbols[i].id, sizeof(int32_t));
    }
    return LORAC_OK;
}

/* vocab.c — the tokens of a tokenizer. See vocab.h. */
#include "text/vocab.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TOKEN_BYTES = 1 << 20, ID_SLACK = 1 << 16 };

void vocab_init(struct vocab *v, struct memory *m)
{
    *v = (struct vocab){.bytes = {.memory = m}};
}

void vocab_free(struct vocab *v)
{
    struct memory *m = v->bytes.memory;
    mem_free(m, v->slots);
    mem_free(m, v->tokens);
    text_free(&v->bytes);
    vocab_init(v, m);
}

/* ---- bytes -> id ------------------------------------------------------------------------- */

/* Eight bytes at a time, multiplied and folded. */
static uint32_t hash_of(const char *bytes, size_t length)
{
    uint64_t h = length * 0x9E3779B97F4A7C15u, word;
    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0xBF58476D1CE4E5B9u;
        h ^= h >> 29;
    }
    word = 0;
    for (size_t i = 0; i < length; i++) word = word << 8 | (uint8_t)bytes[i];
    h = (h ^ word) * 0x94D049BB133111EBu;
    return (uint32_t)(h >> 32);
}

static void index_put(struct vocab *v, uint32_t hash, uint32_t id)
{
    size_t at = hash & (v->slot_count - 1);
    while (v->slots[at].id_plus_1) at = (at + 1) & (v->slot_count - 1);
    v->slots[at].hash = hash;
    v->slots[at].id_plus_1 = id + 1;
}

static bool index_grow(struct vocab *v, size_t count)
{
    size_t old_count = v->slot_count;
    void *old = v->slots;
    void *slots = mem_array(v->bytes.memory, count, sizeof *v->slots);
    if (!slots) return false;

    struct vocab before = *v;
    v->slots = slots;
    v->slot_count = count;
    for (size_t i = 0; i < old_count; i++)
        if (before.slots[i].id_plus_1) index_put(v, before.slots[i].hash, before.slots[i].id_plus_1 - 1);
    mem_free(v->bytes.memory, old);
    return true;
}

static int32_t find_hashed(const struct vocab *v, uint32_t hash, const char *bytes, size_t length)
{
    if (!v->slot_count) return -1;
    for (size_t at = hash & (v->slot_count - 1); v->slots[at].id_plus_1; at = (at + 1) & (v->slot_count - 1)) {
        if (v->slots[at].hash != hash) continue;
        const struct token *t = &v->tokens[v->slots[at].id_plus_1 - 1];
        if (t->length == length && !memcmp(vocab_bytes(v, t), bytes, length))
            return (int32_t)(v->slots[at].id_plus_1 - 1);
    }
    return -1;
}

int32_t vocab_find(const struct vocab *v, const char *bytes, size_t length)
{
    return find_hashed(v, hash_of(bytes, length), bytes, length);
}

/* ---- adding ------------------------------------------------------------------------------ */

static bool reserve_tokens(struct vocab *v, size_t capacity)
{
    if (capacity <= v->capacity) return true;
    size_t bytes;
    struct token *tokens =
        size_mul(capacity, sizeof *tokens, &bytes) ? mem_resize(v->bytes.memory, v->tokens, bytes) : NULL;
    if (!tokens) return false;
    v->tokens = tokens;
    v->capacity = capacity;
    return true;
}

static bool reserve_id(struct vocab *v, size_t id)
{
    if (id >= v->capacity && !reserve_tokens(v, v->capacity * 2 > id + 1 ? v->capacity * 2 : id + 1024)) return false;
    if (id >= v->count) v->count = id + 1;
    return true;
}

lorac_status vocab_reserve(struct vocab *v, size_t count, lorac_error *err)
{
    size_t slots = v->slot_count ? v->slot_count : 4096;
    while (slots / 2 <= count && slots <= SIZE_MAX / 4) slots *= 2;
    if (!count || ((slots == v->slot_count || index_grow(v, slots)) && reserve_tokens(v, count))) return LORAC_OK;
    return fail_memory(err, "the vocabulary", count * sizeof *v->tokens);
}

lorac_status vocab_put(struct vocab *v, int64_t id, const char *bytes, size_t length, bool indexed, const char *file,
                       lorac_error *err)
{
    int shown = length < 60 ? (int)length : 60;
    if (id < 0 || (size_t)id > v->indexed * 4 + ID_SLACK || id >= INT32_MAX)
        return fail(err, LORAC_FORMAT, file, "token \"%.*s\" has id %lld, far from the others", shown, bytes,
                    (long long)id);
    if (length > MAX_TOKEN_BYTES)
        return fail(err, LORAC_FORMAT, file, "token %lld is %zu bytes long; at most %d are taken", (long long)id,
                    length, MAX_TOKEN_BYTES);
    if ((size_t)id < v->count && v->tokens[id].flags)
        return fail(err, LORAC_FORMAT, file, "id %lld has two tokens, the second is \"%.*s\"", (long long)id, shown,
                    bytes);

    uint32_t hash = hash_of(bytes, length);
    if (indexed && find_hashed(v, hash, bytes, length) >= 0)
        return fail(err, LORAC_FORMAT, file, "token \"%.*s\" appears twice (again as id %lld)", shown, bytes,
                    (long long)id);
    if (v->indexed * 2 >= v->slot_count && !index_grow(v, v->slot_count ? v->slot_count * 4 : 4096))
        return fail_memory(err, "the vocabulary", v->slot_count * 8);

    size_t offset = v->bytes.length;
    text_add(&v->bytes, bytes, length);
    if (v->bytes.failed || !reserve_id(v, (size_t)id)) return fail_memory(err, "the vocabulary", length);
    v->tokens[id] = (struct token){.offset = offset, .length = (uint32_t)length, .flags = TOKEN_KNOWN};
    if (indexed) index_put(v, hash, (uint32_t)id), v->indexed++;
    return LORAC_OK;
}

/* ---- byte fallback ----------------------------------------------------------------------- */

void byte_tokens_find(struct byte_tokens *b, const struct vocab *v)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        b->id[byte] = vocab_find(v, name, 6);
    }
}

bool byte_tokens_spell(const struct byte_tokens *b, const uint8_t *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (b->id[text[i]] < 0) return false;
    return true;
}

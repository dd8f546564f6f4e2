/* alphabet.c — the characters that an expression tells apart. See alphabet.h. */
#include "text/alphabet.h"

#include "base/reader.h"
#include <string.h>

/* ---- sets to symbols --------------------------------------------------------------------- */

/* A walk over all sets at once, from one place where any of them changes to the next. */
struct walk {
    const struct code_set *sets;
    size_t count;
    size_t at[MAX_SYMBOLS]; /* ranges of each set that lie behind */
};

/* In which sets `code` is, and where that next changes. */
static uint32_t step(struct walk *w, uint32_t code, uint64_t members[4])
{
    uint32_t next = CODE_END;
    memset(members, 0, 4 * sizeof *members);
    for (size_t i = 0; i < w->count; i++) {
        const struct code_range *r = code_set_ranges(&w->sets[i]);
        while (w->at[i] < w->sets[i].ranges.count && r[w->at[i]].last < code) w->at[i]++;
        if (w->at[i] == w->sets[i].ranges.count) continue;
        bool inside = r[w->at[i]].first <= code;
        uint32_t change = inside ? r[w->at[i]].last + 1 : r[w->at[i]].first;
        if (inside) members[i / 64] |= (uint64_t)1 << i % 64;
        if (change < next) next = change;
    }
    return next;
}

/* MAX_SYMBOLS where there are too many. */
static size_t symbol_of(struct alphabet *a, const uint64_t members[4])
{
    size_t i = 0;
    while (i < a->symbols && memcmp(a->members[i], members, sizeof a->members[i])) i++;
    if (i < a->symbols || i == MAX_SYMBOLS) return i;
    memcpy(a->members[a->symbols++], members, sizeof a->members[i]);
    return i;
}

/* ---- code points to symbols -------------------------------------------------------------- */

static uint8_t *add_block(struct alphabet *a, size_t block)
{
    a->place[block] = (uint16_t)a->blocks.count;
    return list_add(&a->blocks);
}

/* Code points [code, end) are `symbol`. Blocks that hold one symbol alone are shared: whole[symbol] - 1. */
static bool fill(struct alphabet *a, uint32_t code, uint32_t end, uint8_t symbol, uint16_t *whole)
{
    for (uint32_t stop; code < end; code = stop) {
        size_t block = code / BLOCK;
        stop = end < (block + 1) * BLOCK ? end : (uint32_t)(block + 1) * BLOCK;
        bool begins = code % BLOCK == 0, all = begins && stop - code == BLOCK;
        if (all && whole[symbol]) {
            a->place[block] = (uint16_t)(whole[symbol] - 1);
            continue;
        }
        uint8_t *bytes = begins ? add_block(a, block) : (uint8_t *)a->blocks.items + (size_t)a->place[block] * BLOCK;
        if (!bytes) return false;
        memset(bytes + code % BLOCK, symbol, stop - code);
        if (all) whole[symbol] = (uint16_t)(a->place[block] + 1);
    }
    return true;
}

lorac_status alphabet_make(struct alphabet *a, struct memory *m, const struct code_set *sets, size_t count,
                           lorac_error *err)
{
    struct walk w = {.sets = sets, .count = count};
    uint16_t whole[MAX_SYMBOLS] = {0};
    *a = (struct alphabet){.memory = m, .blocks = {.memory = m, .size = BLOCK}};
    a->members = mem_array(m, MAX_SYMBOLS, sizeof *a->members);
    if (!a->members) return fail_memory(err, "an alphabet", MAX_SYMBOLS * sizeof *a->members);
    for (uint32_t code = 0, next; code < CODE_END; code = next) {
        uint64_t members[4];
        next = step(&w, code, members);
        size_t symbol = symbol_of(a, members);
        if (symbol == MAX_SYMBOLS)
            return fail(err, LORAC_UNSUPPORTED, NULL, "a regular expression tells too many characters apart");
        if (!fill(a, code, next, (uint8_t)symbol, whole)) return fail_memory(err, "an alphabet", BLOCK);
    }
    return LORAC_OK;
}

void alphabet_free(struct alphabet *a)
{
    if (!a->memory) return;
    mem_free(a->memory, a->members);
    list_free(&a->blocks);
}

size_t alphabet_spell(const struct alphabet *a, const char *text, size_t length, uint8_t *out)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + length, *blocks = a->blocks.items;
    const uint8_t *low = blocks + (size_t)a->place[0] * BLOCK;
    size_t count = 0;
    while (p < end) {
        uint32_t code = 0;
        if (*p < 0x80) {
            out[count++] = low[*p++];
            continue;
        }
        size_t size = utf8_decode(p, (size_t)(end - p), &code);
        p += size ? size : 1; /* callers give valid UTF-8 */
        out[count++] = blocks[(size_t)a->place[code / BLOCK] * BLOCK + code % BLOCK];
    }
    return count;
}

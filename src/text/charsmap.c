/* charsmap.c — SentencePiece's precompiled_charsmap: a double-array trie from characters to replacements.
 *
 * The map is: the trie's size in bytes (u32), its units (u32 each), then the replacements, each ended by a zero byte.
 * As in the reference, a grapheme of fewer than six bytes is looked up as a whole, and the shortest entry that it
 * begins with replaces it all; failing that, each of its characters is looked up. */
#include "text/normalize.h"

#include "base/reader.h"
#include <string.h>
#include <utf8proc.h>
#include "text/code_range.h"
#include "text/unicode_graphemes.h"
#include "text/utf8.h"

struct charsmap {
    struct memory *memory;
    uint32_t *units;
    size_t unit_count;
    char *texts; /* replacements */
    size_t text_size;
};

enum { MAX_CHARSMAP = 64 << 20 };

lorac_status charsmap_make(struct memory *m, const uint8_t *bytes, size_t length, const char *file,
                           struct charsmap **map, lorac_error *err)
{
    struct reader r = {.data = bytes, .size = length};
    uint32_t trie = reader_u32(&r);
    bool damaged = r.failed || trie % 4 || !trie || trie > reader_left(&r) || length > MAX_CHARSMAP;
    if (damaged || !utf8_is_valid((const char *)bytes + 4 + trie, length - 4 - trie))
        return fail(err, LORAC_FORMAT, file, "the precompiled_charsmap is damaged");
    struct charsmap *c = *map = mem_alloc(m, sizeof *c);
    if (!c) return fail_memory(err, "the charsmap", sizeof *c);
    *c = (struct charsmap){m, NULL, trie / 4, NULL, length - 4 - trie};
    c->units = mem_array(m, c->unit_count, sizeof *c->units);
    c->texts = mem_text(m, (const char *)bytes + 4 + trie, c->text_size);
    if (!c->units || !c->texts) return charsmap_free(c), *map = NULL, fail_memory(err, "the charsmap", length);
    for (size_t i = 0; i < c->unit_count; i++) c->units[i] = reader_u32(&r);
    return LORAC_OK;
}

void charsmap_free(struct charsmap *c)
{
    if (!c) return;
    mem_free(c->memory, c->units);
    mem_free(c->memory, c->texts);
    mem_free(c->memory, c);
}

/* ---- the trie ---------------------------------------------------------------------------- */

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The replacement of the shortest entry that `key` begins with; NULL: none. */
static const char *look_up(const struct charsmap *c, const uint8_t *key, size_t length)
{
    size_t node = offset_of(c->units[0]);
    for (size_t i = 0; i < length && key[i]; i++) {
        node ^= key[i];
        if (node >= c->unit_count || (c->units[node] & (1u << 31 | 0xFF)) != key[i]) return NULL;
        bool leaf = c->units[node] >> 8 & 1;
        node ^= offset_of(c->units[node]);
        if (node >= c->unit_count) return NULL;
        if (!leaf) continue;
        size_t at = c->units[node] & ~(1u << 31);
        bool inside = at < c->text_size && ((uint8_t)c->texts[at] & 0xC0) == 0x80; /* a character */
        return at < c->text_size && !inside ? c->texts + at : NULL;                /* texts ends with a zero byte */
    }
    return NULL;
}

/* ---- text -------------------------------------------------------------------------------- */

/* utf8proc's answer, turned where the reference's tables differ. Characters that end a line or are controls join
 * nothing. */
static bool is_break(uint32_t before, uint32_t code, utf8proc_int32_t *state)
{
    bool breaks = utf8proc_grapheme_break_stateful((int32_t)before, (int32_t)code, state);
    utf8proc_category_t category = utf8proc_category((int32_t)before);
    bool control =
        category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
    return breaks != (!control && (CODE_IN(code, after_letter) || CODE_IN(before, before_letter)));
}

/* How many bytes from `at` are one grapheme. */
static size_t grapheme_length(const uint8_t *p, size_t length)
{
    uint32_t before, code;
    utf8proc_int32_t state = 0;
    size_t at = utf8_decode(p, length, &before), size;
    if (!at) return 1; /* callers give valid UTF-8 */
    for (; at < length; at += size, before = code) {
        if (p[at] < 0x80 && before < 0x80 && (p[at] != '\n' || before != '\r')) break;
        size = utf8_decode(p + at, length - at, &code);
        if (!size || is_break(before, code, &state)) break;
    }
    return at;
}

static void put_characters(const struct charsmap *c, struct text *out, const char *text, size_t length)
{
    for (size_t at = 0, size; at < length; at += size) {
        const uint8_t *p = (const uint8_t *)text + at;
        size = utf8_length(p, length - at);
        if (!size) size = 1;
        const char *replacement = look_up(c, p, size);
        if (replacement)
            text_puts(out, replacement);
        else
            text_add(out, p, size);
    }
}

lorac_status normalize_precompiled(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                   size_t length, struct text *out, lorac_error *err)
{
    for (size_t at = 0, size; at < length; at += size) {
        const uint8_t *p = (const uint8_t *)text + at;
        size = grapheme_length(p, length - at);
        const char *replacement = size < 6 ? look_up(step->charsmap, p, size) : NULL;
        if (replacement)
            text_puts(out, replacement);
        else
            put_characters(step->charsmap, out, text + at, size);
    }
    return LORAC_OK;
}

/* added.c — added tokens. See added.h. */
#include "text/added.h"

#include "base/reader.h"
#include <stdlib.h>
#include <string.h>
#include "text/code_set.h"

void added_init(struct added *a, struct memory *m)
{
    *a = (struct added){.bytes = {.memory = m}, .items = {.memory = m, .size = sizeof(struct added_token)}};
}

void added_free(struct added *a)
{
    struct memory *m = a->bytes.memory;
    text_free(&a->bytes);
    list_free(&a->items);
    added_init(a, m);
}

lorac_status added_put(struct added *a, struct added_token token, const char *bytes, lorac_error *err)
{
    struct added_token *item = list_add(&a->items);
    if (!item) return fail_memory(err, "added tokens", a->items.count * sizeof *item);
    token.offset = a->bytes.length;
    text_add(&a->bytes, bytes, token.length);
    *item = token;
    return a->bytes.failed ? fail_memory(err, "added tokens", a->bytes.length) : LORAC_OK;
}

/* ---- order ------------------------------------------------------------------------------- */

/* Heap sort by bytes: no recursion and no worst case, whatever the file holds. */
static int compare(const struct added *a, const struct added_token *x, const struct added_token *y)
{
    size_t shared = x->length < y->length ? x->length : y->length;
    int order = memcmp(a->bytes.data + x->offset, a->bytes.data + y->offset, shared);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static void sift(const struct added *a, struct added_token *items, size_t at, size_t count)
{
    struct added_token moved = items[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare(a, &items[child + 1], &items[child]) > 0) child++;
        if (compare(a, &items[child], &moved) <= 0) break;
        items[at] = items[child];
    }
    items[at] = moved;
}

static void sort(const struct added *a, struct added_token *items, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) sift(a, items, i, count);
    for (size_t last = count; last-- > 1;) {
        struct added_token largest = items[0];
        items[0] = items[last];
        items[last] = largest;
        sift(a, items, 0, last);
    }
}

lorac_status added_close(struct added *a, const char *file, lorac_error *err)
{
    struct added_token *items = a->items.items;
    if (a->items.count) sort(a, items, a->items.count);
    for (size_t i = 0; i < a->items.count; i++) {
        if (i && !compare(a, &items[i - 1], &items[i]))
            return fail(err, LORAC_FORMAT, file, "the added token \"%.*s\" appears twice",
                        items[i].length < 60 ? (int)items[i].length : 60, a->bytes.data + items[i].offset);
        a->first[(uint8_t)a->bytes.data[items[i].offset] + 1] = (uint32_t)i + 1;
    }
    for (int byte = 0; byte < 256; byte++)
        if (a->first[byte + 1] < a->first[byte]) a->first[byte + 1] = a->first[byte];
    return LORAC_OK;
}

/* ---- looking ----------------------------------------------------------------------------- */

/* Where in items[low, high), which share `depth` bytes, those whose next byte is at least `byte` begin. */
static size_t bound(const struct added *a, size_t low, size_t high, size_t depth, int byte)
{
    const struct added_token *items = a->items.items;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct added_token *t = &items[middle];
        int next = t->length > depth ? (uint8_t)a->bytes.data[t->offset + depth] : -1;
        if (next < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct added_token *longest_at(const struct added *a, const uint8_t *p, size_t left)
{
    const struct added_token *items = a->items.items, *best = NULL;
    size_t low = a->first[p[0]], high = a->first[p[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (items[low].length == depth) best = &items[low]; /* the shortest of a range stands first */
        if (depth == left) break;
        high = bound(a, low, high, depth, p[depth] + 1);
        low = bound(a, low, high, depth, p[depth]);
    }
    return best;
}

static bool is_word(uint32_t code)
{
    return code_in_class("!word", code);
}

static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* The character that ends at `at` (> 0), and its length. */
static size_t character_before(const uint8_t *text, size_t at, uint32_t *code)
{
    size_t begin = at - 1;
    while (begin > 0 && at - begin < 4 && (text[begin] & 0xC0) == 0x80) begin--;
    return utf8_decode(text + begin, at - begin, code);
}

static bool stands_alone(const uint8_t *text, size_t length, size_t start, size_t end)
{
    uint32_t code;
    if (start && character_before(text, start, &code) && is_word(code)) return false;
    return end == length || !utf8_decode(text + end, length - end, &code) || !is_word(code);
}

static size_t strip_left(const uint8_t *text, size_t start, size_t limit)
{
    uint32_t code;
    size_t step;
    while (start > limit && (step = character_before(text, start, &code)) && is_space(code)) start -= step;
    return start > limit ? start : limit;
}

static size_t strip_right(const uint8_t *text, size_t length, size_t end)
{
    uint32_t code;
    size_t step;
    while (end < length && (step = utf8_decode(text + end, length - end, &code)) && is_space(code)) end += step;
    return end;
}

/* Text given out so far ends at `done`; the search goes on behind the token proper, as the reference's does. */
lorac_status added_split(const struct added *a, const char *text, size_t length, added_fn piece, void *context,
                         lorac_error *err)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t done = 0;
    for (size_t at = 0; at < length && a->items.count;) {
        const struct added_token *token = longest_at(a, p + at, length - at);
        size_t start = at, end = token ? at + token->length : at + 1;
        at = end;
        if (!token || (token->single_word && !stands_alone(p, length, start, end))) continue;
        if (token->lstrip) start = strip_left(p, start, done);
        if (token->rstrip) end = strip_right(p, length, end);
        if (done < start) TRY(piece(context, NULL, text + done, start - done, err));
        TRY(piece(context, token, NULL, 0, err));
        done = end;
    }
    return done < length ? piece(context, NULL, text + done, length - done, err) : LORAC_OK;
}

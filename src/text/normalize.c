/* normalize.c — normalisers, over utf8proc. See normalize.h. */
#include "text/normalize.h"

#include "base/reader.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "text/unicode_nfc.h"

/* Below U+0300 every character is composed and stands alone: nothing changes. Lead bytes up to 0xCB are below it. */
static bool is_simple(const char *text, size_t length)
{
    uint8_t highest = 0;
    for (size_t i = 0; i < length; i++) highest = (uint8_t)text[i] > highest ? (uint8_t)text[i] : highest;
    return highest < 0xCC;
}

/* Characters younger than the reference's Unicode: to it they are letters without composition or order, so the
 * text falls into parts at them. */
static bool is_inert(uint32_t code)
{
    size_t low = 0, high = sizeof inert_ranges / sizeof *inert_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (inert_ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof inert_ranges / sizeof *inert_ranges && inert_ranges[low].first <= code;
}

/* Where the next inert character begins, and its length; `length` and 0 where there is none. */
static size_t next_inert(const uint8_t *p, size_t length, size_t at, size_t *size)
{
    for (size_t step; at < length; at += step) {
        uint32_t code = 0;
        step = p[at] < 0xCC ? 1 : utf8_decode(p + at, length - at, &code);
        *size = step;
        if (!step || is_inert(code)) return at;
    }
    *size = 0;
    return length;
}

static lorac_status compose(struct text *out, const char *text, size_t length, lorac_error *err)
{
    if (!length) return LORAC_OK;
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &composed,
                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (size < 0) return fail(err, LORAC_OUT_OF_MEMORY, NULL, "cannot normalise text: %s", utf8proc_errmsg(size));
    text_add(out, composed, (size_t)size);
    free(composed);
    return LORAC_OK;
}

static lorac_status nfc(struct text *out, const char *text, size_t length, lorac_error *err)
{
    if (is_simple(text, length)) return text_add(out, text, length), LORAC_OK;
    for (size_t at = 0, size = 1; size;) {
        size_t stop = next_inert((const uint8_t *)text, length, at, &size);
        TRY(compose(out, text + at, stop - at, err));
        text_add(out, text + stop, size);
        at = stop + size;
    }
    return LORAC_OK;
}

static const struct {
    const char *name;
    normalize_fn step;
} known[] = {{"NFC", nfc}};

normalize_fn normalize_named(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) return known[i].step;
    return NULL;
}

lorac_status normalize(const struct normalizer *n, struct text *buffer, const char **text, size_t *length,
                       lorac_error *err)
{
    for (size_t i = 0; i < n->count; i++) {
        struct text out = {.memory = buffer->memory};
        lorac_status status = n->steps[i](&out, *text, *length, err);
        if (status == LORAC_OK && out.failed) status = fail_memory(err, "normalised text", *length);
        if (status != LORAC_OK) return text_free(&out), status;
        text_free(buffer);
        *buffer = out;
        *text = out.data ? out.data : "";
        *length = out.length;
    }
    return LORAC_OK;
}

/* normalize.c — normalisers, over utf8proc. See normalize.h. */
#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Below U+0300 every character is composed and stands alone: nothing changes. Lead bytes up to 0xCB are below it. */
static bool is_simple(const char *text, size_t length)
{
    uint8_t highest = 0;
    for (size_t i = 0; i < length; i++) highest = (uint8_t)text[i] > highest ? (uint8_t)text[i] : highest;
    return highest < 0xCC;
}

static lorac_status nfc(struct text *out, const char *text, size_t length, lorac_error *err)
{
    if (is_simple(text, length)) return text_add(out, text, length), LORAC_OK;
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &composed,
                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (size < 0) return fail(err, LORAC_OUT_OF_MEMORY, NULL, "cannot normalise text: %s", utf8proc_errmsg(size));
    text_add(out, composed, (size_t)size);
    free(composed);
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

/* normalize_characters.c — normalisers that look at one character at a time: Lowercase, StripAccents, Nmt, and
 * BertNormalizer, which is four of them. */
#include "text/normalize.h"

#include "base/reader.h"
#include <string.h>
#include <utf8proc.h>
#include "text/code_range.h"
#include "text/unicode_characters.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

typedef void (*character_fn)(struct text *out, uint32_t code, const char *bytes, size_t size);

static lorac_status each_character(const char *text, size_t length, struct text *out, character_fn put)
{
    for (size_t at = 0, size; at < length; at += size) {
        uint32_t code = 0;
        size = utf8_decode((const uint8_t *)text + at, length - at, &code);
        if (!size) size = 1; /* callers give valid UTF-8 */
        put(out, code, text + at, size);
    }
    return LORAC_OK;
}

static void put_code(struct text *out, uint32_t code)
{
    char character[4];
    text_add(out, character, utf8_encode(code, character));
}

/* ---- Lowercase --------------------------------------------------------------------------- */

/* Ranges may interleave, each taking every other character: the last one that begins at or before the code and the
 * few before it are looked at. */
static uint32_t lower_of(uint32_t code)
{
    size_t low = 0, high = COUNT(lower_ranges);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lower_ranges[middle].first <= code)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i > 0 && i + 3 > low; i--) {
        uint32_t from = lower_ranges[i - 1].first;
        if (code <= lower_ranges[i - 1].last && (code - from) % lower_ranges[i - 1].step == 0)
            return (uint32_t)((int32_t)code + lower_ranges[i - 1].add);
    }
    return code;
}

static void put_lower(struct text *out, uint32_t code, const char *bytes, size_t size)
{
    if (code == 0x130)
        text_puts(out, "i\xCC\x87");
    else
        put_code(out, lower_of(code));
}

lorac_status normalize_lowercase(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                 size_t length, struct text *out, lorac_error *err)
{
    return each_character(text, length, out, put_lower);
}

/* ---- StripAccents, Nmt ------------------------------------------------------------------- */

static void put_uncombined(struct text *out, uint32_t code, const char *bytes, size_t size)
{
    if (!CODE_IN(code, combining_ranges)) text_add(out, bytes, size);
}

lorac_status normalize_strip_accents(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                     size_t length, struct text *out, lorac_error *err)
{
    return each_character(text, length, out, put_uncombined);
}

static void put_nmt(struct text *out, uint32_t code, const char *bytes, size_t size)
{
    static const struct code_range dropped[] = {{0x1, 0x8},   {0xB, 0xB},   {0xE, 0x1F},
                                                {0x7F, 0x7F}, {0x8F, 0x8F}, {0x9F, 0x9F}};
    static const struct code_range spaces[] = {{0x9, 0xA},       {0xC, 0xD},       {0x1680, 0x1680}, {0x200B, 0x200F},
                                               {0x2028, 0x2029}, {0x2581, 0x2581}, {0xFEFF, 0xFEFF}, {0xFFFD, 0xFFFD}};
    if (CODE_IN(code, dropped)) return;
    if (CODE_IN(code, spaces))
        text_puts(out, " ");
    else
        text_add(out, bytes, size);
}

lorac_status normalize_nmt(const struct normalizer_step *step, struct regex_match *match, const char *text,
                           size_t length, struct text *out, lorac_error *err)
{
    return each_character(text, length, out, put_nmt);
}

/* ---- BertNormalizer ---------------------------------------------------------------------- */

static void put_clean(struct text *out, uint32_t code, const char *bytes, size_t size)
{
    if (CODE_IN(code, unclean_ranges)) return;
    if (is_white_space(code))
        text_puts(out, " ");
    else
        text_add(out, bytes, size);
}

static void put_padded(struct text *out, uint32_t code, const char *bytes, size_t size)
{
    static const struct code_range chinese[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                                {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                                {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
    bool pads = CODE_IN(code, chinese);
    if (pads) text_puts(out, " ");
    text_add(out, bytes, size);
    if (pads) text_puts(out, " ");
}

static void put_unaccented(struct text *out, uint32_t code, const char *bytes, size_t size)
{
    if (!CODE_IN(code, nonspacing_ranges)) text_add(out, bytes, size);
}

static lorac_status bert_strip_accents(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                       size_t length, struct text *out, lorac_error *err)
{
    struct normalizer_step nfd = {.form = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE};
    struct text apart = {.memory = out->memory};
    lorac_status status = normalize_form(&nfd, match, text, length, &apart, err);
    if (status == LORAC_OK) each_character(apart.data ? apart.data : "", apart.length, out, put_unaccented);
    out->failed |= apart.failed;
    text_free(&apart);
    return status;
}

lorac_status normalize_bert(const struct normalizer_step *step, struct regex_match *match, const char *text,
                            size_t length, struct text *out, lorac_error *err)
{
    const struct {
        bool wanted;
        character_fn put; /* NULL: the accents */
    } passes[] = {{step->clean, put_clean},
                  {step->pad_chinese, put_padded},
                  {step->strip_accents, NULL},
                  {step->lowercase, put_lower}};
    struct text done = {.memory = out->memory};
    text_add(&done, text, length);
    for (size_t i = 0; i < COUNT(passes); i++) {
        if (!passes[i].wanted || done.failed) continue;
        struct text next = {.memory = out->memory};
        lorac_status status = LORAC_OK;
        const char *now = done.data ? done.data : "";
        if (passes[i].put)
            each_character(now, done.length, &next, passes[i].put);
        else
            status = bert_strip_accents(step, match, now, done.length, &next, err);
        text_free(&done);
        done = next;
        if (status != LORAC_OK) return text_free(&done), status;
    }
    text_add(out, done.data ? done.data : "", done.length);
    out->failed |= done.failed;
    text_free(&done);
    return LORAC_OK;
}

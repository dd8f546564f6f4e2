/* normalize_forms.c — Unicode's normalisation forms, with utf8proc's tables. */
#include "text/normalize.h"

#include "base/reader.h"
#include <string.h>
#include <utf8proc.h>
#include "text/code_range.h"
#include "text/unicode_compatibility.h"
#include "text/unicode_nfc.h"

/* Below U+0300 every character is composed and stands alone: NFC changes nothing. Lead bytes up to 0xCB are below it.
 * The other forms leave ASCII alone. */
static bool is_simple(int form, const char *text, size_t length)
{
    uint8_t highest = 0;
    for (size_t i = 0; i < length; i++) highest = (uint8_t)text[i] > highest ? (uint8_t)text[i] : highest;
    return highest < (form == (UTF8PROC_STABLE | UTF8PROC_COMPOSE) ? 0xCC : 0x80);
}

/* Characters younger than the reference's Unicode: to it they are letters without composition or order, so the
 * text falls into parts at them. */
static bool is_inert(int form, uint32_t code)
{
    return CODE_IN(code, inert_ranges) || (form & UTF8PROC_COMPAT && CODE_IN(code, incompatible_ranges));
}

/* Where the next inert character begins, and its length; `length` and 0 where there is none. */
static size_t next_inert(int form, const uint8_t *p, size_t length, size_t at, size_t *size)
{
    for (size_t step; at < length; at += step) {
        uint32_t code = 0;
        step = p[at] < 0xCC ? 1 : utf8_decode(p + at, length - at, &code);
        *size = step;
        if (!step || is_inert(form, code)) return at;
    }
    *size = 0;
    return length;
}

/* ---- a part without inert characters ----------------------------------------------------- */

static int32_t *codes_of(const struct text *codes)
{
    return (int32_t *)(void *)codes->data;
}

static void decompose(struct text *codes, const char *text, size_t length, int form)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t at = 0, size; at < length; at += size) {
        uint32_t code = 0;
        int32_t parts[32]; /* the longest decomposition has 18 */
        int boundary = 0;
        size = utf8_decode(p + at, length - at, &code);
        if (!size) size = 1;
        ptrdiff_t count = utf8proc_decompose_char((int32_t)code, parts, 32, form, &boundary);
        if (count < 0 || count > 32) count = 1, parts[0] = (int32_t)code;
        text_add(codes, parts, (size_t)count * sizeof *parts);
    }
}

static unsigned order_of(int32_t code)
{
    return (unsigned)utf8proc_get_property(code)->combining_class;
}

/* A run of marks, sorted by combining class; marks of one class keep their order. Counting keeps it linear. */
static bool sort_marks(struct memory *m, int32_t *marks, size_t count)
{
    size_t before[257] = {0};
    bool sorted = true;
    for (size_t i = 1; i < count; i++) sorted &= order_of(marks[i - 1]) <= order_of(marks[i]);
    int32_t *copy = sorted ? NULL : mem_array(m, count, sizeof *copy);
    if (!copy) return sorted;
    memcpy(copy, marks, count * sizeof *copy);
    for (size_t i = 0; i < count; i++) before[(order_of(copy[i]) & 255) + 1]++;
    for (size_t class = 1; class < 257; class ++) before[class] += before[class - 1];
    for (size_t i = 0; i < count; i++) marks[before[order_of(copy[i]) & 255]++] = copy[i];
    mem_free(m, copy);
    return true;
}

static bool sort_all_marks(struct memory *m, int32_t *codes, size_t count)
{
    for (size_t at = 0, end; at < count; at = end + 1) {
        for (end = at; end < count && order_of(codes[end]);) end++;
        if (end > at + 1 && !sort_marks(m, codes + at, end - at)) return false;
    }
    return true;
}

static lorac_status normalize_part(struct text *out, const char *text, size_t length, int form, lorac_error *err)
{
    struct text codes = {.memory = out->memory};
    decompose(&codes, text, length, form);
    size_t count = codes.length / sizeof(int32_t);
    bool failed = codes.failed || !sort_all_marks(out->memory, codes_of(&codes), count);
    ptrdiff_t left = failed || !count ? 0 : (ptrdiff_t)count;
    if (left && form & UTF8PROC_COMPOSE) left = utf8proc_normalize_utf32(codes_of(&codes), left, form);
    for (ptrdiff_t i = 0; i < left; i++) {
        char character[4];
        text_add(out, character, utf8_encode((uint32_t)codes_of(&codes)[i], character));
    }
    text_free(&codes);
    return failed || left < 0 ? fail_memory(err, "normalised text", length) : LORAC_OK;
}

lorac_status normalize_form(const struct normalizer_step *step, struct regex_match *match, const char *text,
                            size_t length, struct text *out, lorac_error *err)
{
    if (is_simple(step->form, text, length)) return text_add(out, text, length), LORAC_OK;
    for (size_t at = 0, size = 1; size;) {
        size_t stop = next_inert(step->form, (const uint8_t *)text, length, at, &size);
        TRY(normalize_part(out, text + at, stop - at, step->form, err));
        text_add(out, text + stop, size);
        at = stop + size;
    }
    return LORAC_OK;
}

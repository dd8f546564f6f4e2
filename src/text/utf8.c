/* utf8.c — mending UTF-8. See utf8.h. */
#include "text/utf8.h"

#include "base/reader.h"
#include <string.h>

static size_t ascii_run(const char *text, size_t length)
{
    size_t i = 0;
    for (uint64_t word; i + 8 <= length; i += 8) {
        memcpy(&word, text + i, 8);
        if (word & 0x8080808080808080u) break;
    }
    while (i < length && !(text[i] & 0x80)) i++;
    return i;
}

bool utf8_is_valid(const char *text, size_t length)
{
    for (size_t at = 0; (at += ascii_run(text + at, length - at)) < length;) {
        size_t step = utf8_length((const uint8_t *)text + at, length - at);
        if (!step) return false;
        at += step;
    }
    return true;
}

/* The second byte's range depends on the first (table 3-7); the others are 80..BF. */
static bool may_follow(uint8_t lead, size_t place, uint8_t byte)
{
    uint8_t low = 0x80, high = 0xBF;
    if (place == 1 && lead == 0xE0) low = 0xA0;
    if (place == 1 && lead == 0xED) high = 0x9F;
    if (place == 1 && lead == 0xF0) low = 0x90;
    if (place == 1 && lead == 0xF4) high = 0x8F;
    return byte >= low && byte <= high;
}

size_t utf8_subpart(const uint8_t *p, size_t left, bool *valid)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    *valid = false;
    if (!length) return 1;
    for (size_t i = 1; i < length; i++) {
        if (i == left) return 0;
        if (!may_follow(p[0], i, p[i])) return i;
    }
    *valid = true;
    return length;
}

size_t utf8_mend_open(struct text *out, const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t run = ascii_run(text + at, length - at);
        text_add(out, text + at, run);
        at += run;
        if (at == length) break;
        bool valid;
        size_t step = utf8_subpart((const uint8_t *)text + at, length - at, &valid);
        if (!step) break;
        if (valid)
            text_add(out, text + at, step);
        else
            text_puts(out, "\xEF\xBF\xBD");
        at += step;
    }
    return length - at;
}

void utf8_mend(struct text *out, const char *text, size_t length)
{
    if (utf8_mend_open(out, text, length)) text_puts(out, "\xEF\xBF\xBD");
}

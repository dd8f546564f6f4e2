/* utf8.h — malformed UTF-8 mended as Python's errors="replace" and WHATWG do: each maximal subpart of a
 * character that cannot go on becomes one U+FFFD (Unicode 15, section 3.9). */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include "base/memory.h"

bool utf8_is_valid(const char *text, size_t length);

/* How many of the bytes at p (left > 0) belong together: a character (*valid), or a malformed subpart. 0: the bytes end
 * inside a character that may still become one. */
size_t utf8_subpart(const uint8_t *p, size_t left, bool *valid);

/* Appends what is complete of text; returns how many bytes at its end (at most 3) are an unfinished character. */
size_t utf8_mend_open(struct text *out, const char *text, size_t length);
void utf8_mend(struct text *out, const char *text, size_t length); /* an unfinished character becomes U+FFFD too */

#endif

/* bytelevel.h — the printable alphabet in which byte-level vocabularies spell bytes (GPT-2, Radford et al. 2019).
 *
 * Bytes that are printable Latin-1 stand for themselves (0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF); the other 68, in
 * order, are U+0100 .. U+0143. A space is therefore U+0120. */
#ifndef TEXT_BYTELEVEL_H
#define TEXT_BYTELEVEL_H

#include "base/memory.h"

/* byte -> code point, and code point (< 0x144) -> byte, -1 where there is none. */
struct byte_alphabet {
    uint16_t code[256];
    int16_t byte[0x144];
};
void byte_alphabet_init(struct byte_alphabet *a);

void byte_level_spell(const struct byte_alphabet *a, struct text *out, const uint8_t *bytes, size_t length);
/* A text with a character outside the alphabet is taken as it is. */
void byte_level_read(const struct byte_alphabet *a, struct text *out, const char *spelled, size_t length);

#endif

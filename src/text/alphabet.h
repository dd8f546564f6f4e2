/* alphabet.h — the characters that an expression tells apart, numbered. Code points that are in the same of its sets
 * are one symbol, a byte: text becomes as many bytes as it has characters, and matching needs no Unicode. */
#ifndef TEXT_ALPHABET_H
#define TEXT_ALPHABET_H

#include "text/code_set.h"

enum { MAX_SYMBOLS = 256, BLOCK = 256 };

struct alphabet {
    struct memory *memory;
    size_t symbols;
    uint64_t (*members)[4];           /* (symbols): which sets a symbol is in, a bit each */
    uint16_t place[CODE_END / BLOCK]; /* of a block of code points in `blocks` */
    struct list blocks;               /* uint8_t[BLOCK] */
};

/* At most 255 sets. */
lorac_status alphabet_make(struct alphabet *a, struct memory *m, const struct code_set *sets, size_t count,
                           lorac_error *err);
void alphabet_free(struct alphabet *a);

/* Writes one symbol for each character of text (valid UTF-8) to out (length); returns how many. */
size_t alphabet_spell(const struct alphabet *a, const char *text, size_t length, uint8_t *out);

static inline bool alphabet_in_set(const struct alphabet *a, size_t symbol, size_t set)
{
    return a->members[symbol][set / 64] >> set % 64 & 1;
}

#endif

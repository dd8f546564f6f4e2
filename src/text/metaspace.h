/* metaspace.h — SentencePiece's way with spaces: each becomes U+2581 (or another mark), and one is put before the text.
 */
#ifndef TEXT_METASPACE_H
#define TEXT_METASPACE_H

#include "base/memory.h"

enum metaspace_prepend {
    PREPEND_ALWAYS,
    PREPEND_FIRST,
    PREPEND_NEVER
}; /* to every piece, to one that begins the text */

struct metaspace {
    char mark[5]; /* one character; empty: the step is no Metaspace */
    enum metaspace_prepend prepend;
    bool split; /* a word begins at every mark */
};

/* Appends the piece with marks. `first`: it begins the text. */
void metaspace_mark(const struct metaspace *m, bool first, const char *text, size_t length, struct text *out);
/* Where the word that begins at `at` ends. */
size_t metaspace_word_end(const struct metaspace *m, const char *text, size_t length, size_t at);

#endif

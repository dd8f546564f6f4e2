/* metaspace.c — spaces as marks. See metaspace.h. */
#include "text/metaspace.h"

#include <string.h>

static bool is_mark(const struct metaspace *m, const char *text, size_t length)
{
    size_t size = strlen(m->mark);
    return length >= size && !memcmp(text, m->mark, size);
}

void metaspace_mark(const struct metaspace *m, bool first, const char *text, size_t length, struct text *out)
{
    bool wanted = m->prepend == PREPEND_ALWAYS || (m->prepend == PREPEND_FIRST && first);
    bool marked = (length && text[0] == ' ') || is_mark(m, text, length);
    if (wanted && !marked) text_puts(out, m->mark);
    for (size_t at = 0; at < length;) {
        const char *space = memchr(text + at, ' ', length - at);
        size_t end = space ? (size_t)(space - text) : length;
        text_add(out, text + at, end - at);
        if (space) text_puts(out, m->mark);
        at = end + (space != NULL);
    }
}

size_t metaspace_word_end(const struct metaspace *m, const char *text, size_t length, size_t at)
{
    const char *next = length > at ? memmem(text + at + 1, length - at - 1, m->mark, strlen(m->mark)) : NULL;
    return next ? (size_t)(next - text) : length;
}

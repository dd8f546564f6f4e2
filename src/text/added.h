/* added.h — added tokens: those that are found in the text before it is cut into words.
 *
 * The leftmost match wins, and of several there the longest. */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include "base/memory.h"

struct added_token {
    size_t offset, length; /* what is looked for, in added.bytes */
    int32_t id;
    bool special, normalized;
    bool lstrip, rstrip; /* swallows the white space before, after it */
    bool single_word;    /* only where no letter or digit touches it */
};

/* The tokens looked for in one form of the text. */
struct added {
    struct text bytes;
    struct list items;   /* struct added_token, sorted by their bytes once closed */
    uint32_t first[257]; /* items beginning with byte b: first[b] .. first[b + 1] */
};

void added_init(struct added *a, struct memory *m);
void added_free(struct added *a);
lorac_status added_put(struct added *a, struct added_token token, const char *bytes, lorac_error *err);
lorac_status added_close(struct added *a, const char *file, lorac_error *err); /* after the last; refuses twins */

/* text: a piece without added tokens; or, with token not NULL, the token and nothing else. */
typedef lorac_status (*added_fn)(void *context, const struct added_token *token, const char *text, size_t length,
                                 lorac_error *err);
lorac_status added_split(const struct added *a, const char *text, size_t length, added_fn piece, void *context,
                         lorac_error *err);

#endif

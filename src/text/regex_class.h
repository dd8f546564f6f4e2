/* regex_class.h — what regex_parse.c and regex_class.c share: the place in the pattern, and reading characters there.
 */
#ifndef TEXT_REGEX_CLASS_H
#define TEXT_REGEX_CLASS_H

#include "text/regex_parse.h"

struct pattern_reader {
    const char *p, *end;
    struct memory *memory;
    bool caseless, in_class;
    const char *refused; /* what stopped it, NULL while all is well */
};

bool pattern_take(struct pattern_reader *r, const char *expected); /* steps over it where it stands next */
uint32_t pattern_code(struct pattern_reader *r);                   /* the next character, as it stands */

/* After a backslash: a character, or a class, which is added to *set. */
enum escape { ESCAPED_CODE, ESCAPED_CLASS };
enum escape pattern_escape(struct pattern_reader *r, uint32_t *code, struct code_set *set);
/* After an opening bracket. */
void pattern_class(struct pattern_reader *r, struct code_set *set);
/* Adds other cases where case does not count. */
void pattern_widen(struct pattern_reader *r, struct code_set *set);

#endif

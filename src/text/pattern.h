/* pattern.h — what a Replace looks for: a plain string or a regular expression. */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include "text/regex.h"

struct pattern {
    struct regex *regex; /* NULL: the string */
    struct text literal;
};
/* A plain string must not be empty. */
lorac_status pattern_make(struct pattern *p, struct memory *m, const char *text, size_t length, bool literal,
                          const char *file, lorac_error *err);
void pattern_free(struct pattern *p);

/* Appends text to *out with every match replaced by `content`. */
lorac_status pattern_replace(const struct pattern *p, struct regex_match *match, const char *content, const char *text,
                             size_t length, struct text *out, lorac_error *err);

#endif

/* regex.h — the regular expressions of tokenizer files, over PCRE2.
 *
 * They are written for Oniguruma. What means the same in both is let through; \s, \d and \p{..} become classes
 * from one generated table (unicode_classes.h), so that the reference's Unicode decides; what could differ is
 * refused by name (set operations and brackets inside brackets, \w, \b, anchors, comments). */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include "base/memory.h"

struct regex;       /* immutable: any thread may use it */
struct regex_match; /* working space of one thread */

/* With `literal`, the pattern is a plain string. */
lorac_status regex_compile(struct memory *m, const char *pattern, size_t length, bool literal, const char *file,
                           struct regex **regex, lorac_error *err);
void regex_free(struct regex *regex);

lorac_status regex_match_create(struct regex_match **match, lorac_error *err);
void regex_match_free(struct regex_match *match);

/* The first match in text[at..length) (valid UTF-8, `at` on a character). *found false: there is none. */
lorac_status regex_find(const struct regex *regex, struct regex_match *match, const char *text, size_t length,
                        size_t at, bool *found, size_t *start, size_t *end, lorac_error *err);

#endif

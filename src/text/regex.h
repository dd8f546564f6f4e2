/* regex.h — the regular expressions of tokenizer files, which are written for Oniguruma, over PCRE2.
 *
 * PCRE2 sees neither the text nor the classes, but symbols (alphabet.h): so the reference's Unicode decides what a
 * class holds, whatever Unicode the system's PCRE2 has, and a character costs one byte. */
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

/* All matches in a text, one after another, as Oniguruma's iterator gives them: an empty match right behind the last
 * one is passed over. Scans that share a regex_match nest: the last one begun ends first. */
struct regex_scan {
    const struct regex *regex;
    struct regex_match *match;
    const char *text;
    size_t symbols, count, held; /* where match->symbols has the text's, how many, and what was there before */
    size_t at, at_byte;          /* where the next search begins: characters, bytes */
    size_t after;                /* where the last match ended, in characters; SIZE_MAX: there was none */
};
/* text: valid UTF-8, and there until the scan ends. */
lorac_status regex_scan_begin(struct regex_scan *s, const struct regex *regex, struct regex_match *match,
                              const char *text, size_t length, lorac_error *err);
void regex_scan_end(struct regex_scan *s);
/* text[*start..*end) is the next match. *found false: there is none. */
lorac_status regex_scan_next(struct regex_scan *s, bool *found, size_t *start, size_t *end, lorac_error *err);

#endif

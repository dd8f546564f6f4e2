/* regex_parse.h — an expression in Oniguruma's syntax, as the reference reads it, taken apart for PCRE2: every literal
 * and every class becomes a set of code points; all else is syntax that both engines read alike. What could mean
 * something else, or reaches beyond characters (back references, names, callouts), is refused by name. */
#ifndef TEXT_REGEX_PARSE_H
#define TEXT_REGEX_PARSE_H

#include "text/code_set.h"

enum { MAX_CODE_SETS = 255, SET_TOKEN = 0x100 };

struct regex_program {
    struct list tokens; /* uint16_t: a byte of PCRE2's syntax, or SET_TOKEN + index of a set */
    struct list sets;   /* struct code_set, no two equal */
};
void regex_program_free(struct regex_program *p);
/* Whether it repeats more than once, by an interval, what may match nothing. */
bool regex_repeats_nothing(const struct regex_program *p);
/* With `literal`, the pattern is a plain string. Free the program in either case. */
lorac_status regex_parse(struct memory *m, const char *pattern, size_t length, bool literal, const char *file,
                         struct regex_program *program, lorac_error *err);

#endif

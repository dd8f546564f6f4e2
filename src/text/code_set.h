/* code_set.h — sets of code points, as regular expressions' classes are: built from ranges and named classes, combined,
 * and widened to letters that differ only in case. What the names mean is the reference's (unicode_table.h). */
#ifndef TEXT_CODE_SET_H
#define TEXT_CODE_SET_H

#include "base/memory.h"
#include "text/code_range.h"

enum { CODE_END = 0x110000 };

/* Zero-initialise with .ranges = {.memory, .size = sizeof(struct code_range)}; code_set_free at the end. */
struct code_set {
    struct list ranges; /* sorted, apart from one another */
    bool failed;        /* no memory was found: check once at the end */
};
struct code_set code_set_new(struct memory *m);
void code_set_free(struct code_set *s);

static inline const struct code_range *code_set_ranges(const struct code_set *s)
{
    return s->ranges.items;
}

/* One bit for each of (in neither, only in b, only in a, in both), from the lowest. */
enum code_set_rule { SET_UNION = 0xE, SET_INTERSECTION = 0x8, SET_DIFFERENCE = 0x4, SET_EITHER = 0x6, SET_NOT_A = 0x3 };
void code_set_combine(struct code_set *a, const struct code_set *b, enum code_set_rule rule); /* into a */
void code_set_add(struct code_set *s, uint32_t first, uint32_t last);
void code_set_negate(struct code_set *s);

/* Adds the class or script of that name, written with or without capitals, spaces, - and _. False: there is none. */
bool code_set_add_named(struct code_set *s, const char *name, size_t length);
void code_set_add_other_cases(struct code_set *s);

/* Whether the class of that very name (as unicode_table.h spells it) has the code point: nothing is built for it. */
bool code_in_class(const char *name, uint32_t code);

bool code_set_equal(const struct code_set *a, const struct code_set *b);

#endif

/* code_set.c — sets of code points. See code_set.h. */
#include "text/code_set.h"

#include <string.h>
#include "text/unicode_table.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

struct code_set code_set_new(struct memory *m)
{
    return (struct code_set){.ranges = {.memory = m, .size = sizeof(struct code_range)}};
}

void code_set_free(struct code_set *s)
{
    list_free(&s->ranges);
}

/* ---- combining --------------------------------------------------------------------------- */

/* Where the set's k-th change lies: into a range at even k, out of it at odd k. */
static uint32_t border(const struct code_set *s, size_t k)
{
    if (k / 2 >= s->ranges.count) return CODE_END;
    const struct code_range *r = &code_set_ranges(s)[k / 2];
    return k % 2 ? r->last + 1 : r->first;
}

static void append(struct code_set *s, uint32_t first, uint32_t last)
{
    struct code_range *before = s->ranges.count ? (struct code_range *)s->ranges.items + s->ranges.count - 1 : NULL;
    if (before && before->last + 1 == first) {
        before->last = last;
        return;
    }
    struct code_range *r = list_add(&s->ranges);
    if (r)
        *r = (struct code_range){first, last};
    else
        s->failed = true;
}

void code_set_combine(struct code_set *a, const struct code_set *b, enum code_set_rule rule)
{
    struct code_set out = code_set_new(a->ranges.memory);
    size_t ka = 0, kb = 0;
    for (uint32_t at = 0, next; at < CODE_END; at = next) {
        while (ka / 2 < a->ranges.count && border(a, ka) <= at) ka++;
        while (kb / 2 < b->ranges.count && border(b, kb) <= at) kb++;
        next = border(a, ka) < border(b, kb) ? border(a, ka) : border(b, kb);
        if ((unsigned)rule >> (ka % 2 * 2 + kb % 2) & 1) append(&out, at, next - 1);
    }
    out.failed |= a->failed || b->failed;
    code_set_free(a);
    *a = out;
}

void code_set_add(struct code_set *s, uint32_t first, uint32_t last)
{
    struct code_range range = {first, last};
    struct code_set one = {.ranges = {.items = &range, .count = 1}};
    code_set_combine(s, &one, SET_UNION);
}

void code_set_negate(struct code_set *s)
{
    struct code_set none = {.failed = false};
    code_set_combine(s, &none, SET_NOT_A);
}

/* ---- names ------------------------------------------------------------------------------- */

static char plain(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_named(const char *plain_name, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (name[i] == ' ' || name[i] == '-' || name[i] == '_') continue;
        if (!*plain_name || *plain_name++ != plain(name[i])) return false;
    }
    return !*plain_name;
}

/* Adds the ranges of a table of starts (code point << bits | value) whose value is one of the bits in `wanted`, or is
 * `script`. */
static void add_starts(struct code_set *s, const uint32_t *starts, size_t count, int bits, uint32_t wanted, int script)
{
    struct code_set found = code_set_new(s->ranges.memory);
    for (size_t i = 0; i < count; i++) {
        uint32_t value = starts[i] & ((1u << bits) - 1), end = i + 1 < count ? starts[i + 1] >> bits : CODE_END;
        if (script ? value == (uint32_t)script : wanted >> value & 1) append(&found, starts[i] >> bits, end - 1);
    }
    code_set_combine(s, &found, SET_UNION);
    code_set_free(&found);
}

static void add_class(struct code_set *s, const struct named_class *c)
{
    struct code_set found = code_set_new(s->ranges.memory), edges = code_set_new(s->ranges.memory);
    add_starts(&found, category_starts, COUNT(category_starts), CATEGORY_BITS, c->categories, 0);
    for (size_t i = c->edge; i < (size_t)c->edge + c->edges; i++)
        append(&edges, class_edges[i].first, class_edges[i].last);
    code_set_combine(&found, &edges, SET_EITHER);
    code_set_combine(s, &found, SET_UNION);
    code_set_free(&edges);
    code_set_free(&found);
}

bool code_set_add_named(struct code_set *s, const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT(named_classes); i++)
        if (is_named(named_classes[i].name, name, length)) return add_class(s, &named_classes[i]), true;
    for (size_t i = 0; i < COUNT(script_names); i++)
        if (is_named(script_names[i], name, length))
            return add_starts(s, script_starts, COUNT(script_starts), SCRIPT_BITS, 0, (int)i + 1), true;
    return false;
}

void code_set_add_other_cases(struct code_set *s)
{
    struct code_set found = code_set_new(s->ranges.memory);
    for (size_t i = 0; i < COUNT(other_cases); i++)
        for (int side = 0; side < 2; side++)
            if (code_in_ranges(other_cases[i][side], code_set_ranges(s), s->ranges.count))
                code_set_add(&found, other_cases[i][!side], other_cases[i][!side]);
    code_set_combine(s, &found, SET_UNION);
    code_set_free(&found);
}

/* ---- asking ------------------------------------------------------------------------------ */

static uint32_t category_of(uint32_t code)
{
    size_t low = 0, high = COUNT(category_starts); /* the first start is 0 */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (category_starts[middle] >> CATEGORY_BITS <= code)
            low = middle;
        else
            high = middle;
    }
    return category_starts[low] & ((1u << CATEGORY_BITS) - 1);
}

bool code_in_class(const char *name, uint32_t code)
{
    const struct named_class *c = named_classes;
    while (strcmp(c->name, name)) c++;
    bool differs = code_in_ranges(code, class_edges + c->edge, c->edges);
    return (c->categories >> category_of(code) & 1) != differs;
}

bool code_set_equal(const struct code_set *a, const struct code_set *b)
{
    return a->ranges.count == b->ranges.count &&
           (!a->ranges.count || !memcmp(a->ranges.items, b->ranges.items, a->ranges.count * sizeof(struct code_range)));
}

/* template_html.c — |striptags: a text without markup, its character references replaced as Python's html.unescape
 * replaces them. */
#include "text/template_impl.h"

#include <string.h>

struct entity {
    const char *name, *text; /* name: mostly with a semicolon at the end */
};
#include "text/html_entities.h"

enum { NAME_LIMIT = 33 };

/* ---- character references ---------------------------------------------------------------- */

static const struct entity *find_entity(struct str name)
{
    size_t low = 0, high = sizeof entities / sizeof *entities;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = str_compare((struct str){entities[middle].name, strlen(entities[middle].name)}, name);
        if (!order) return &entities[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The longest name that the text after an ampersand begins with, or NULL. */
static const struct entity *begins_entity(struct str s, size_t *length)
{
    for (*length = s.length < NAME_LIMIT ? s.length : NAME_LIMIT; *length >= 2; --*length) {
        const struct entity *found = find_entity(str_slice(s, 0, *length));
        if (found) return found;
    }
    return NULL;
}

/* A number's character as HTML has it: Windows-1252 for 0x80 to 0x9F, none for other controls; 0: nothing. */
static uint32_t character_of(uint32_t number)
{
    static const uint16_t windows[] = {0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021,
                                       0x2C6,  0x2030, 0x160,  0x2039, 0x152,  0x8D,   0x17D,  0x8F,
                                       0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                       0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
    if (number >= 0x80 && number < 0xA0) return windows[number - 0x80];
    if (!number || (number >= 0xD800 && number < 0xE000) || number > 0x10FFFF) return 0xFFFD;
    bool space = number == '\t' || number == '\n' || number == '\f' || number == '\r';
    if ((number < 0x20 && !space) || number == 0x7F) return 0;
    if ((number >= 0xFDD0 && number < 0xFDF0) || (number & 0xFFFE) == 0xFFFE) return 0;
    return number;
}

static int digit_of(char c, int base)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : base;
    return digit < base ? digit : -1;
}

/* "#65;" or "#x41;" after an ampersand; 0: none. */
static size_t add_number(struct text *t, struct str s)
{
    bool hex = s.length > 1 && (s.at[1] | 32) == 'x';
    int base = hex ? 16 : 10;
    size_t from = hex ? 2 : 1, at = from;
    uint32_t number = 0;
    char bytes[4];
    for (; at < s.length && digit_of(s.at[at], base) >= 0; at++)
        if (number <= 0x10FFFF) number = number * (uint32_t)base + (uint32_t)digit_of(s.at[at], base);
    if (at == from) return 0;
    uint32_t code = character_of(number);
    if (code) text_add(t, bytes, utf8_encode(code, bytes));
    return at + (at < s.length && s.at[at] == ';');
}

/* What an ampersand begins, replaced; returns its length in the source. */
static size_t add_reference(struct text *t, struct str s)
{
    struct str after = str_slice(s, 1, s.length);
    size_t length = after.length && *after.at == '#' ? add_number(t, after) : 0;
    if (length) return 1 + length;
    const struct entity *entity = begins_entity(after, &length);
    text_puts(t, entity ? entity->text : "&");
    return 1 + (entity ? length : 0);
}

static bool unescape(struct render *r, struct str s, struct value *result)
{
    struct text t = builder(r);
    for (size_t at = 0; at < s.length;) {
        const char *next = memchr(s.at + at, '&', s.length - at);
        size_t end = next ? (size_t)(next - s.at) : s.length;
        text_add(&t, s.at + at, end - at);
        at = end;
        if (next) at += add_reference(&t, str_slice(s, at, s.length));
        if (next && !work(r, 8)) break;
    }
    return builder_end(r, &t, result);
}

/* ---- tags -------------------------------------------------------------------------------- */

/* Where the tag or comment ends that begins at `at`; 0: nowhere. */
static size_t tag_end(struct str s, size_t at)
{
    size_t hit;
    bool comment = s.length - at >= 4 && !memcmp(s.at + at, "<!--", 4);
    struct str end = comment ? STR("-->") : STR(">");
    return str_find(s, end, comment ? at + 4 : at, &hit) ? hit + end.length : 0;
}

static void add_outside_tags(struct text *t, struct str s)
{
    size_t at = 0, start, end;
    for (; str_find(s, STR("<"), at, &start) && (end = tag_end(s, start)); at = end) text_add(t, s.at + at, start - at);
    if (at < s.length) text_add(t, s.at + at, s.length - at);
}

/* Runs of white space become one space; none stays at the ends. */
static void add_single_spaced(struct text *t, struct str s)
{
    s = str_strip(s, NULL, true, true);
    for (size_t at = 0, from = 0, next; at < s.length; from = at) {
        for (next = at; at < s.length && !is_space(str_next(s, &next));) at = next;
        text_add(t, s.at + from, at - from);
        if (at < s.length) text_puts(t, " ");
        for (next = at; at < s.length && is_space(str_next(s, &next));) at = next;
    }
}

bool filter_striptags(struct render *r, struct call *c, struct value *result)
{
    struct str s;
    struct value plain;
    if (!to_str(r, c->self, &s)) return false;
    struct text outside = builder(r), spaced = builder(r);
    add_outside_tags(&outside, s);
    add_single_spaced(&spaced, (struct str){outside.data ? outside.data : "", outside.length});
    spaced.failed |= outside.failed;
    text_free(&outside);
    return builder_end(r, &spaced, &plain) && unescape(r, plain.text, result);
}

/* regex_class.c — characters, escapes and bracketed classes of Oniguruma's syntax. See regex_class.h. */
#include "text/regex_class.h"

#include "base/reader.h"
#include <string.h>

enum { MAX_NESTING = 16 };

bool pattern_take(struct pattern_reader *r, const char *expected)
{
    size_t length = strlen(expected);
    if ((size_t)(r->end - r->p) < length || memcmp(r->p, expected, length)) return false;
    r->p += length;
    return true;
}

uint32_t pattern_code(struct pattern_reader *r)
{
    uint32_t code = 0;
    size_t step = r->p < r->end ? utf8_decode((const uint8_t *)r->p, (size_t)(r->end - r->p), &code) : 0;
    if (!step) r->refused = r->p < r->end ? "malformed UTF-8" : "an unfinished part";
    r->p += step;
    return code;
}

/* ---- escapes ----------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t hex_code(struct pattern_reader *r, size_t least, size_t most)
{
    uint32_t code = 0;
    size_t digits = 0;
    while (digits < most && r->p < r->end && hex_digit(*r->p) >= 0) {
        code = code * 16 + (uint32_t)hex_digit(*r->p++);
        digits++;
    }
    if (digits < least || code >= CODE_END) r->refused = "a code point that is none";
    return code;
}

static uint32_t hex_escape(struct pattern_reader *r)
{
    if (pattern_take(r, "{")) {
        uint32_t code = hex_code(r, 1, 6);
        if (!pattern_take(r, "}")) r->refused = "an unfinished \\x{";
        return code;
    }
    uint32_t code = hex_code(r, 1, 2);
    if (code >= 0x80) r->refused = "a byte that is no character";
    return code;
}

static void add_named(struct pattern_reader *r, struct code_set *set, const char *name, size_t length, bool negated)
{
    struct code_set found = code_set_new(r->memory);
    if (!code_set_add_named(&found, name, length)) r->refused = "a character class that lorac does not know";
    if (negated) code_set_negate(&found);
    code_set_combine(set, &found, SET_UNION);
    code_set_free(&found);
}

/* {X} or {^X}, after \p or \P. */
static void add_property(struct pattern_reader *r, struct code_set *set, bool negated)
{
    const char *close = pattern_take(r, "{") ? memchr(r->p, '}', (size_t)(r->end - r->p)) : NULL;
    if (!close) {
        r->refused = "an unfinished \\p";
        return;
    }
    if (pattern_take(r, "^")) negated = !negated;
    add_named(r, set, r->p, (size_t)(close - r->p), negated);
    r->p = close + 1;
}

/* \s, \S ...: named "!s". In brackets the reference's \w is another class than outside: there it lacks six superscripts
 * and fractions of Latin-1. */
static void add_escaped_class(struct pattern_reader *r, struct code_set *set, char letter)
{
    char name[] = {'!', (char)(letter | 0x20)};
    bool word = name[1] == 'w' && r->in_class;
    add_named(r, set, word ? "[:word:]" : name, word ? 8 : 2, letter < 'a');
}

enum escape pattern_escape(struct pattern_reader *r, uint32_t *code, struct code_set *set)
{
    static const char names[] = "tnrfvae", values[] = "\t\n\r\f\v\a\x1B", classes[] = "sdwhSDWH";
    char c = r->p < r->end ? *r->p : 0;
    const char *known = c ? strchr(names, c) : NULL;
    bool class = c && strchr(classes, c);
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
    if (!letter && !digit) return *code = pattern_code(r), ESCAPED_CODE;

    r->p++;
    if (class) return add_escaped_class(r, set, c), ESCAPED_CLASS;
    if (c == 'p' || c == 'P') return add_property(r, set, c == 'P'), ESCAPED_CLASS;
    *code = known ? (uint8_t)values[known - names] : c == 'x' ? hex_escape(r) : c == 'u' ? hex_code(r, 4, 4) : 0;
    if (!known && c != 'x' && c != 'u') r->refused = "an escape that lorac does not know";
    return ESCAPED_CODE;
}

/* ---- bracketed classes ------------------------------------------------------------------- */

void pattern_widen(struct pattern_reader *r, struct code_set *set)
{
    struct code_set long_ones = code_set_new(r->memory);
    if (!r->caseless) return;
    code_set_add_named(&long_ones, "!long", 5);
    code_set_combine(&long_ones, set, SET_INTERSECTION);
    if (long_ones.ranges.count) r->refused = "a letter whose other case is two letters, where case does not count,";
    code_set_free(&long_ones);
    code_set_add_other_cases(set);
}

static void read_class(struct pattern_reader *r, struct code_set *set, int nesting);

/* [:name:] or [:^name:], after its first bracket and colon. */
static void add_posix(struct pattern_reader *r, struct code_set *set)
{
    bool negated = pattern_take(r, "^");
    const char *name = r->p;
    char bracketed[24];
    while (r->p < r->end && *r->p != ':') r->p++;
    size_t length = (size_t)(r->p - name);
    if (length > sizeof bracketed - 4 || !pattern_take(r, ":]")) {
        r->refused = "an unfinished [:";
        return;
    }
    memcpy(bracketed, "[:", 2);
    memcpy(bracketed + 2, name, length);
    memcpy(bracketed + 2 + length, ":]", 2);
    add_named(r, set, bracketed, length + 4, negated);
}

static bool more_than_a_dash(const struct pattern_reader *r)
{
    return r->end - r->p >= 2 && r->p[0] == '-' && r->p[1] != ']';
}

/* The end of a range whose dash comes next. */
static uint32_t range_end(struct pattern_reader *r)
{
    uint32_t last = 0;
    struct code_set none = code_set_new(r->memory);
    r->p++;
    bool class = pattern_take(r, "[") || (pattern_take(r, "\\") ? pattern_escape(r, &last, &none) == ESCAPED_CLASS
                                                                : (last = pattern_code(r), false));
    if (class) r->refused = "a range that ends in a class";
    code_set_free(&none);
    return last;
}

static void add_item(struct pattern_reader *r, struct code_set *set, int nesting)
{
    uint32_t first = 0, last;
    bool class = true;
    if (pattern_take(r, "[:"))
        add_posix(r, set);
    else if (pattern_take(r, "["))
        read_class(r, set, nesting + 1);
    else
        class =
            pattern_take(r, "\\") ? pattern_escape(r, &first, set) == ESCAPED_CLASS : (first = pattern_code(r), false);
    bool range = more_than_a_dash(r);
    if (class && range) r->refused = "a range that begins in a class";
    if (class || r->refused) return;
    last = range ? range_end(r) : first;
    if (last < first) r->refused = "a range that ends before it begins";
    if (!r->refused) code_set_add(set, first, last);
    if (range && more_than_a_dash(r)) r->p++, code_set_add(set, '-', '-'); /* as the reference takes [a-c-e] */
}

/* Adds the class to *set. "&&" cuts it into parts, of which it holds what is in all. */
static void read_class(struct pattern_reader *r, struct code_set *set, int nesting)
{
    struct code_set all = code_set_new(r->memory), part = code_set_new(r->memory);
    bool negated = pattern_take(r, "^"), closed = false;
    if (r->p < r->end && *r->p == ']') r->refused = "a class that begins with a bracket";
    if (nesting == MAX_NESTING) r->refused = "classes nested too deep";
    code_set_negate(&all);
    while (!closed && !r->refused) {
        closed = pattern_take(r, "]");
        if (closed || pattern_take(r, "&&")) {
            code_set_combine(&all, &part, SET_INTERSECTION);
            code_set_free(&part);
            part = code_set_new(r->memory);
        } else
            add_item(r, &part, nesting);
    }
    if (!nesting && !negated && !r->refused) pattern_widen(r, &all);
    if (!nesting && negated && r->caseless) code_set_add_other_cases(&all);
    if (negated) code_set_negate(&all);
    code_set_combine(set, &all, SET_UNION);
    code_set_free(&part);
    code_set_free(&all);
}

void pattern_class(struct pattern_reader *r, struct code_set *set)
{
    r->in_class = true;
    read_class(r, set, 0);
    r->in_class = false;
}

/* regex.c — compiling and matching. See regex.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include "base/reader.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "text/alphabet.h"
#include "text/regex_parse.h"

enum { MATCH_LIMIT = 100 * 1000 * 1000, HEAP_LIMIT_KIB = 256 * 1024 };

struct regex {
    struct memory *memory;
    struct alphabet alphabet;
    pcre2_code *code;
};
struct regex_match {
    pcre2_match_data *data;
    pcre2_match_context *limits;
    struct text symbols; /* of the scans that are open, one behind the other */
};

/* ---- compiling --------------------------------------------------------------------------- */

/* A set as PCRE2's class over symbols; one without any never matches. */
static void put_set(struct text *out, const struct alphabet *a, size_t set)
{
    size_t members = 0;
    for (size_t i = 0; i < a->symbols; i++) members += alphabet_in_set(a, i, set);
    text_puts(out, members ? "[" : "(?!)");
    for (size_t i = 0; i < a->symbols; i++)
        if (alphabet_in_set(a, i, set)) text_printf(out, "\\x%02X", (unsigned)i);
    if (members) text_puts(out, "]");
}

/* PCRE2 10.42 is wrong about groups that are not entered again: its compiled code tries alternatives that the group has
 * left, and what stands before one that may be empty is taken for possessive. */
static bool has_atomic_group(const struct text *pattern)
{
    static const char *const syntax[] = {"(?>", ")?+", ")*+", ")++"};
    bool found = false;
    for (size_t i = 0; i < sizeof syntax / sizeof *syntax && pattern->length; i++)
        found |= memmem(pattern->data, pattern->length, syntax[i], strlen(syntax[i])) != NULL;
    return found;
}

static lorac_status compile(struct regex *regex, const struct text *pattern, const char *file, lorac_error *err)
{
    int number;
    PCRE2_SIZE at;
    bool atomic = has_atomic_group(pattern);
    uint32_t options = PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | (atomic ? PCRE2_NO_AUTO_POSSESS : 0);
    regex->code =
        pcre2_compile((PCRE2_SPTR)(pattern->data ? pattern->data : ""), pattern->length, options, &number, &at, NULL);
    if (regex->code) {
        if (!atomic)
            pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* where there is none, the interpreter serves */
        return LORAC_OK;
    }
    PCRE2_UCHAR reason[128] = "";
    pcre2_get_error_message(number, reason, sizeof reason);
    return fail(err, LORAC_FORMAT, file, "a regular expression is wrong: %s", (char *)reason);
}

static lorac_status compile_program(struct regex *regex, const struct regex_program *program, const char *file,
                                    lorac_error *err)
{
    struct text pattern = {.memory = regex->memory};
    const uint16_t *tokens = program->tokens.items;
    TRY(alphabet_make(&regex->alphabet, regex->memory, program->sets.items, program->sets.count, err));
    for (size_t i = 0; i < program->tokens.count; i++) {
        if (tokens[i] >= SET_TOKEN)
            put_set(&pattern, &regex->alphabet, tokens[i] - SET_TOKEN);
        else
            text_add(&pattern, &(char){(char)tokens[i]}, 1);
    }
    lorac_status status =
        pattern.failed ? fail_memory(err, "a regular expression", pattern.length) : compile(regex, &pattern, file, err);
    text_free(&pattern);
    return status;
}

lorac_status regex_compile(struct memory *m, const char *pattern, size_t length, bool literal, const char *file,
                           struct regex **regex, lorac_error *err)
{
    struct regex_program program;
    *regex = mem_alloc(m, sizeof **regex);
    if (!*regex) return fail_memory(err, "a regular expression", sizeof **regex);
    (*regex)->memory = m;
    lorac_status status = regex_parse(m, pattern, length, literal, file, &program, err);
    if (status == LORAC_OK) status = compile_program(*regex, &program, file, err);
    regex_program_free(&program);
    if (status != LORAC_OK) regex_free(*regex), *regex = NULL;
    return status;
}

void regex_free(struct regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    alphabet_free(&regex->alphabet);
    mem_free(regex->memory, regex);
}

/* ---- matching ---------------------------------------------------------------------------- */

lorac_status regex_match_create(struct regex_match **match, lorac_error *err)
{
    struct regex_match m = {pcre2_match_data_create(1, NULL), pcre2_match_context_create(NULL), {0}};
    *match = m.data && m.limits ? malloc(sizeof **match) : NULL;
    if (!*match) {
        pcre2_match_data_free(m.data);
        pcre2_match_context_free(m.limits);
        return fail_memory(err, "matching", sizeof **match);
    }
    pcre2_set_match_limit(m.limits, MATCH_LIMIT);
    pcre2_set_heap_limit(m.limits, HEAP_LIMIT_KIB);
    **match = m;
    return LORAC_OK;
}

void regex_match_free(struct regex_match *match)
{
    if (!match) return;
    pcre2_match_data_free(match->data);
    pcre2_match_context_free(match->limits);
    if (match->symbols.memory) text_free(&match->symbols);
    free(match);
}

/* Room for `length` more symbols behind those that are held. */
static bool reserve(struct text *t, size_t length)
{
    size_t needed;
    if (!size_add(t->length, length + 1, &needed) || needed > SIZE_MAX / 2) return false;
    if (needed <= t->capacity) return true;
    char *data = mem_resize(t->memory, t->data, needed + needed / 2);
    if (!data) return false;
    t->data = data;
    t->capacity = needed + needed / 2;
    return true;
}

lorac_status regex_scan_begin(struct regex_scan *s, const struct regex *regex, struct regex_match *match,
                              const char *text, size_t length, lorac_error *err)
{
    struct text *t = &match->symbols;
    t->memory = regex->memory;
    *s = (struct regex_scan){regex, match, text, .symbols = t->length, .held = t->length, .after = SIZE_MAX};
    if (!reserve(t, length)) return fail_memory(err, "a text's symbols", length);
    s->count = alphabet_spell(&regex->alphabet, text, length, (uint8_t *)t->data + t->length);
    t->length += s->count;
    return LORAC_OK;
}

void regex_scan_end(struct regex_scan *s)
{
    s->match->symbols.length = s->held;
}

/* The byte where the character at place `to` begins, from the scan's own place on. */
static size_t byte_of(struct regex_scan *s, size_t to)
{
    const uint8_t *p = (const uint8_t *)s->text + s->at_byte;
    for (; s->at < to; s->at++) p += *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;
    return s->at_byte = (size_t)(p - (const uint8_t *)s->text);
}

/* The interpreter takes over where the compiled code has no stack left: its memory is bounded by the heap limit. */
static int match_from(const struct regex_scan *s, size_t at)
{
    PCRE2_SPTR symbols = (PCRE2_SPTR)s->match->symbols.data + s->symbols;
    const pcre2_code *code = s->regex->code;
    int rc = pcre2_match(code, symbols, s->count, at, 0, s->match->data, s->match->limits);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    return pcre2_match(code, symbols, s->count, at, PCRE2_NO_JIT, s->match->data, s->match->limits);
}

lorac_status regex_scan_next(struct regex_scan *s, bool *found, size_t *start, size_t *end, lorac_error *err)
{
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(s->match->data);
    for (size_t at = s->at; at <= s->count; at++) {
        int rc = match_from(s, at);
        *found = rc >= 0;
        if (rc == PCRE2_ERROR_NOMATCH) return LORAC_OK;
        if (rc < 0) return fail(err, LORAC_UNSUPPORTED, NULL, "splitting the text needs too many steps");
        if (place[0] == place[1] && place[1] == s->after) continue;
        size_t last = place[1];
        *start = byte_of(s, place[0]);
        *end = byte_of(s, last);
        s->after = last;
        return LORAC_OK;
    }
    *found = false;
    return LORAC_OK;
}

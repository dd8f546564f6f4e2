/* regex.c — Oniguruma's expressions to PCRE2's, and matching. See regex.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "text/unicode_classes.h"

enum { MATCH_LIMIT = 100 * 1000 * 1000, HEAP_LIMIT_KIB = 256 * 1024 };

struct regex {
    struct memory *memory;
    pcre2_code *code;
};
struct regex_match {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

/* ---- rewriting --------------------------------------------------------------------------- */

struct rewrite {
    const char *p, *end;
    struct text out;
    bool in_class;
    const char *refused; /* what stopped it, NULL while all is well */
};

static const char *class_body(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof unicode_classes / sizeof *unicode_classes; i++)
        if (strlen(unicode_classes[i].name) == length && !memcmp(unicode_classes[i].name, name, length))
            return unicode_classes[i].body;
    return NULL;
}

static void put_class(struct rewrite *r, const char *name, size_t length, bool negated)
{
    const char *body = class_body(name, length);
    if (!body)
        r->refused = "a character class that lorac does not know";
    else if (negated && r->in_class)
        r->refused = "a negated class inside brackets";
    else if (r->in_class)
        text_puts(&r->out, body);
    else
        text_puts(&r->out, negated ? "[^" : "["), text_puts(&r->out, body), text_puts(&r->out, "]");
}

/* \p{X}, \pX, \P{X}: r->p is after the letter. */
static void rewrite_property(struct rewrite *r, bool negated)
{
    const char *name = r->p, *close = name + 1, *after = close;
    if (name < r->end && *name == '{') {
        name++;
        close = memchr(name, '}', (size_t)(r->end - name));
        after = close ? close + 1 : NULL;
        if (close && *name == '^') name++, negated = !negated;
    }
    if (r->p == r->end || !close) {
        r->refused = "an unfinished \\p";
        return;
    }
    put_class(r, name, (size_t)(close - name), negated);
    r->p = after;
}

/* r->p is after the backslash. */
static void rewrite_escape(struct rewrite *r)
{
    if (r->p == r->end) {
        r->refused = "a backslash at the end";
        return;
    }
    char c = *r->p++;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
    if (c == 's' || c == 'd')
        put_class(r, &c, 1, false);
    else if (c == 'S' || c == 'D')
        put_class(r, c == 'S' ? "s" : "d", 1, true);
    else if (c == 'p' || c == 'P')
        rewrite_property(r, c == 'P');
    else if (c == 'u' && r->end - r->p >= 4) {
        text_puts(&r->out, "\\x{"), text_add(&r->out, r->p, 4), text_puts(&r->out, "}");
        r->p += 4;
    } else if ((letter && !strchr("rntfx", c)) || digit)
        r->refused = "an escape that lorac does not know";
    else
        text_add(&r->out, (char[2]){'\\', c}, 2);
}

static void rewrite_in_class(struct rewrite *r)
{
    char c = *r->p++;
    if (c == '\\')
        rewrite_escape(r);
    else if (c == '[')
        r->refused = "brackets inside brackets";
    else if (c == '&' && r->p < r->end && *r->p == '&')
        r->refused = "an intersection of classes";
    else {
        if (c == ']') r->in_class = false;
        text_add(&r->out, &c, 1);
    }
}

/* Groups that both engines read alike. */
static bool is_known_group(const char *p, size_t left)
{
    static const char *const known[] = {"?:", "?=", "?!", "?>", "?<=", "?<!", "?i:"};
    if (!left || *p != '?') return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (left >= strlen(known[i]) && !memcmp(p, known[i], strlen(known[i]))) return true;
    return false;
}

static void rewrite_outside(struct rewrite *r)
{
    char c = *r->p++;
    size_t left = (size_t)(r->end - r->p);
    if (c == '\\') return rewrite_escape(r);
    if (c == '^' || c == '$') r->refused = "an anchor";
    if (c == '(' && !is_known_group(r->p, left)) r->refused = "a group that lorac does not know";
    if (c == '(' && left && *r->p == '*') r->refused = "a verb";
    if (c == '}' && left && *r->p == '+') r->refused = "a repeated repetition";
    text_add(&r->out, &c, 1);
    if (c == '[') {
        r->in_class = true;
        if (r->p < r->end && *r->p == '^') text_add(&r->out, r->p++, 1);
        if (r->p < r->end && *r->p == ']') r->refused = "a class that begins with a bracket";
    }
}

static lorac_status rewrite(struct rewrite *r, const char *file, lorac_error *err)
{
    const char *begin = r->p;
    while (r->p < r->end && !r->refused) (r->in_class ? rewrite_in_class : rewrite_outside)(r);
    if (!r->refused) return r->out.failed ? fail_memory(err, "a regular expression", r->out.length) : LORAC_OK;
    size_t length = (size_t)(r->end - begin);
    return fail(err, LORAC_UNSUPPORTED, file, "the regular expression \"%.*s\" has %s at byte %zu",
                length < 300 ? (int)length : 300, begin, r->refused, (size_t)(r->p - begin));
}

static void quote(struct rewrite *r)
{
    for (; r->p < r->end; r->p++) {
        bool special = strchr("\\^$.[|()?*+{}#-]", *r->p) && *r->p;
        if (special) text_puts(&r->out, "\\");
        text_add(&r->out, r->p, 1);
    }
}

/* ---- compiling --------------------------------------------------------------------------- */

static lorac_status compile(struct regex *regex, const struct text *pattern, const char *file, lorac_error *err)
{
    int number;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return fail_memory(err, "a regular expression", pattern->length);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    regex->code = pcre2_compile((PCRE2_SPTR)(pattern->data ? pattern->data : ""), pattern->length,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &number, &at, context);
    pcre2_compile_context_free(context);
    if (regex->code) {
        pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* where there is none, the interpreter serves */
        return LORAC_OK;
    }
    PCRE2_UCHAR reason[128] = "";
    pcre2_get_error_message(number, reason, sizeof reason);
    return fail(err, LORAC_FORMAT, file, "a regular expression is wrong: %s (in \"%.200s\")", (char *)reason,
                pattern->data);
}

lorac_status regex_compile(struct memory *m, const char *pattern, size_t length, bool literal, const char *file,
                           struct regex **regex, lorac_error *err)
{
    *regex = mem_alloc(m, sizeof **regex);
    if (!*regex) return fail_memory(err, "a regular expression", sizeof **regex);
    (*regex)->memory = m;
    struct rewrite r = {.p = pattern, .end = pattern + length, .out = {.memory = m}};
    if (literal) quote(&r);
    lorac_status status = rewrite(&r, file, err);
    if (status == LORAC_OK) status = compile(*regex, &r.out, file, err);
    text_free(&r.out);
    if (status != LORAC_OK) regex_free(*regex), *regex = NULL;
    return status;
}

void regex_free(struct regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    mem_free(regex->memory, regex);
}

/* ---- matching ---------------------------------------------------------------------------- */

lorac_status regex_match_create(struct regex_match **match, lorac_error *err)
{
    struct regex_match m = {pcre2_match_data_create(1, NULL), pcre2_match_context_create(NULL)};
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
    free(match);
}

lorac_status regex_find(const struct regex *regex, struct regex_match *match, const char *text, size_t length,
                        size_t at, bool *found, size_t *start, size_t *end, lorac_error *err)
{
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK, match->data, match->limits);
    *found = rc >= 0;
    if (rc == PCRE2_ERROR_NOMATCH) return LORAC_OK;
    if (rc < 0) return fail(err, LORAC_UNSUPPORTED, NULL, "splitting the text at byte %zu needs too many steps", at);
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(match->data);
    *start = place[0];
    *end = place[1];
    return LORAC_OK;
}

/* regex_parse.c — expressions taken apart. See regex_parse.h. */
#include "text/regex_parse.h"

#include <string.h>
#include "text/regex_class.h"

enum { MAX_DEPTH = 64, MAX_PATTERN = 1 << 15 };

struct options {
    bool caseless, dot_all;
};

struct parse {
    struct pattern_reader at;
    struct regex_program *out;
    struct options options, outer[MAX_DEPTH]; /* outer: of the groups around */
    size_t depth, opened[MAX_DEPTH];          /* opened: where in the tokens those groups begin */
    size_t group_begin;                       /* tokens when the innermost group began */
    size_t closed, closed_end;                /* where the last group that was closed begins and ends */
    uint32_t caseless_code;                   /* the literal just before, where case does not count; else 0 */
    bool failed;
};

/* ---- writing ----------------------------------------------------------------------------- */

static void put(struct parse *s, uint16_t token)
{
    uint16_t *item = list_add(&s->out->tokens);
    if (item)
        *item = token;
    else
        s->failed = true;
}

static size_t known_set(struct parse *s, const struct code_set *set)
{
    const struct code_set *sets = s->out->sets.items;
    size_t i = 0;
    while (i < s->out->sets.count && !code_set_equal(&sets[i], set)) i++;
    return i;
}

/* Takes the set over. */
static void put_set(struct parse *s, struct code_set set)
{
    size_t index = known_set(s, &set);
    struct code_set *kept = NULL;
    if (index == MAX_CODE_SETS) s->at.refused = "too many different characters and classes";
    if (index == s->out->sets.count && !s->at.refused) kept = list_add(&s->out->sets);
    if (kept)
        *kept = set;
    else
        s->failed |= index == s->out->sets.count && !s->at.refused, code_set_free(&set);
    s->failed |= set.failed;
    put(s, (uint16_t)(SET_TOKEN + index));
}

static void put_code(struct parse *s, uint32_t code)
{
    struct code_set set = code_set_new(s->at.memory);
    code_set_add(&set, code, code);
    pattern_widen(&s->at, &set);
    put_set(s, set);
}

static void put_named(struct parse *s, const char *name)
{
    struct code_set set = code_set_new(s->at.memory);
    code_set_add_named(&set, name, strlen(name));
    put_set(s, set);
}

/* PCRE2's syntax, in which N stands for a line feed and W for a word's character. */
static void put_syntax(struct parse *s, const char *syntax)
{
    bool caseless = s->at.caseless;
    s->at.caseless = false;
    for (; *syntax; syntax++) {
        if (*syntax == 'N')
            put_code(s, '\n');
        else if (*syntax == 'W')
            put_named(s, "!w");
        else
            put(s, (uint8_t)*syntax);
    }
    s->at.caseless = caseless;
}

/* ---- single parts ------------------------------------------------------------------------ */

/* Two letters may match one, such as "ss" the letter U+00DF. */
static void read_literal(struct parse *s, uint32_t code)
{
    static const char *const joined[] = {"ss", "ff", "fi", "fl", "st"};
    uint32_t before = s->caseless_code;
    for (size_t i = 0; i < sizeof joined / sizeof *joined && s->at.caseless; i++)
        if ((before | 0x20) == (uint8_t)joined[i][0] && (code | 0x20) == (uint8_t)joined[i][1])
            s->at.refused = "two letters that can match one, where case does not count,";
    put_code(s, code);
    s->caseless_code = s->at.caseless ? code : 0;
}

static const struct {
    char letter;
    const char *syntax;
} anchors[] = {
    {'A', "\\A"},
    {'z', "\\z"},
    {'Z', "(?=N?\\z)"},
    {'b', "(?:(?<=W)(?!W)|(?<!W)(?=W))"},
    {'B', "(?:(?<=W)(?=W)|(?<!W)(?!W))"},
    {'^', "(?:\\A|(?<=N)(?!\\z))"},
    {'$', "(?:\\z|(?=N))"},
};

static bool read_anchor(struct parse *s, char letter)
{
    for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++)
        if (anchors[i].letter == letter) return put_syntax(s, anchors[i].syntax), true;
    return false;
}

static void read_escape(struct parse *s)
{
    char c = s->at.p < s->at.end ? *s->at.p : 0;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    uint32_t code;
    struct code_set set = code_set_new(s->at.memory);
    if (letter && read_anchor(s, c)) {
        s->at.p++;
        return;
    }
    if (pattern_escape(&s->at, &code, &set) == ESCAPED_CLASS)
        put_set(s, set);
    else
        read_literal(s, code);
}

static void read_class(struct parse *s)
{
    struct code_set set = code_set_new(s->at.memory);
    pattern_class(&s->at, &set);
    put_set(s, set);
}

static void read_dot(struct parse *s)
{
    struct code_set set = code_set_new(s->at.memory);
    if (!s->options.dot_all) code_set_add(&set, '\n', '\n');
    code_set_negate(&set);
    put_set(s, set);
}

/* ---- repetitions ------------------------------------------------------------------------- */

/* Brackets around what is repeated and its interval, which begins at token `interval`: "a{2}+" is "(?:a{2})+", and
 * "a{2}?" is "(?:a{2})?"; to PCRE2 they would be possessive and lazy. */
static void bracket_repetition(struct parse *s, size_t interval)
{
    static const uint16_t open[] = {'(', '?', ':'};
    enum { OPEN = sizeof open / sizeof *open };
    uint16_t *tokens = s->out->tokens.items;
    bool set = interval && tokens[interval - 1] >= SET_TOKEN, group = interval && interval == s->closed_end;
    size_t from = group ? s->closed : interval - 1;
    if (!group && !set) s->at.refused = "a repeated repetition";
    for (size_t i = 0; i < OPEN; i++) put(s, ')');
    if (s->failed || s->at.refused) return;
    tokens = s->out->tokens.items;
    memmove(tokens + from + OPEN, tokens + from, (s->out->tokens.count - OPEN - from) * sizeof *tokens);
    memcpy(tokens + from, open, sizeof open);
    put(s, ')');
    s->closed = from;
    s->closed_end = s->out->tokens.count;
}

/* {n}, {n,}, {n,m}, {,m}; anything else is a literal brace. */
static bool read_interval(struct parse *s)
{
    const char *p = s->at.p, *digits = "0123456789";
    size_t left = (size_t)(s->at.end - p), low = 0, high = 0;
    while (low < left && strchr(digits, p[low]) && p[low]) low++;
    bool comma = low < left && p[low] == ',';
    while (comma && low + 1 + high < left && strchr(digits, p[low + 1 + high]) && p[low + 1 + high]) high++;
    size_t length = low + comma + high;
    if ((!low && !high) || length >= left || p[length] != '}') return false;

    size_t interval = s->out->tokens.count;
    put(s, '{');
    if (!low) put(s, '0');
    for (size_t i = 0; i <= length; i++) put(s, (uint8_t)p[i]);
    s->at.p += length + 1;
    if (s->at.p < s->at.end && (*s->at.p == '+' || (*s->at.p == '?' && !comma))) bracket_repetition(s, interval);
    return true;
}

/* ---- groups ------------------------------------------------------------------------------ */

static void begin_group(struct parse *s, const char *syntax, struct options options)
{
    size_t opened = s->out->tokens.count;
    put_syntax(s, syntax);
    if (s->depth == MAX_DEPTH) {
        s->at.refused = "groups nested too deep";
        return;
    }
    s->opened[s->depth] = opened;
    s->outer[s->depth++] = s->options;
    s->options = options;
    s->at.caseless = options.caseless;
    s->group_begin = s->out->tokens.count;
}

static void end_group(struct parse *s)
{
    put(s, ')');
    if (!s->depth) return; /* PCRE2 says so */
    s->options = s->outer[--s->depth];
    s->closed = s->opened[s->depth];
    s->closed_end = s->out->tokens.count;
    s->at.caseless = s->options.caseless;
}

/* (?i-m:..) or (?i), after the question mark. The latter reaches to the end of the group around, over its
 * alternatives, so that both engines agree only where it comes first. */
static bool read_options(struct parse *s)
{
    struct options options = s->options;
    bool value = true;
    for (char c; s->at.p < s->at.end; s->at.p++) {
        c = *s->at.p;
        if (c == '-')
            value = false;
        else if (c == 'i')
            options.caseless = value;
        else if (c == 'm')
            options.dot_all = value;
        else
            break;
    }
    if (pattern_take(&s->at, ":")) return begin_group(s, "(?:", options), true;
    if (!pattern_take(&s->at, ")")) return false;
    if (s->out->tokens.count != s->group_begin) s->at.refused = "options that begin in the middle";
    s->options = options;
    s->at.caseless = options.caseless;
    return true;
}

static void read_group(struct parse *s)
{
    static const char *const alike[] = {"?:", "?=", "?!", "?>", "?<=", "?<!"};
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        char syntax[8] = "(";
        if (!pattern_take(&s->at, alike[i])) continue;
        begin_group(s, strcat(syntax, alike[i]), s->options);
        return;
    }
    if (s->at.p < s->at.end && *s->at.p == '*')
        s->at.refused = "a verb";
    else if (!pattern_take(&s->at, "?"))
        begin_group(s, "(?:", s->options);
    else if (!read_options(s))
        s->at.refused = "a group that lorac does not know";
}

/* ---- the whole --------------------------------------------------------------------------- */

static void read_part(struct parse *s)
{
    char c = *s->at.p;
    uint32_t before = s->caseless_code;
    s->caseless_code = 0;
    if (strchr("\\[.(){*+?|^$", c)) s->at.p++;
    if (c == '\\')
        s->caseless_code = before, read_escape(s);
    else if (c == '[')
        read_class(s);
    else if (c == '.')
        read_dot(s);
    else if (c == '(')
        read_group(s);
    else if (c == ')')
        end_group(s);
    else if (c == '{')
        read_interval(s) ? (void)0 : read_literal(s, '{');
    else if (strchr("*+?|", c))
        put(s, (uint8_t)c);
    else if (!read_anchor(s, c == '^' || c == '$' ? c : 0))
        s->caseless_code = before, read_literal(s, pattern_code(&s->at));
}

void regex_program_free(struct regex_program *p)
{
    struct code_set *sets = p->sets.items;
    for (size_t i = 0; i < p->sets.count; i++) code_set_free(&sets[i]);
    list_free(&p->sets);
    list_free(&p->tokens);
}

lorac_status regex_parse(struct memory *m, const char *pattern, size_t length, bool literal, const char *file,
                         struct regex_program *program, lorac_error *err)
{
    struct parse s = {.at = {.p = pattern, .end = pattern + length, .memory = m}, .out = program};
    program->tokens = (struct list){.memory = m, .size = sizeof(uint16_t)};
    program->sets = (struct list){.memory = m, .size = sizeof(struct code_set)};
    if (length > MAX_PATTERN) s.at.refused = "more than 32768 bytes";
    while (s.at.p < s.at.end && !s.at.refused && !s.failed)
        literal ? read_literal(&s, pattern_code(&s.at)) : read_part(&s);
    if (!s.failed && !s.at.refused && regex_repeats_nothing(program))
        s.at.refused = "an interval of repetitions of what may match nothing";
    if (s.failed) return fail_memory(err, "a regular expression", length);
    if (!s.at.refused) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, file, "the regular expression \"%.*s\" has %s at byte %zu",
                length < 300 ? (int)length : 300, pattern, s.at.refused, (size_t)(s.at.p - pattern));
}

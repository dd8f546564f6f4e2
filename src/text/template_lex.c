/* template_lex.c — template source to tokens.
 *
 * Owns: tags, whitespace control ({%- -%} {%+, trim_blocks and lstrip_blocks on), comments, raw blocks, literals.
 * Refuses: identifiers outside ASCII, integers over 64 bits, \N{...} and lone surrogates in strings. */
#include "text/template_impl.h"

#include <string.h>

struct lexer {
    struct parser *p;
    struct str s;
    size_t at;
    bool line_starts; /* the last end tag took the newline after it */
    int nesting;
    char closers[PARSE_DEPTH];
};

static bool lex_fail(struct lexer *x, const char *message)
{
    return host_fail(&x->p->host, LORAC_FORMAT, "%s", message);
}

static bool looking_at(const struct lexer *x, size_t at, const char *word)
{
    size_t n = strlen(word);
    return at <= x->s.length && x->s.length - at >= n && !memcmp(x->s.at + at, word, n);
}

static void move_to(struct lexer *x, size_t at)
{
    for (; x->at < at; x->at++) x->p->host.line += x->s.at[x->at] == '\n';
}

static size_t after_space(const struct lexer *x, size_t at)
{
    for (size_t next = at; next < x->s.length && is_space(str_next(x->s, &next));) at = next;
    return at;
}

static struct token *add_token(struct lexer *x, enum token_kind kind, struct str text)
{
    struct token *t = list_add(&x->p->tokens);
    if (!t) return host_fail(&x->p->host, LORAC_OUT_OF_MEMORY, "no memory for its tokens"), NULL;
    *t = (struct token){.kind = kind, .line = x->p->host.line, .text = text};
    return t;
}

/* ---- text between tags ------------------------------------------------------------------- */

/* The text before a tag: '-' takes all space at its end, otherwise space since the line's start goes,
 * unless the tag prints or has '+'. */
static bool add_data(struct lexer *x, struct str text, char sign, bool prints)
{
    if (sign == '-') {
        text = str_strip(text, NULL, false, true);
    } else if (sign != '+' && !prints) {
        size_t start = text.length;
        while (start && text.at[start - 1] != '\n') start--;
        struct str tail = str_slice(text, start, text.length);
        if ((start || x->line_starts) && !str_strip(tail, NULL, true, true).length) text.length = start;
    }
    return !text.length || add_token(x, T_DATA, text);
}

/* The end of a tag at `at`: "-%}" with the space after it, "+%}", or "%}" with one newline. 0: not there. */
static size_t tag_end(const struct lexer *x, size_t at, const char *close, bool trims)
{
    if (looking_at(x, at, "-") && looking_at(x, at + 1, close)) return after_space(x, at + 3);
    if (trims && looking_at(x, at, "+") && looking_at(x, at + 1, close)) return at + 3;
    if (!looking_at(x, at, close)) return 0;
    return at + 2 + (trims && looking_at(x, at + 2, "\n"));
}

static void end_tag(struct lexer *x, size_t at)
{
    move_to(x, at);
    x->line_starts = x->s.at[at - 1] == '\n';
}

static char sign_at(const struct lexer *x, size_t at)
{
    char c = at < x->s.length ? x->s.at[at] : 0;
    return c == '-' || c == '+' ? c : 0;
}

static bool skip_comment(struct lexer *x)
{
    size_t begin = x->at + 2 + !!sign_at(x, x->at + 2);
    if (begin == x->s.length) return move_to(x, begin), true; /* the reference misses nothing then */
    for (size_t at = begin; at < x->s.length; at++) {
        size_t end = tag_end(x, at, "#}", true);
        if (end) return end_tag(x, end), true;
    }
    return lex_fail(x, "this comment has no end: '#}' is missing");
}

/* "{% WORD %}" at `at`: where the tag's name ends, or 0. */
static size_t word_tag(const struct lexer *x, size_t at, const char *word)
{
    if (!looking_at(x, at, "{%")) return 0;
    at = after_space(x, at + 2 + !!sign_at(x, at + 2));
    return looking_at(x, at, word) ? after_space(x, at + strlen(word)) : 0;
}

/* The end of "{% raw %}" at `at`, or 0. */
static size_t raw_begin(const struct lexer *x, size_t at)
{
    size_t end = word_tag(x, at, "raw");
    return end && !looking_at(x, end, "+") ? tag_end(x, end, "%}", false) : 0;
}

static bool lex_raw(struct lexer *x, size_t begin)
{
    end_tag(x, begin);
    for (size_t at = begin; at < x->s.length; at++) {
        size_t name = word_tag(x, at, "endraw"), end = name ? tag_end(x, name, "%}", true) : 0;
        if (!end) continue;
        if (!add_data(x, str_slice(x->s, begin, at), sign_at(x, at + 2), false)) return false;
        return end_tag(x, end), true;
    }
    return lex_fail(x, "this raw block has no end: '{% endraw %}' is missing");
}

/* ---- literals ---------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'z') return c - 'a' + 10;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

/* The end of digits with single underscores between them; `at` itself if there are none. */
static size_t after_digits(const struct lexer *x, size_t at, int base)
{
    size_t end = at;
    while (at < x->s.length) {
        size_t digit = at + (x->s.at[at] == '_');
        if (digit >= x->s.length || digit_of(x->s.at[digit]) >= base) break;
        at = end = digit + 1;
    }
    return end;
}

static size_t after_fraction(const struct lexer *x, size_t at)
{
    if (!looking_at(x, at, ".")) return at;
    size_t end = at + 1 < x->s.length && x->s.at[at + 1] != '_' ? after_digits(x, at + 1, 10) : at + 1;
    return end > at + 1 ? end : at;
}

static size_t after_exponent(const struct lexer *x, size_t at)
{
    if (!looking_at(x, at, "e") && !looking_at(x, at, "E")) return at;
    size_t first = at + 1 + !!sign_at(x, at + 1);
    size_t end = first < x->s.length && x->s.at[first] != '_' ? after_digits(x, first, 10) : first;
    return end > first ? end : at;
}

static bool lex_number(struct lexer *x)
{
    size_t begin = x->at, whole = after_digits(x, begin, 10);
    bool after_dot = begin && x->s.at[begin - 1] == '.';
    size_t end = after_dot ? whole : after_exponent(x, after_fraction(x, whole));
    struct str text = str_slice(x->s, begin, end);
    struct token *t = add_token(x, end > whole ? T_FLOAT : T_INT, text);
    if (!t) return false;
    if (end > whole) {
        if (!parse_float(x->p->host.arena.memory, text, &t->real)) return lex_fail(x, "this number cannot be read");
    } else {
        int base = 10;
        char kind = begin + 1 < x->s.length && x->s.at[begin] == '0' ? x->s.at[begin + 1] | 32 : 0;
        if (kind == 'x' || kind == 'o' || kind == 'b') base = kind == 'x' ? 16 : kind == 'o' ? 8 : 2;
        if (base != 10) end = after_digits(x, begin + 2, base);
        t->text = str_slice(x->s, begin, end);
        struct str digits = base == 10 ? t->text : str_slice(x->s, begin + 2, end);
        bool leading_zero = base == 10 && digits.at[0] == '0' && str_strip(digits, &STR("0_"), true, false).length;
        if (leading_zero || !parse_int(digits, base, &t->integer))
            return host_fail(&x->p->host, LORAC_UNSUPPORTED, "the integer %.*s is not one of 64 bits",
                             STR_ARG(t->text));
    }
    return move_to(x, end), true;
}

static bool add_code(struct lexer *x, char **to, uint32_t code)
{
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return lex_fail(x, "a string holds an escape that is no character");
    *to += utf8_encode(code, *to);
    return true;
}

/* \xhh \uhhhh \Uhhhhhhhh: `digits` digits at *at. */
static bool hex_escape(struct lexer *x, struct str s, size_t *at, size_t digits, char **to)
{
    uint32_t code = 0;
    if (s.length - *at < digits) return lex_fail(x, "a string holds an escape that is cut short");
    for (size_t i = 0; i < digits; i++) {
        int digit = digit_of(s.at[*at + i]);
        if (digit > 15) return lex_fail(x, "a string holds an escape with a wrong digit");
        code = code << 4 | (uint32_t)digit;
    }
    *at += digits;
    return add_code(x, to, code);
}

/* One escape of a string, after its backslash. An unknown one stays as written. */
static bool unescape(struct lexer *x, struct str s, size_t *at, char **to)
{
    static const char plain[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    char c = s.at[(*at)++];
    if (c == '\n') return true;
    for (const char *e = plain; *e; e += 2)
        if (*e == c) return *(*to)++ = e[1], true;
    if (c == 'x') return hex_escape(x, s, at, 2, to);
    if (c == 'u') return hex_escape(x, s, at, 4, to);
    if (c == 'U') return hex_escape(x, s, at, 8, to);
    if (c == 'N') return lex_fail(x, "a string holds \\N{...}, which lorac does not know");
    if (c >= '0' && c <= '7') {
        uint32_t code = (uint32_t)(c - '0');
        for (int i = 0; i < 2 && *at < s.length && s.at[*at] >= '0' && s.at[*at] <= '7'; i++)
            code = code * 8 + (uint32_t)(s.at[(*at)++] - '0');
        return add_code(x, to, code);
    }
    *(*to)++ = '\\';
    *(*to)++ = c;
    return true;
}

static bool lex_string(struct lexer *x)
{
    char quote = x->s.at[x->at];
    size_t end = x->at + 1;
    while (end < x->s.length && x->s.at[end] != quote) end += x->s.at[end] == '\\' ? 2 : 1;
    if (end >= x->s.length) return lex_fail(x, "this string has no end");
    struct str body = str_slice(x->s, x->at + 1, end);
    char *text = host_take(&x->p->host, body.length + 1), *to = text; /* no escape makes a string longer */
    if (!text) return false;
    for (size_t i = 0; i < body.length;) {
        char c = body.at[i++];
        if (c != '\\')
            *to++ = c;
        else if (!unescape(x, body, &i, &to))
            return false;
    }
    if (!add_token(x, T_STRING, (struct str){text, (size_t)(to - text)})) return false;
    return move_to(x, end + 1), true;
}

/* ---- tags -------------------------------------------------------------------------------- */

static const struct {
    char text[3];
    enum operator op;
} operators[] = {
    {"**", OP_POW},   {"//", OP_FLOORDIV}, {"==", OP_EQ},    {"!=", OP_NE},    {">=", OP_GE},      {"<=", OP_LE},
    {"+", OP_ADD},    {"-", OP_SUB},       {"*", OP_MUL},    {"/", OP_DIV},    {"%", OP_MOD},      {"~", OP_TILDE},
    {"<", OP_LT},     {">", OP_GT},        {"=", OP_ASSIGN}, {".", OP_DOT},    {":", OP_COLON},    {"|", OP_PIPE},
    {",", OP_COMMA},  {";", OP_SEMICOLON}, {"(", OP_LPAREN}, {")", OP_RPAREN}, {"[", OP_LBRACKET}, {"]", OP_RBRACKET},
    {"{", OP_LBRACE}, {"}", OP_RBRACE},
};

static bool balance(struct lexer *x, char c)
{
    if (c == '(' || c == '[' || c == '{') {
        if (x->nesting == PARSE_DEPTH) return lex_fail(x, "brackets are nested too deep");
        x->closers[x->nesting++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
        if (!x->nesting || x->closers[--x->nesting] != c)
            return host_fail(&x->p->host, LORAC_FORMAT, "unexpected '%c'", c);
    }
    return true;
}

static bool lex_operator(struct lexer *x)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!looking_at(x, x->at, operators[i].text)) continue;
        size_t n = strlen(operators[i].text);
        struct token *t = add_token(x, T_OPERATOR, str_slice(x->s, x->at, x->at + n));
        if (!t || !balance(x, x->s.at[x->at])) return false;
        t->op = operators[i].op;
        return move_to(x, x->at + n), true;
    }
    size_t next = x->at;
    uint32_t code = str_next(x->s, &next);
    return host_fail(&x->p->host, LORAC_FORMAT, "unexpected character U+%04X in a tag", (unsigned)code);
}

static bool is_word(char c)
{
    return c == '_' || (digit_of(c) < 36);
}

static bool lex_token(struct lexer *x)
{
    char c = x->s.at[x->at];
    if (c >= '0' && c <= '9') return lex_number(x);
    if (c == '\'' || c == '"') return lex_string(x);
    if (!is_word(c)) return lex_operator(x);
    size_t end = x->at;
    while (end < x->s.length && is_word(x->s.at[end])) end++;
    if (!add_token(x, T_NAME, str_slice(x->s, x->at, end))) return false;
    return move_to(x, end), true;
}

/* The inside of {% %} or {{ }}, from its first sign to its end. */
static bool lex_tag(struct lexer *x, bool prints)
{
    struct str open = str_slice(x->s, x->at, x->at + 2);
    if (!add_token(x, prints ? T_PRINT_BEGIN : T_BLOCK_BEGIN, open)) return false;
    move_to(x, x->at + 2 + !!sign_at(x, x->at + 2));
    for (;;) {
        move_to(x, after_space(x, x->at));
        if (x->at >= x->s.length) return lex_fail(x, "the template ends inside a tag");
        size_t end = x->nesting ? 0 : tag_end(x, x->at, prints ? "}}" : "%}", !prints);
        if (end) {
            if (!add_token(x, prints ? T_PRINT_END : T_BLOCK_END, str_slice(x->s, x->at, x->at + 2))) return false;
            return end_tag(x, end), true;
        }
        if (!lex_token(x)) return false;
    }
}

static bool lex_piece(struct lexer *x)
{
    size_t tag = x->at;
    while (tag < x->s.length && !looking_at(x, tag, "{{") && !looking_at(x, tag, "{%") && !looking_at(x, tag, "{#"))
        tag++;
    struct str text = str_slice(x->s, x->at, tag);
    if (tag == x->s.length) {
        if (text.length && !add_token(x, T_DATA, text)) return false;
        return move_to(x, tag), true;
    }
    char kind = x->s.at[tag + 1];
    if (!add_data(x, text, sign_at(x, tag + 2), kind == '{')) return false;
    move_to(x, tag);
    size_t raw = raw_begin(x, tag);
    if (raw) return lex_raw(x, raw);
    return kind == '#' ? skip_comment(x) : lex_tag(x, kind == '{');
}

/* Newlines of every kind become \n; one at the very end goes. */
static bool normalise(struct parser *p, struct str source, struct str *result)
{
    char *copy = host_take(&p->host, source.length + 1);
    size_t n = 0;
    if (!copy) return false;
    for (size_t i = 0; i < source.length; i++) {
        if (source.at[i] == '\n' && i && source.at[i - 1] == '\r') continue;
        copy[n++] = source.at[i] == '\r' ? '\n' : source.at[i];
    }
    if (n && copy[n - 1] == '\n') n--;
    *result = (struct str){copy, n};
    for (size_t i = 0, step; i < n; i += step)
        if (!(step = utf8_length((const uint8_t *)copy + i, n - i)))
            return host_fail(&p->host, LORAC_FORMAT, "byte %zu is not UTF-8", i);
    return true;
}

bool template_lex(struct parser *p, struct str source)
{
    struct lexer x = {.p = p, .line_starts = true};
    p->host.line = 1;
    if (!normalise(p, source, &x.s)) return false;
    while (x.at < x.s.length)
        if (!lex_piece(&x)) return false;
    return add_token(&x, T_END, STR("the end of the template"));
}

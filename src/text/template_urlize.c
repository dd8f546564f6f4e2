/* template_urlize.c — |urlize: addresses in a text become links, which addresses they are as Jinja decides it. */
#include "text/template_impl.h"

#include <string.h>

struct links {
    struct render *r;
    struct text *out;
    struct str attributes; /* rel and target, each with a space in front */
    struct value limit;    /* characters of an address that are shown */
    struct items *schemes;
};

/* ---- characters -------------------------------------------------------------------------- */

/* The small ASCII letter that a character is where case does not matter; others stay. */
static uint32_t fold(uint32_t c)
{
    if (c >= 'A' && c <= 'Z') return c | 32;
    return c == 0x130 || c == 0x131 ? 'i' : c == 0x17F ? 's' : c == 0x212A ? 'k' : c;
}
static bool is_host(uint32_t c)
{
    return is_word_character(c) || c == '%' || c == '-' || c == '.';
}
static bool is_letter(uint32_t c)
{
    return fold(c) >= 'a' && fold(c) <= 'z';
}
static bool is_hex(uint32_t c)
{
    return is_decimal(c) || (fold(c) >= 'a' && fold(c) <= 'f');
}
static bool is_encoded(uint32_t c)
{
    return is_word_character(c) || c == '%';
}
static bool is_mail_host(uint32_t c)
{
    return is_word_character(c) || c == '.' || c == '-';
}
static bool is_scheme(uint32_t c)
{
    return is_mail_host(c) || c == '+';
}

/* Passes over at most `most` characters of a kind; how many. */
static size_t pass(struct str s, size_t *at, bool (*kind)(uint32_t), size_t most)
{
    size_t count = 0;
    for (size_t next = *at; count < most && *at < s.length && kind(str_next(s, &next)); *at = next) count++;
    return count;
}
static bool pass_text(struct str s, size_t *at, const char *text)
{
    size_t next = *at;
    for (; *text; text++)
        if (next >= s.length || fold(str_next(s, &next)) != (uint32_t)*text) return false;
    return *at = next, true;
}

static bool starts(struct str s, const char *text)
{
    return s.length >= strlen(text) && !memcmp(s.at, text, strlen(text));
}
static bool ends(struct str s, const char *text)
{
    return s.length >= strlen(text) && !memcmp(s.at + s.length - strlen(text), text, strlen(text));
}

/* ---- addresses --------------------------------------------------------------------------- */

/* At the end of a host: a port, a path, or nothing. */
static bool is_rest(struct str s, size_t at)
{
    if (at < s.length && s.at[at] == ':' && (at++, !pass(s, &at, is_decimal, 5))) return false;
    return at == s.length || s.at[at] == '/' || s.at[at] == '?' || s.at[at] == '#';
}

/* The number of labels that end in a dot, each of `least` to `most` characters; -1: one is not. */
static int64_t count_labels(struct str host, size_t least, size_t most, size_t *last)
{
    int64_t count = 0;
    size_t characters = 0;
    *last = 0;
    for (size_t at = 0; at < host.length;) {
        bool dot = str_next(host, &at) == '.';
        if (dot && (characters < least || characters > most)) return -1;
        count += dot;
        characters = dot ? 0 : characters + 1;
        if (dot) *last = at;
    }
    return count;
}

static bool is_top_level(struct str s)
{
    size_t at = 0, encoded = 0, count = pass(s, &at, is_letter, SIZE_MAX);
    if (at == s.length && count >= 2 && count <= 63) return true;
    if (!pass_text(s, &encoded, "xn--")) return false;
    count = pass(s, &encoded, is_encoded, SIZE_MAX);
    return encoded == s.length && count >= 2 && count <= 59;
}

static bool is_known_top_level(struct str s)
{
    static const char *const known[] = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t at = 0;
        if (pass_text(s, &at, known[i]) && at == s.length) return true;
    }
    return false;
}

/* A host by name; without a scheme in front it needs two labels and a domain that many know. */
static bool is_named(struct str s, size_t at, bool scheme)
{
    size_t from = at, last;
    pass(s, &at, is_host, SIZE_MAX);
    struct str host = str_slice(s, from, at);
    int64_t labels = count_labels(host, scheme ? 1 : 2, scheme ? SIZE_MAX : 63, &last);
    struct str top = str_slice(host, last, host.length);
    return is_rest(s, at) && (scheme ? labels >= 0 && is_top_level(top) : labels >= 1 && is_known_top_level(top));
}

/* 127.0.0.1 */
static bool is_four_numbers(struct str s, size_t at)
{
    for (int i = 0; i < 4; i++) {
        if (i && !pass_text(s, &at, ".")) return false;
        if (!pass(s, &at, is_decimal, 3)) return false;
    }
    return is_rest(s, at);
}

/* [::1]: two groups that end in a colon, then at most six more. */
static bool is_six_groups(struct str s, size_t at)
{
    int groups = 0;
    if (!pass_text(s, &at, "[")) return false;
    for (; at < s.length && s.at[at] != ']'; groups++) {
        bool digits = pass(s, &at, is_hex, 4), colon = pass_text(s, &at, ":");
        if (groups < 2 ? !colon : !digits && !colon) return false;
    }
    return groups >= 2 && groups <= 8 && pass_text(s, &at, "]") && is_rest(s, at);
}

static bool is_web(struct str s)
{
    size_t at = 0, www = 0;
    bool scheme = pass_text(s, &at, "https://") || pass_text(s, &at, "http://");
    if (scheme && (is_named(s, at, true) || is_four_numbers(s, at) || is_six_groups(s, at))) return true;
    return (pass_text(s, &www, "www.") && is_named(s, www, true)) || is_named(s, 0, false);
}

static bool is_mail(struct str s)
{
    size_t sign = s.length;
    while (sign && s.at[sign - 1] != '@') sign--;
    if (sign < 2) return false;
    struct str host = str_slice(s, sign, s.length);
    size_t at = 0, dot = host.length;
    if (!pass(host, &at, is_word_character, 1)) return false;
    pass(host, &at, is_mail_host, SIZE_MAX);
    if (at < host.length) return false;
    while (dot && host.at[dot - 1] != '.') dot--;
    at = dot;
    return dot && pass(host, &at, is_word_character, SIZE_MAX) && at == host.length;
}

/* ---- links ------------------------------------------------------------------------------- */

static void add(struct text *t, struct str s)
{
    text_add(t, s.at, s.length);
}

static void add_link(struct links *l, const char *scheme, struct str address, struct str attributes, struct str shown)
{
    text_puts(l->out, "<a href=\"");
    text_puts(l->out, scheme);
    add(l->out, address);
    text_puts(l->out, "\"");
    add(l->out, attributes);
    text_puts(l->out, ">");
    add(l->out, shown);
    text_puts(l->out, "</a>");
}

static bool add_web(struct links *l, struct str address)
{
    struct value shown = v_str(address);
    const char *scheme = starts(address, "https://") || starts(address, "http://") ? "" : "https://";
    if (l->limit.kind > V_NONE) {
        if (!is_integer(l->limit))
            return host_fail(&l->r->host, LORAC_FORMAT, "urlize takes an integer as limit, not %s",
                             type_name(l->limit));
        struct value limits[3] = {v_absent(), l->limit, v_absent()};
        if ((int64_t)str_characters(address) > integer_of(l->limit) &&
            !(get_slice(l->r, shown, limits, &shown) && str_join2(l->r, shown.text, STR("..."), &shown.text)))
            return false;
    }
    return add_link(l, scheme, address, l->attributes, shown.text), true;
}

/* An address if it begins with a scheme that the template names. */
static void add_schemed(struct links *l, struct str s)
{
    for (size_t i = 0; i < l->schemes->count; i++) {
        struct str scheme = l->schemes->at[i].text;
        if (s.length > scheme.length && str_equal(str_slice(s, 0, scheme.length), scheme))
            return add_link(l, "", s, l->attributes, s);
    }
    add(l->out, s);
}

static bool add_address(struct links *l, struct str s)
{
    bool at_sign = s.length && memchr(s.at, '@', s.length), colon = s.length && memchr(s.at, ':', s.length);
    struct str mail = starts(s, "mailto:") ? str_slice(s, 7, s.length) : STR("");
    if (is_web(s)) return add_web(l, s);
    if (is_mail(mail))
        add_link(l, "", s, STR(""), mail);
    else if (at_sign && !colon && !starts(s, "www.") && *s.at != '@' && is_mail(s))
        add_link(l, "mailto:", s, STR(""), s);
    else
        add_schemed(l, s);
    return true;
}

/* ---- words ------------------------------------------------------------------------------- */

static int64_t count_of(struct str s, const char *part)
{
    size_t at;
    int64_t count = 0;
    struct str p = {part, strlen(part)};
    for (size_t from = 0; str_find(s, p, from, &at); from = at + p.length) count++;
    return count;
}

/* Closing brackets behind an address belong to it where it opens some: the new end of the address. */
static size_t balance(struct str word, size_t from, size_t to)
{
    static const char *const pairs[][2] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct str middle = str_slice(word, from, to), tail = str_slice(word, to, word.length);
        struct str closing = {pairs[i][1], strlen(pairs[i][1])};
        int64_t open = count_of(middle, pairs[i][0]), close = count_of(tail, pairs[i][1]);
        size_t at = 0;
        if (open <= count_of(middle, pairs[i][1])) continue;
        for (int64_t n = open < close ? open : close; n && str_find(word, closing, to, &at); n--)
            to = at + closing.length;
    }
    return to;
}

/* Brackets before and after a word, and what ends a sentence, are no part of an address. */
static bool add_word(struct links *l, struct str word)
{
    size_t from = 0, to = word.length;
    for (struct str s = word; s.length; s = str_slice(word, from, word.length)) {
        size_t n = *s.at == '(' || *s.at == '<' ? 1 : starts(s, "&lt;") ? 4 : 0;
        if (!n) break;
        from += n;
    }
    for (struct str s; to > from; to -= ends(s, "&gt;") ? 4 : 1) {
        s = str_slice(word, from, to);
        if (!ends(s, "&gt;") && (!word.at[to - 1] || !strchr(")>.,", word.at[to - 1]))) break;
    }
    to = balance(word, from, to);
    add(l->out, str_slice(word, 0, from));
    if (!work_bytes(l->r, word.length * 8) || !add_address(l, str_slice(word, from, to))) return false;
    add(l->out, str_slice(word, to, word.length));
    return l->out->length <= OUTPUT_LIMIT ||
           host_fail(&l->r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
}

static bool add_words(struct links *l, struct str s)
{
    for (size_t at = 0, from = 0, next; at < s.length; from = at) {
        for (next = at; at < s.length && !is_space(str_next(s, &next));) at = next;
        if (at > from && !add_word(l, str_slice(s, from, at))) return false;
        for (from = next = at; at < s.length && is_space(str_next(s, &next));) at = next;
        add(l->out, str_slice(s, from, at));
    }
    return true;
}

/* ---- arguments --------------------------------------------------------------------------- */

static bool add_attribute(struct render *r, struct text *t, const char *name, struct value v)
{
    struct value escaped;
    if (!truth(v)) return true;
    if (!escape_html(r, v, &escaped)) return false;
    text_printf(t, " %s=\"", name);
    add(t, escaped.text);
    text_puts(t, "\"");
    return true;
}

/* The words of rel, with noopener and perhaps nofollow, each once and in order. */
static bool rel_words(struct render *r, struct value rel, bool nofollow, struct value *result)
{
    struct value words = v_str(truth(rel) ? rel.text : STR(""));
    struct call split = {.function = find_str_method(STR("split"))};
    if (!str_join2(r, words.text, nofollow ? STR(" nofollow noopener") : STR(" noopener"), &words.text)) return false;
    split.self = words;
    if (!call_function(r, &split, &words)) return false;
    struct value *at = words.items->at;
    struct text t = builder(r);
    for (size_t i = 0; i < words.items->count && work(r, i); i++)
        for (size_t j = i; j && str_compare(at[j].text, at[j - 1].text) < 0; j--) {
            struct value later = at[j - 1];
            at[j - 1] = at[j];
            at[j] = later;
        }
    for (size_t i = 0; i < words.items->count; i++) {
        if (i && str_equal(at[i].text, at[i - 1].text)) continue;
        if (i) text_puts(&t, " ");
        add(&t, at[i].text);
    }
    return builder_end(r, &t, result);
}

/* Each is letters and the like, a colon, and up to two slashes. */
static bool check_schemes(struct render *r, const struct items *schemes)
{
    for (size_t i = 0; i < schemes->count; i++) {
        struct value v = schemes->at[i];
        size_t at = 0;
        bool good = v.kind == V_STR && pass(v.text, &at, is_scheme, SIZE_MAX) >= 2 && pass_text(v.text, &at, ":");
        if (good && !pass_text(v.text, &at, "//")) pass_text(v.text, &at, "/");
        if (!good || at < v.text.length)
            return host_fail(&r->host, LORAC_FORMAT, "urlize takes schemes such as 'tel:' as extra_schemes");
    }
    return true;
}

bool filter_urlize(struct render *r, struct call *c, struct value *result)
{
    struct value text, rel = c->arg[3], attributes = {0};
    struct items none = {0};
    struct links l = {.r = r, .limit = c->arg[0], .schemes = &none};
    if (truth(rel) && rel.kind != V_STR) return wants(r, c, "a string as rel", rel);
    if (c->arg[4].kind > V_NONE && !iterate(r, c->arg[4], &l.schemes)) return false;
    if (!check_schemes(r, l.schemes) || !rel_words(r, rel, truth(c->arg[1]), &rel)) return false;
    if (!escape_html(r, c->self, &text)) return false;
    struct text t = builder(r);
    if (add_attribute(r, &t, "rel", rel)) add_attribute(r, &t, "target", c->arg[2]);
    if (!builder_end(r, &t, &attributes)) return false;
    struct text out = builder(r);
    l.attributes = attributes.text;
    l.out = &out;
    add_words(&l, text.text);
    return builder_end(r, &out, result);
}

/* template_format.c — text from patterns: "%s" % value, "{}".format(value), and dates.
 *
 * Knows %s %r %d %i %x %X %o %f %e %g %c %% with flags, width and precision; {} {0} {name} {a.b} {a[0]} with !r, !s and
 * a specification (template_spec.c). Dates are in English whatever the locale is. */
#include "text/template_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool bad_format(struct render *r, const char *what)
{
    return host_fail(&r->host, LORAC_FORMAT, "a format %s", what);
}

/* ---- percent ----------------------------------------------------------------------------- */

struct directive {
    bool minus, zero, plus, space, alternate;
    int width, precision; /* -1: none */
    char kind;
};

static int take_number(struct str s, size_t *at)
{
    int n = -1;
    for (; *at < s.length && s.at[*at] >= '0' && s.at[*at] <= '9'; ++*at)
        if (n < 10000) n = (n < 0 ? 0 : n * 10) + (s.at[*at] - '0');
    return n;
}

static bool take_directive(struct render *r, struct str s, size_t *at, struct directive *d)
{
    *d = (struct directive){.width = -1, .precision = -1};
    for (; *at < s.length && strchr("-0+ #", s.at[*at]) && s.at[*at]; ++*at) {
        char c = s.at[*at];
        d->minus |= c == '-';
        d->zero |= c == '0';
        d->plus |= c == '+';
        d->space |= c == ' ';
        d->alternate |= c == '#';
    }
    d->width = take_number(s, at);
    if (*at < s.length && s.at[*at] == '.') {
        ++*at;
        d->precision = take_number(s, at);
        if (d->precision < 0) d->precision = 0;
    }
    if (*at >= s.length) return bad_format(r, "is incomplete");
    d->kind = s.at[(*at)++];
    return d->width < 4096 && d->precision < 300 ? true : bad_format(r, "is too wide");
}

static void add_padded(struct text *t, const struct directive *d, struct str s)
{
    size_t count = str_characters(s), fill = d->width > 0 && (size_t)d->width > count ? (size_t)d->width - count : 0;
    bool zeros = d->zero && !d->minus && !strchr("src", d->kind);
    bool sign = zeros && s.length && strchr("+- ", s.at[0]);
    if (sign) text_add(t, s.at, 1);
    for (size_t i = 0; !d->minus && i < fill; i++) text_puts(t, zeros ? "0" : " ");
    text_add(t, s.at + sign, s.length - sign);
    for (size_t i = 0; d->minus && i < fill; i++) text_puts(t, " ");
}

static bool format_number(struct render *r, struct text *t, const struct directive *d, struct value v)
{
    char pattern[32], number[512];
    bool real = strchr("eEfFgG", d->kind), whole = strchr("xXo", d->kind);
    if (!is_number(v) || (whole && v.kind == V_FLOAT))
        return host_fail(&r->host, LORAC_FORMAT, "%%%c format: a number is required, not %s", d->kind, type_name(v));
    const char *sign = d->plus ? "+" : d->space ? " " : "";
    int n;
    if (real) {
        snprintf(pattern, sizeof pattern, "%%%s%s.%d%c", sign, d->alternate ? "#" : "",
                 d->precision < 0 ? 6 : d->precision, d->kind);
        n = snprintf(number, sizeof number, pattern, real_of(v));
        for (char *c = number; *c; c++)
            if (*c == ',') *c = '.'; /* some locales have a comma */
    } else {
        if (v.kind == V_FLOAT && !(real_of(v) > -0x1p63 && real_of(v) < 0x1p63))
            return bad_format(r, "of an integer exceeds 64 bits");
        int64_t i = v.kind == V_FLOAT ? (int64_t)v.real : integer_of(v);
        bool negative = i < 0;
        uint64_t size = negative ? 0 - (uint64_t)i : (uint64_t)i;
        snprintf(pattern, sizeof pattern, "%%s%s%%.*ll%c",
                 d->alternate && whole ? (d->kind == 'o'   ? "0o"
                                          : d->kind == 'x' ? "0x"
                                                           : "0X")
                                       : "",
                 whole ? d->kind : 'u');
        n = snprintf(number, sizeof number, pattern, negative ? "-" : sign, d->precision < 0 ? 1 : d->precision,
                     (unsigned long long)size);
    }
    if (n < 0 || (size_t)n >= sizeof number) return bad_format(r, "gives too many digits");
    add_padded(t, d, (struct str){number, (size_t)n});
    return true;
}

static bool format_text(struct render *r, struct text *t, const struct directive *d, struct value v)
{
    struct value s;
    struct text part = builder(r);
    if (d->kind == 'r')
        print_repr(r, &part, v);
    else
        print_str(r, &part, v);
    if (!builder_end(r, &part, &s)) return false;
    if (d->kind == 'c' && (v.kind != V_STR || str_characters(v.text) != 1))
        return bad_format(r, "%c requires one character");
    if (d->precision >= 0) s.text = str_slice(s.text, 0, str_offset(s.text, (size_t)d->precision));
    add_padded(t, d, s.text);
    return true;
}

/* "%(name)s": the value from the dict. */
static bool take_name(struct render *r, struct str s, size_t *at, struct value arguments, struct value *v)
{
    size_t end;
    bool found;
    if (!str_find(s, STR(")"), *at, &end)) return bad_format(r, "lacks a ')'");
    if (arguments.kind != V_DICT) return bad_format(r, "requires a mapping");
    struct str name = str_slice(s, *at + 1, end);
    *at = end + 1;
    if (!dict_get_name(r, arguments.dict, name, v, &found)) return false;
    return found || host_fail(&r->host, LORAC_FORMAT, "a format names '%.*s', which is not given", STR_ARG(name));
}

static bool format_directive(struct render *r, struct text *t, struct str s, size_t *at, struct value arguments,
                             size_t *used)
{
    struct directive d;
    struct value v = arguments;
    bool named = *at < s.length && s.at[*at] == '(', tuple = arguments.kind == V_TUPLE;
    if (named && !take_name(r, s, at, arguments, &v)) return false;
    if (!take_directive(r, s, at, &d)) return false;
    if (d.kind == '%') return text_puts(t, "%"), true;
    if (!named) {
        if (*used >= (tuple ? arguments.items->count : 1))
            return bad_format(r, "has more places than there are arguments");
        if (tuple) v = arguments.items->at[*used];
        ++*used;
    }
    if (strchr("src", d.kind)) return format_text(r, t, &d, v);
    if (strchr("diuxXoeEfFgG", d.kind)) return format_number(r, t, &d, v);
    return bad_format(r, "has a directive that lorac does not know");
}

static bool percent(struct render *r, struct text *t, struct str s, struct value arguments)
{
    size_t used = 0, want = arguments.kind == V_TUPLE                              ? arguments.items->count
                            : arguments.kind == V_DICT || arguments.kind == V_LIST ? 0
                                                                                   : 1;
    for (size_t at = 0, hit; at < s.length;) {
        if (!str_find(s, STR("%"), at, &hit)) hit = s.length;
        text_add(t, s.at + at, hit - at);
        at = hit + 1;
        if (hit < s.length && !format_directive(r, t, s, &at, arguments, &used)) return false;
        if (t->length > OUTPUT_LIMIT || !work(r, 1)) return bad_format(r, "gives too long a text");
    }
    return used >= want || bad_format(r, "has fewer places than there are arguments");
}

bool format_percent(struct render *r, struct str format, struct value arguments, struct value *result)
{
    struct text t = builder(r);
    percent(r, &t, format, arguments);
    return builder_end(r, &t, result);
}

/* ---- braces ------------------------------------------------------------------------------ */

static bool braces_first(struct render *r, struct call *c, struct str name, size_t *automatic, struct value *v)
{
    int64_t place = -1;
    if (!name.length)
        place = (int64_t)(*automatic)++;
    else if (name.at[0] >= '0' && name.at[0] <= '9' && !parse_int(name, 10, &place))
        return bad_format(r, "has a wrong number");
    if (place >= 0) {
        if ((uint64_t)place >= c->count) return bad_format(r, "has more places than there are arguments");
        return *v = c->arguments[place], true;
    }
    for (size_t i = 0; i < c->keyword_count; i++)
        if (str_equal(c->keywords[i].name, name)) return *v = c->keywords[i].value, true;
    return host_fail(&r->host, LORAC_FORMAT, "a format names '%.*s', which is not given", STR_ARG(name));
}

static size_t until(struct str s, size_t at, const char *stops)
{
    while (at < s.length && (!s.at[at] || !strchr(stops, s.at[at]))) at++;
    return at;
}

/* "name.a[b]!r" between the braces. */
static bool braces_field(struct render *r, struct call *c, struct text *t, struct str field, size_t *automatic)
{
    struct value v;
    size_t at = until(field, 0, ".[!:");
    if (!braces_first(r, c, str_slice(field, 0, at), automatic, &v)) return false;
    while (at < field.length && (field.at[at] == '.' || field.at[at] == '[')) {
        bool item = field.at[at] == '[';
        size_t end = until(field, at + 1, item ? "]" : ".[!:");
        struct str name = str_slice(field, at + 1, end);
        int64_t number;
        bool digits = name.length && name.at[0] >= '0' && name.at[0] <= '9' && parse_int(name, 10, &number);
        if (item && end == field.length) return bad_format(r, "lacks a ']'");
        if (!(item ? get_item(r, v, digits ? v_int(number) : v_str(name), &v) : get_attribute(r, v, name, &v)))
            return false;
        at = end + item;
    }
    struct str rest = str_slice(field, at, field.length);
    if (rest.length && rest.at[0] == '!') {
        struct text part = builder(r);
        bool repr = rest.length > 1 && rest.at[1] == 'r';
        if (!repr && (rest.length < 2 || rest.at[1] != 's')) return bad_format(r, "has an unknown conversion");
        repr ? print_repr(r, &part, v) : print_str(r, &part, v);
        if (!builder_end(r, &part, &v)) return false;
        rest = str_slice(rest, 2, rest.length);
    }
    if (rest.length && rest.at[0] != ':') return bad_format(r, "lacks a ':' before its specification");
    return format_spec(r, t, v, str_slice(rest, rest.length ? 1 : 0, rest.length));
}

static bool braces(struct render *r, struct call *c, struct text *t)
{
    struct str s = c->self.text;
    size_t automatic = 0;
    for (size_t at = 0; at < s.length;) {
        size_t hit = until(s, at, "{}");
        text_add(t, s.at + at, hit - at);
        at = hit + 1;
        if (hit == s.length) break;
        if (at < s.length && s.at[at] == s.at[hit]) {
            text_add(t, s.at + at++, 1);
            continue;
        }
        size_t end = until(s, at, "{}");
        if (s.at[hit] == '}' || end == s.length || s.at[end] == '{')
            return bad_format(r, "has a brace without its other half");
        if (!braces_field(r, c, t, str_slice(s, at, end), &automatic)) return false;
        at = end + 1;
    }
    return true;
}

bool format_braces(struct render *r, struct call *c, struct value *result)
{
    struct text t = builder(r);
    braces(r, c, &t);
    return builder_end(r, &t, result);
}

/* ---- dates ------------------------------------------------------------------------------- */

static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};

/* The weeks of a year that began, when weeks begin at `first` (0: Sunday, 1: Monday). */
static int week_of(const struct tm *w, int first)
{
    return (w->tm_yday + 7 - (w->tm_wday + 7 - first) % 7) / 7;
}

static void add_name(struct text *t, const char *const *names, int count, int number, bool brief)
{
    if (number < 0 || number >= count) return;
    text_add(t, names[number], brief ? 3 : strlen(names[number]));
}

static void add_field(struct text *t, int number, int width, char flag)
{
    text_printf(t, flag == '_' ? "%*d" : "%0*d", flag == '-' ? 1 : width, number);
}

/* The directives that are numbers: value, width, and what fills it when no flag says otherwise. */
static bool add_number(struct text *t, char c, char flag, const struct tm *w)
{
    int hour = w->tm_hour % 12 ? w->tm_hour % 12 : 12, year = w->tm_year + 1900;
    const struct {
        char name;
        int value, width;
        char fill;
    } numbers[] = {
        {'d', w->tm_mday, 2, 0},
        {'e', w->tm_mday, 2, '_'},
        {'m', w->tm_mon + 1, 2, 0},
        {'y', year % 100, 2, 0},
        {'Y', year, 1, 0},
        {'C', year / 100, 2, 0},
        {'H', w->tm_hour, 2, 0},
        {'k', w->tm_hour, 2, '_'},
        {'I', hour, 2, 0},
        {'l', hour, 2, '_'},
        {'M', w->tm_min, 2, 0},
        {'S', w->tm_sec, 2, 0},
        {'j', w->tm_yday + 1, 3, 0},
        {'w', w->tm_wday, 1, 0},
        {'U', week_of(w, 0), 2, 0},
        {'W', week_of(w, 1), 2, 0},
        {'u', w->tm_wday ? w->tm_wday : 7, 1, 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].name == c)
            return add_field(t, numbers[i].value, numbers[i].width, flag ? flag : numbers[i].fill), true;
    return false;
}

/* The directives that stand for others. */
static const char *directive_pattern(char c)
{
    switch (c) {
    case 'F':
        return "%Y-%m-%d";
    case 'D':
    case 'x':
        return "%m/%d/%y";
    case 'T':
    case 'X':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'r':
        return "%I:%M:%S %p";
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    case 'n':
        return "\n";
    case 't':
        return "\t";
    case 'z':
    case 'Z':
        return ""; /* datetime.now() knows no zone */
    default:
        return NULL;
    }
}

static bool add_directive(struct text *t, char c, char flag, const struct tm *w, long microseconds)
{
    if (add_number(t, c, flag, w)) return true;
    if (c == 'a' || c == 'A') return add_name(t, days, 7, w->tm_wday, c == 'a'), true;
    if (c == 'b' || c == 'B' || c == 'h') return add_name(t, months, 12, w->tm_mon, c != 'B'), true;
    if (c == 'f') return text_printf(t, "%06ld", microseconds), true;
    if (c == 'p') return text_puts(t, w->tm_hour < 12 ? "AM" : "PM"), true;
    if (c == 'P') return text_puts(t, w->tm_hour < 12 ? "am" : "pm"), true;
    if (c == '%') return text_puts(t, "%"), true;
    const char *pattern = directive_pattern(c);
    return pattern && format_time(t, (struct str){pattern, strlen(pattern)}, w, microseconds);
}

bool format_time(struct text *t, struct str format, const struct tm *when, long microseconds)
{
    for (size_t at = 0; at < format.length; at++) {
        if (format.at[at] != '%' || at + 1 == format.length) {
            text_add(t, format.at + at, 1);
            continue;
        }
        char flag = strchr("-_0", format.at[at + 1]) && at + 2 < format.length ? format.at[++at] : 0;
        if (!add_directive(t, format.at[++at], flag, when, microseconds)) return false;
    }
    return true;
}

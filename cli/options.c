/* options.c — parses a command line by its command's table.
 *
 * Owns: spellings, types, bounds, where a value came from. Refuses: abbreviations, values that are nearly
 * numbers, and options of mlx-lm whose feature is not here. An option always takes the next word as its
 * value, whatever it looks like: texts may begin with dashes. The program never sets a locale, so strtod
 * reads a decimal point. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool complain(struct complaint *why, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(why->text, sizeof why->text, format, list);
    va_end(list);
    return false;
}

bool list_append(struct text_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items) return false;
    list->items = items;
    items[list->count++] = item;
    return true;
}

/* ---- the table ----------------------------------------------------------------------------- */

size_t options_count(const struct option *table)
{
    size_t n = 0;
    while (table[n].name) n++;
    return n;
}

bool option_alias(const struct option *o, size_t index, char *alias, size_t size)
{
    const char *at = o->aliases;
    for (size_t i = 0; at && *at; i++) {
        size_t length = strcspn(at, " ");
        if (i == index) return snprintf(alias, size, "%.*s", (int)length, at) > 0;
        at += length + (at[length] == ' ');
    }
    return false;
}

static bool spelled(const struct option *o, const char *name, size_t length)
{
    char alias[64];
    if (strlen(o->name) == length && !memcmp(o->name, name, length)) return true;
    for (size_t i = 0; option_alias(o, i, alias, sizeof alias); i++)
        if (strlen(alias) == length && !memcmp(alias, name, length)) return true;
    return false;
}

const struct option *option_find(const struct option *table, const char *name, size_t length)
{
    for (const struct option *o = table; o->name; o++)
        if (o->type != OPTION_SECTION && spelled(o, name, length)) return o;
    return NULL;
}

enum origin option_origin(const struct arguments *a, const char *name)
{
    const struct option *o = option_find(a->command->options, name, strlen(name));
    return o ? (enum origin)a->origin[o - a->command->options] : ORIGIN_DEFAULT;
}

/* ---- values -------------------------------------------------------------------------------- */

bool parse_decimal(const char *text, double *value)
{
    size_t length = strspn(text, "+-.0123456789eE");
    char *end;
    if (!length || text[length]) return false;
    *value = strtod(text, &end);
    return !*end && isfinite(*value);
}

static bool parse_integer(const char *text, long long *value)
{
    char *end;
    if (!*text || strspn(text, "+-0123456789") != strlen(text)) return false;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return !*end && !errno;
}

/* 1000, 64K, 1.5G, 2GB: powers of 1000. */
static bool parse_bytes(const char *text, size_t *value)
{
    static const char units[] = "KMGT";
    char number[32];
    double factor = 1;
    size_t length = strspn(text, "0123456789.");
    const char *unit = text + length;
    if (!length || length >= sizeof number) return false;
    memcpy(number, text, length);
    number[length] = 0;
    if (*unit) {
        const char *at = strchr(units, *unit >= 'a' ? *unit - 'a' + 'A' : *unit);
        if (at && *at) {
            factor = pow(1000, (double)(at - units + 1));
            unit++;
        }
        if (*unit == 'B' || *unit == 'b') unit++;
    }
    double bytes;
    if (*unit || !parse_decimal(number, &bytes) || bytes * factor >= 9e18) return false;
    *value = (size_t)(bytes * factor);
    return true;
}

static bool parse_choice(const char *choices, const char *text, int *value)
{
    int index = 0;
    for (const char *at = choices;; index++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && !memcmp(at, text, length)) {
            *value = index;
            return true;
        }
        if (!at[length]) return false;
        at += length + 1;
    }
}

static bool in_bounds(const struct option *o, double value)
{
    return (!o->least && !o->most) || (value >= o->least && (o->most <= o->least || value <= o->most));
}

static bool bad_bounds(const struct option *o, const char *text, struct complaint *why)
{
    if (o->most <= o->least) return complain(why, "--%s must be at least %g, not %s", o->name, o->least, text);
    return complain(why, "--%s must be between %g and %g, not %s", o->name, o->least, o->most, text);
}

static bool set_number(const struct option *o, void *member, const char *text, struct complaint *why)
{
    long long integer = 0;
    double real = 0;
    size_t bytes = 0;
    if (o->type == OPTION_REAL) {
        if (!parse_decimal(text, &real)) return complain(why, "--%s needs a number, not '%s'", o->name, text);
        if (!in_bounds(o, real)) return bad_bounds(o, text, why);
        *(double *)member = real;
    } else if (o->type == OPTION_BYTES) {
        if (!parse_bytes(text, &bytes))
            return complain(why, "--%s needs a size such as 500M or 8G, not '%s'", o->name, text);
        *(size_t *)member = bytes;
    } else {
        if (!parse_integer(text, &integer)) return complain(why, "--%s needs a whole number, not '%s'", o->name, text);
        if (!in_bounds(o, (double)integer)) return bad_bounds(o, text, why);
        if (o->type == OPTION_COUNT && integer < 0)
            return complain(why, "--%s must not be negative, it is %s", o->name, text);
        if (o->type == OPTION_COUNT)
            *(size_t *)member = (size_t)integer;
        else
            *(long long *)member = integer;
    }
    return true;
}

static bool set_flag(const struct option *o, void *member, const char *text, struct complaint *why)
{
    if (text && strcmp(text, "true") && strcmp(text, "false"))
        return complain(why, "--%s takes no value (or true, or false), not '%s'", o->name, text);
    *(bool *)member = !text || *text == 't';
    return true;
}

static bool set_value(const struct option *o, void *member, const char *text, struct complaint *why)
{
    switch (o->type) {
    case OPTION_FLAG:
        return set_flag(o, member, text, why);
    case OPTION_TEXT:
        *(const char **)member = text;
        return true;
    case OPTION_LIST:
        return list_append(member, text) || complain(why, "out of memory");
    case OPTION_CHOICE:
        return parse_choice(o->choices, text, member) ||
               complain(why, "--%s must be one of %s, not '%s'", o->name, o->choices, text);
    case OPTION_REFUSED:
        if (text ? o->fallback && !strcmp(text, o->fallback) : false) return true;
        return complain(why, "--%s is not available: %s", o->name, o->help);
    default:
        return set_number(o, member, text, why);
    }
}

bool option_set(struct arguments *a, const struct option *o, const char *text, enum origin origin,
                struct complaint *why)
{
    unsigned char *known = &a->origin[o - a->command->options];
    if (*known > origin) return true;
    *known = (unsigned char)origin;
    return set_value(o, (char *)a->values + o->offset, text, why);
}

/* ---- suggestions --------------------------------------------------------------------------- */

/* Levenshtein's distance, one row of the table at a time. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], length = strlen(b);
    if (length >= 64) return SIZE_MAX;
    for (size_t j = 0; j <= length; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= length; j++) {
            size_t best = diagonal + (a[i] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length];
}

const char *nearest_word(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 2 < 3 ? strlen(word) / 2 + 1 : 4; /* as far as this is another word */
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, words[i]);
        if (d < best) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

static bool unknown_option(const struct command *command, const char *word, size_t length, struct complaint *why)
{
    const char *names[128], *nearest;
    char name[64];
    size_t count = 0;
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    for (const struct option *o = command->options; o->name && count < 127; o++)
        if (o->type != OPTION_SECTION && o->type != OPTION_REFUSED) names[count++] = o->name;
    names[count++] = "help";
    nearest = nearest_word(name, names, count);
    if (nearest) return complain(why, "unknown option --%s; did you mean --%s?", name, nearest);
    return complain(why, "unknown option --%s; `lorac %s --help` lists them", name, command->name);
}

/* ---- the command line ---------------------------------------------------------------------- */

bool arguments_init(struct arguments *a, const struct command *command, struct complaint *why)
{
    size_t count = options_count(command->options);
    *a = (struct arguments){.command = command};
    a->values = calloc(1, command->values_size + 1);
    a->origin = calloc(count + 1, 1);
    if (!a->values || !a->origin) return complain(why, "out of memory");
    for (const struct option *o = command->options; o->name; o++)
        if (o->fallback && o->type != OPTION_REFUSED && !option_set(a, o, o->fallback, ORIGIN_DEFAULT, why))
            return false;
    return true;
}

/* argv[*i] is an option; *i moves on to its last word. */
static bool parse_option(struct arguments *a, int argc, char **argv, int *i, struct complaint *why)
{
    const char *word = argv[*i], *equals = NULL, *text = NULL;
    const char *name = word;
    size_t length = strlen(word);
    if (word[1] == '-') {
        name = word + 2;
        equals = strchr(name, '=');
        length = equals ? (size_t)(equals - name) : strlen(name);
    }
    const struct option *o = option_find(a->command->options, name, length);
    if (!o)
        return name == word ? complain(why, "unknown option %s", word) : unknown_option(a->command, name, length, why);
    if (equals)
        text = equals + 1;
    else if (o->value) {
        if (*i + 1 >= argc) return complain(why, "%s needs a value: %s %s", word, word, o->value);
        text = argv[++*i];
    }
    return option_set(a, o, text, ORIGIN_COMMAND_LINE, why);
}

bool arguments_parse(struct arguments *a, int argc, char **argv, struct complaint *why)
{
    bool only_rest = false;
    for (int i = 0; i < argc; i++) {
        if (!only_rest && !strcmp(argv[i], "--"))
            only_rest = true;
        else if (!only_rest && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")))
            return a->help = true;
        else if (!only_rest && argv[i][0] == '-' && argv[i][1]) {
            if (!parse_option(a, argc, argv, &i, why)) return false;
        } else if (!list_append(&a->rest, argv[i]))
            return complain(why, "out of memory");
    }
    const struct command *c = a->command;
    if (a->rest.count > c->positional_most)
        return complain(why, "lorac %s does not take the argument '%s'", c->name, a->rest.items[c->positional_most]);
    if (a->rest.count < c->positional_least) return complain(why, "lorac %s needs %s", c->name, c->positional);
    return true;
}

void arguments_free(struct arguments *a)
{
    for (const struct option *o = a->command->options; a->values && o->name; o++)
        if (o->type == OPTION_LIST) free(((struct text_list *)((char *)a->values + o->offset))->items);
    for (size_t i = 0; i < a->kept.count; i++) free((char *)a->kept.items[i]);
    free(a->kept.items);
    free(a->rest.items);
    free(a->values);
    free(a->origin);
}

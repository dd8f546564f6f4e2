/* regex_repeats.c — whether an expression repeats what may match nothing. See regex_parse.h.
 *
 * Oniguruma leaves a loop after a repetition that matched nothing, however many are still asked for, unless it has
 * written the loop out; PCRE2 goes on. Loops without an upper bound that ask for one at most are alike in both. */
#include "text/regex_parse.h"

#include <string.h>

struct walk {
    const uint16_t *tokens;
    size_t count, at;
    bool found;
};

static uint16_t next(const struct walk *w)
{
    return w->at < w->count ? w->tokens[w->at] : 0;
}

static bool is_any(uint16_t token, const char *characters)
{
    return token && token < 128 && strchr(characters, token);
}

static size_t read_number(struct walk *w, size_t absent)
{
    size_t number = 0, begin = w->at;
    for (; is_any(next(w), "0123456789"); w->at++)
        if (number < UINT16_MAX) number = number * 10 + (size_t)(next(w) - '0');
    return w->at == begin ? absent : number;
}

/* {n}, {n,}, {n,m}; whether what it repeats may match nothing, before and after. */
static bool read_interval(struct walk *w, bool empty)
{
    w->at++;
    size_t low = read_number(w, 0), high = low;
    bool comma = next(w) == ',';
    w->at += comma;
    if (comma) high = read_number(w, low);
    w->at++; /* } */
    w->found |= empty && high > 1;
    return empty || !low;
}

static bool read_choices(struct walk *w);

/* One part and its repetitions: whether it may match nothing. */
static bool read_part(struct walk *w)
{
    bool group = next(w) == '(', empty = next(w) == '\\'; /* \A and \z */
    w->at += empty ? 2 : 1;
    if (group) {
        empty = false;
        for (; is_any(next(w), "?:=!<>"); w->at++) empty |= is_any(next(w), "=!");
        empty |= read_choices(w);
    }
    while (is_any(next(w), "?*+{")) {
        if (next(w) == '{')
            empty = read_interval(w, empty);
        else
            empty |= is_any(w->tokens[w->at++], "?*");
    }
    return empty;
}

/* Alternatives to the end of their group. */
static bool read_choices(struct walk *w)
{
    bool any = false, empty = true;
    while (w->at < w->count && next(w) != ')') {
        if (next(w) == '|')
            any |= empty, empty = true, w->at++;
        else
            empty &= read_part(w);
    }
    w->at++;
    return any || empty;
}

bool regex_repeats_nothing(const struct regex_program *program)
{
    struct walk w = {.tokens = program->tokens.items, .count = program->tokens.count};
    while (w.at < w.count) read_choices(&w);
    return w.found;
}

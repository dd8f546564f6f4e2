/* terminal.c — the progress line. */
#include "terminal.h"
#include "common.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void terminal_open(struct terminal *t, FILE *out)
{
    const char *kind = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    *t = (struct terminal){.out = out, .start = seconds_now()};
    t->live = isatty(fileno(out)) && kind && strcmp(kind, "dumb");
    t->colours = t->live && !(no_colour && *no_colour);
}

const char *terminal_colour(const struct terminal *t, enum colour colour)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[32m", "\033[36m", "\033[33m"};
    return t->colours ? codes[colour] : "";
}

const char *terminal_left(const struct terminal *t, char *text, size_t size, double fraction)
{
    return format_duration(text, size, (seconds_now() - t->start) * (1 / fraction - 1));
}

void terminal_clear(struct terminal *t)
{
    if (t->drawn) fputs("\r\033[K", t->out);
    t->drawn = false;
}

void terminal_print(struct terminal *t, const char *format, ...)
{
    va_list list;
    terminal_clear(t);
    va_start(list, format);
    vfprintf(t->out, format, list);
    va_end(list);
    fputc('\n', t->out);
    fflush(t->out);
}

bool terminal_due(struct terminal *t)
{
    return t->live && seconds_now() - t->last >= 0.1;
}

static size_t terminal_width(const struct terminal *t)
{
    struct winsize size;
    if (ioctl(fileno(t->out), TIOCGWINSZ, &size) || size.ws_col < 20) return 80;
    return size.ws_col;
}

void terminal_progress(struct terminal *t, double fraction, const char *format, ...)
{
    enum { BAR = 20 };
    char line[512];
    va_list list;
    if (!t->live) return;
    if (!(fraction > 0)) fraction = 0;
    if (fraction > 1) fraction = 1;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);

    size_t room = terminal_width(t) - BAR - 10;
    if (terminal_width(t) < BAR + 30) room = 20;
    if (strlen(line) > room && room < sizeof line) line[room] = 0;
    int filled = (int)(fraction * BAR + 0.5);
    fprintf(t->out, "\r%s", terminal_colour(t, COLOUR_GREEN));
    for (int i = 0; i < BAR; i++) fputs(i < filled ? "━" : "╌", t->out);
    fprintf(t->out, "%s %3.0f %%  %s\033[K", terminal_colour(t, COLOUR_NONE), floor(100 * fraction), line);
    fflush(t->out);
    t->drawn = true;
    t->last = seconds_now();
}

/* ---- units --------------------------------------------------------------------------------- */

static const char *format_scaled(char *text, size_t size, double value, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    while (value >= 999.5 && i < 4) {
        value /= 1000;
        i++;
    }
    int decimals = i == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    snprintf(text, size, "%.*f%s%s%s", decimals, value, *unit || i ? " " : "", prefixes[i], unit);
    return text;
}

const char *format_bytes(char *text, size_t size, double bytes)
{
    return format_scaled(text, size, bytes, "B");
}

const char *format_count(char *text, size_t size, double count)
{
    return format_scaled(text, size, count, "");
}

const char *format_duration(char *text, size_t size, double seconds)
{
    long whole = seconds > 0 && seconds < 1e9 ? (long)(seconds + 0.5) : 0;
    if (whole >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, size, "%ld:%02ld", whole / 60, whole % 60);
    return text;
}

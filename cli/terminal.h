/* terminal.h — progress for people, on standard error.
 *
 * On a terminal: one line redrawn at most ten times a second, in colour unless NO_COLOR is set.
 * Elsewhere: plain lines only. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_GREEN, COLOUR_CYAN, COLOUR_YELLOW };

struct terminal {
    FILE *out;
    bool live, colours; /* live: a terminal that can be redrawn */
    bool drawn;         /* a progress line is on the screen */
    double last;        /* when it was drawn */
    double start;       /* when it was opened, in seconds_now() */
};

void terminal_open(struct terminal *t, FILE *out);
/* The escape sequence that starts a colour (COLOUR_NONE ends it); "" where there are no colours. */
const char *terminal_colour(const struct terminal *t, enum colour colour);

/* A line that stays, in front of the progress line. */
void terminal_print(struct terminal *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether it is time to draw again: never on a file. */
bool terminal_due(struct terminal *t);
/* The progress line: a bar for `fraction` (0–1), then the text. */
void terminal_progress(struct terminal *t, double fraction, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void terminal_clear(struct terminal *t);
/* The time left after a fraction (over 0) of the work that began when the terminal was opened. Returns `text`. */
const char *terminal_left(const struct terminal *t, char *text, size_t size, double fraction);

/* Short forms for people: "1.25 GB", "3:05" or "2:03:05". They return `text`. */
const char *format_bytes(char *text, size_t size, double bytes);
const char *format_duration(char *text, size_t size, double seconds);
const char *format_count(char *text, size_t size, double count); /* "4.88 M" */

#endif

/* plot.c — an SVG line chart of a training run: losses by iteration.
 *
 * Training losses are points with a smoothed line through them, validation losses a line with points.
 * Colours come from a style sheet inside the file, which follows the reader's light or dark setting. */
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 760, HEIGHT = 440, LEFT = 64, RIGHT = 24, TOP = 52, BOTTOM = 56 };

struct series {
    double *x, *y;
    size_t count;
};

struct axes {
    double x0, x1, y0, y1, step_x, step_y;
};

static const char style[] =
    "<style>\n"
    ".page{fill:#ffffff}text{fill:#3a3f47;font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}\n"
    ".grid{stroke:#e3e6ea}.axis{stroke:#8a919c}.train{stroke:#2f6fde}.dot{fill:#2f6fde}.valid{stroke:#d9622b}"
    ".mark{fill:#d9622b}\n"
    "@media (prefers-color-scheme:dark){.page{fill:#16191d}text{fill:#d5d9df}.grid{stroke:#2c3138}"
    ".axis{stroke:#6d7580}.train{stroke:#6ea3ff}.dot{fill:#6ea3ff}.valid{stroke:#ff9a66}.mark{fill:#ff9a66}}\n"
    "</style>\n";

/* ---- data ---------------------------------------------------------------------------------- */

static bool series_collect(struct series *s, const json_t *events, const char *kind)
{
    size_t i, total = json_array_size(events);
    json_t *event;
    s->x = calloc(total + 1, sizeof *s->x);
    s->y = calloc(total + 1, sizeof *s->y);
    if (!s->x || !s->y) return false;
    json_array_foreach(events, i, event)
    {
        const char *name = json_string_value(json_object_get(event, "event"));
        const json_t *loss = json_object_get(event, "loss");
        if (!name || strcmp(name, kind) || !json_is_number(loss)) continue;
        s->x[s->count] = json_number_value(json_object_get(event, "iteration"));
        s->y[s->count++] = json_number_value(loss);
    }
    return true;
}

static void series_free(struct series *s)
{
    free(s->x);
    free(s->y);
}

/* An exponential mean, its start corrected, with a memory of about a twentieth of the points. */
static void smooth(const struct series *s, double *out)
{
    double keep = 1 - 1 / fmax(2, (double)s->count / 20), mean = 0, weight = 0;
    for (size_t i = 0; i < s->count; i++) {
        mean = keep * mean + (1 - keep) * s->y[i];
        weight = keep * weight + (1 - keep);
        out[i] = mean / weight;
    }
}

/* ---- axes ---------------------------------------------------------------------------------- */

/* The nicest step (1, 2 or 5 times a power of ten) that cuts `span` into at most `most` parts. */
static double nice_step(double span, int most)
{
    double power = pow(10, floor(log10(span / most)));
    double parts = span / most / power;
    return power * (parts <= 1 ? 1 : parts <= 2 ? 2 : parts <= 5 ? 5 : 10);
}

static void stretch(const struct series *s, struct axes *a)
{
    for (size_t i = 0; i < s->count; i++) {
        a->x1 = fmax(a->x1, s->x[i]);
        a->y0 = fmin(a->y0, s->y[i]);
        a->y1 = fmax(a->y1, s->y[i]);
    }
}

static struct axes axes_fit(const struct series *train, const struct series *valid)
{
    struct axes a = {.x0 = 0, .x1 = 1, .y0 = INFINITY, .y1 = -INFINITY};
    stretch(train, &a);
    stretch(valid, &a);
    if (!(a.y0 <= a.y1)) a.y0 = 0, a.y1 = 1;
    if (a.y1 - a.y0 < 1e-6) a.y0 -= 0.5, a.y1 += 0.5;
    a.step_x = fmax(1, nice_step(a.x1 - a.x0, 8));
    a.step_y = nice_step(a.y1 - a.y0, 7);
    a.y0 = a.step_y * floor(a.y0 / a.step_y);
    a.y1 = a.step_y * ceil(a.y1 / a.step_y);
    return a;
}

static double at_x(const struct axes *a, double x)
{
    return LEFT + (x - a->x0) / (a->x1 - a->x0) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const struct axes *a, double y)
{
    return HEIGHT - BOTTOM - (y - a->y0) / (a->y1 - a->y0) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(FILE *out, const struct axes *a)
{
    int decimals = a->step_y >= 1 ? 0 : (int)ceil(-log10(a->step_y) - 1e-9);
    for (int i = 0; a->y0 + i * a->step_y <= a->y1 + 1e-9; i++) {
        double value = a->y0 + i * a->step_y, y = at_y(a, value);
        fprintf(out,
                "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
                LEFT, y, WIDTH - RIGHT, LEFT - 8, y + 4, decimals, value);
    }
    for (int i = 0; a->x0 + i * a->step_x <= a->x1 + 1e-9; i++) {
        double value = a->x0 + i * a->step_x, x = at_x(a, value);
        fprintf(out,
                "<path class=\"axis\" d=\"M%.1f %dv5\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 20, value);
    }
    fprintf(out, "<path class=\"axis\" d=\"M%d %dH%d\"/>\n", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">iteration</text>\n", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 14);
    fprintf(out, "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">loss</text>\n",
            (TOP + HEIGHT - BOTTOM) / 2);
}

/* ---- marks --------------------------------------------------------------------------------- */

static void draw_line(FILE *out, const struct axes *a, const double *x, const double *y, size_t count,
                      const char *class)
{
    if (count < 2) return;
    fprintf(out, "<path class=\"%s\" fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"", class);
    for (size_t i = 0; i < count; i++) fprintf(out, "%c%.1f %.1f", i ? 'L' : 'M', at_x(a, x[i]), at_y(a, y[i]));
    fputs("\"/>\n", out);
}

static void draw_points(FILE *out, const struct axes *a, const struct series *s, const char *class, double radius,
                        double opacity)
{
    fprintf(out, "<g class=\"%s\" opacity=\"%.2f\">", class, opacity);
    for (size_t i = 0; i < s->count; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", at_x(a, s->x[i]), at_y(a, s->y[i]), radius);
    fputs("</g>\n", out);
}

static void draw_legend(FILE *out, const struct series *train, const struct series *valid)
{
    int x = WIDTH - RIGHT - 190, y = TOP - 20;
    if (train->count)
        fprintf(out,
                "<path class=\"train\" stroke-width=\"2\" d=\"M%d %dh22\"/><text x=\"%d\" y=\"%d\">training</text>\n",
                x, y - 4, x + 28, y);
    if (valid->count)
        fprintf(out,
                "<path class=\"valid\" stroke-width=\"2\" d=\"M%d %dh22\"/><circle class=\"mark\" cx=\"%d\" cy=\"%d\" "
                "r=\"4\"/><text x=\"%d\" y=\"%d\">validation</text>\n",
                x + 96, y - 4, x + 107, y - 4, x + 124, y);
}

static void draw_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if ((unsigned char)*text >= 0x20)
            fputc(*text, out);
    }
}

static bool draw(FILE *out, const struct series *train, const struct series *valid, const char *title)
{
    struct axes a = axes_fit(train, valid);
    double *smoothed = calloc(train->count + 1, sizeof *smoothed);
    if (!smoothed) return false;
    smooth(train, smoothed);
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n%s"
        "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n<text class=\"title\" x=\"%d\" y=\"32\">",
        WIDTH, HEIGHT, WIDTH, HEIGHT, style, WIDTH, HEIGHT, LEFT);
    draw_escaped(out, title);
    fputs("</text>\n", out);
    draw_axes(out, &a);
    draw_points(out, &a, train, "dot", 2.5, 0.4);
    draw_line(out, &a, train->x, smoothed, train->count, "train");
    draw_line(out, &a, valid->x, valid->y, valid->count, "valid");
    draw_points(out, &a, valid, "mark", 4, 1);
    draw_legend(out, train, valid);
    fputs("</svg>\n", out);
    free(smoothed);
    return true;
}

/* ---- the file ------------------------------------------------------------------------------ */

bool plot_write(const char *path, const json_t *events, const char *title, char *why, size_t size)
{
    struct series train = {0}, valid = {0};
    char temporary[4096];
    bool good = false;
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    errno = 0;
    FILE *out = fopen(temporary, "wb");
    if (out) {
        good = series_collect(&train, events, "train") && series_collect(&valid, events, "valid") &&
               draw(out, &train, &valid, title);
        good = fflush(out) == 0 && fsync(fileno(out)) == 0 && good;
        good = fclose(out) == 0 && good && rename(temporary, path) == 0;
        if (!good) unlink(temporary);
    }
    if (!good) snprintf(why, size, "%s: cannot write the plot: %s", path, strerror(errno ? errno : ENOMEM));
    series_free(&train);
    series_free(&valid);
    return good;
}

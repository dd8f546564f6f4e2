/* manual.c — prints the manual page's source. */
#include "manual.h"

#include <ctype.h>
#include <string.h>

/* Text of the page: a backslash, a leading dot and a dash have meanings in roff. */
static void print_escaped(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void print_literal(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

static void print_option(FILE *out, const struct option *o)
{
    char alias[64];
    fputs(".It Xo\n", out);
    for (size_t i = 0; option_alias(o, i, alias, sizeof alias); i++)
        fprintf(out, ".Fl %s%s ,\n", alias[0] == '-' ? "" : "\\-", alias[0] == '-' ? alias + 1 : alias);
    fprintf(out, ".Fl \\-%s\n", o->name);
    if (o->value) fprintf(out, ".Ar \"%s\"\n", o->value);
    fputs(".Xc\n", out);
    fputc(toupper((unsigned char)o->help[0]), out);
    print_escaped(out, o->help + 1);
    fputs(".\n", out);
    if (o->choices) {
        fputs("One of ", out);
        print_escaped(out, o->choices);
        fputs(".\n", out);
    }
    if (o->fallback) {
        fputs("The default is ", out);
        print_escaped(out, o->fallback);
        fputs(".\n", out);
    }
}

static void print_options(FILE *out, const struct option *options)
{
    bool open = false;
    for (const struct option *o = options; o->name; o++) {
        if (o->type == OPTION_REFUSED) continue;
        if (o->type == OPTION_SECTION) {
            if (open) fputs(".El\n", out);
            fprintf(out, ".Pp\n%s:\n.Bl -tag -width Ds\n", o->name);
            open = true;
        } else
            print_option(out, o);
    }
    if (open) fputs(".El\n", out);
}

static void print_command(FILE *out, const struct command *c)
{
    fprintf(out, ".Ss lorac %s\n", c->name);
    fputc(toupper((unsigned char)c->summary[0]), out);
    print_escaped(out, c->summary + 1);
    fputs(".\n", out);
    if (c->positional) fprintf(out, ".Pp\n.Nm\n.Cm %s\n.Op Ar options\n.Ar \"%s\"\n", c->name, c->positional);
    if (c->details) {
        fputs(".Pp\n", out);
        print_escaped(out, c->details);
        fputc('\n', out);
    }
    print_options(out, c->options);
    if (c->examples) {
        fputs(".Pp\nExamples:\n.Bd -literal\n", out);
        print_literal(out, c->examples);
        fputs(".Ed\n", out);
    }
}

void manual_print(FILE *out, const struct command *const *table)
{
    fputs(
        ".\\\" Printed by `lorac help --man`.\n"
        ".Dd November 23, 2026\n.Dt LORAC 1\n.Os\n"
        ".Sh NAME\n.Nm lorac\n.Nd fine-tune, combine and run LoRA adapters for local language models\n"
        ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar options\n"
        ".Sh DESCRIPTION\n"
        "Each command is explained below;\n.Nm\n.Ar command\n.Fl \\-help\nprints the same.\n"
        "An option takes its value as the next word or behind an equals sign.\n"
        "With\n.Fl \\-json ,\n"
        "results are JSON on standard output, messages for people go to standard error,\n"
        "and a failure prints an object with the member error, which has message, file and kind.\n"
        ".Pp\n"
        "An adapter is named PATH[:SCALE]: SCALE, 1 if it is left out, multiplies the adapter's own scale and may be\n"
        "0 or negative.\n"
        "An argument that exists as a file or folder is always a path.\n"
        ".Sh COMMANDS\n",
        out);
    for (; *table; table++) print_command(out, *table);
    fputs(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
          ".It Ev LORAC_CACHE\nWhere downloads lie; else lorac in\n.Ev XDG_CACHE_HOME ,\nelse ~/.cache/lorac.\n"
          ".It Ev LORAC_ISA\nThe best instruction set to use: scalar, avx2, avx512, avx512bf16 or amx.\n"
          ".It Ev NO_COLOR\nNo colours, if it is set and not empty.\n.El\n"
          ".Sh EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 130 interrupted.\n",
          out);
}

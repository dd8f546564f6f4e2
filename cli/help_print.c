/* help_print.c — the text of --help, from the option tables. */
#include "options.h"

#include <string.h>

enum { COLUMN = 30, WIDTH = 100 };

/* Prints words from column `at`, wrapped, the following lines starting at COLUMN. */
static void print_wrapped(FILE *out, const char *text, size_t at)
{
    while (*text) {
        size_t length = strcspn(text, " ");
        if (at + 1 + length > WIDTH && at > COLUMN) {
            fprintf(out, "\n%*s", COLUMN, "");
            at = COLUMN;
        }
        fprintf(out, "%s%.*s", at > COLUMN ? " " : "", (int)length, text);
        at += length + (at > COLUMN);
        text += length + (text[length] == ' ');
    }
}

static void print_option(FILE *out, const struct option *o)
{
    char left[256], alias[64], line[1024];
    size_t used = 0;
    for (size_t i = 0; option_alias(o, i, alias, sizeof alias); i++)
        if (alias[0] == '-') used += (size_t)snprintf(left + used, sizeof left - used, "%s, ", alias);
    snprintf(left + used, sizeof left - used, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(out, "  %-*s", COLUMN - 2, left);
    if (strlen(left) >= COLUMN - 2) fprintf(out, "\n%*s", COLUMN, "");

    used = (size_t)snprintf(line, sizeof line, "%s", o->help);
    if (o->choices) used += (size_t)snprintf(line + used, sizeof line - used, ": %s", o->choices);
    const char *before = "; also";
    for (size_t i = 0; option_alias(o, i, alias, sizeof alias); i++) {
        if (alias[0] == '-') continue;
        used += (size_t)snprintf(line + used, sizeof line - used, "%s --%s", before, alias);
        before = ",";
    }
    if (o->fallback) snprintf(line + used, sizeof line - used, " (default: %s)", o->fallback);
    print_wrapped(out, line, COLUMN);
    fputc('\n', out);
}

void help_print(FILE *out, const struct command *command)
{
    fprintf(out, "lorac %s — %s\n\nusage: lorac %s%s%s%s\n", command->name, command->summary, command->name,
            command->options[0].name ? " [options]" : "", command->positional ? " " : "",
            command->positional ? command->positional : "");
    if (command->details) fprintf(out, "\n%s\n", command->details);
    for (const struct option *o = command->options; o->name; o++) {
        if (o->type == OPTION_SECTION)
            fprintf(out, "\n%s:\n", o->name);
        else if (o->type != OPTION_REFUSED)
            print_option(out, o);
    }
    if (command->examples) fprintf(out, "\nExamples:\n%s", command->examples);
}

void help_print_overview(FILE *out, const struct command *const *table)
{
    fputs("lorac — fine-tune, combine and run LoRA adapters for local language models\n\n"
          "usage: lorac COMMAND [options]\n\nCommands:\n",
          out);
    for (; *table; table++) fprintf(out, "  %-12s %s\n", (*table)->name, (*table)->summary);
    fputs(
        "\n`lorac COMMAND --help` explains a command. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n",
        out);
}

/* options.h — one table-driven parser for every command.
 *
 * A command is a struct of values, a table of options that names the member each one sets, and a function.
 * Help, shell completions, the manual page and the config file's keys come from the same table.
 * Origins are kept, so that the command line wins over a config file, and that over the default. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum option_type {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_LIST,    /* struct text_list; may be repeated */
    OPTION_INTEGER, /* long long */
    OPTION_COUNT,   /* size_t */
    OPTION_BYTES,   /* size_t, with decimal K, M, G, T */
    OPTION_REAL,    /* double */
    OPTION_CHOICE,  /* int: the index among the choices */
    OPTION_REFUSED, /* mlx-lm has it, lorac does not: `help` says why; `fallback` is a value that asks for nothing */
    OPTION_SECTION  /* a heading of the help */
};

struct text_list {
    const char **items;
    size_t count;
};

struct option {
    enum option_type type;
    const char *name;     /* without dashes; a section's title */
    const char *aliases;  /* other spellings, separated by blanks, one-letter ones as "-c"; NULL: none */
    const char *value;    /* what the help calls the value; NULL: it takes none */
    const char *fallback; /* the default as one would type it; NULL: unset */
    const char *choices;  /* "exact|fast" */
    const char *help;
    size_t offset;      /* of the member in the command's values */
    double least, most; /* bounds of a number; both 0: none. Counts are never negative */
};

#define OPTION(kind, values, member, spelling, ...)                                                                    \
    {                                                                                                                  \
        .type = OPTION_##kind, .name = spelling, .offset = offsetof(values, member), __VA_ARGS__                       \
    }
#define SECTION(title)                                                                                                 \
    {                                                                                                                  \
        .type = OPTION_SECTION, .name = title                                                                          \
    }
#define REFUSED(spelling, metavar, nothing, why)                                                                       \
    {                                                                                                                  \
        .type = OPTION_REFUSED, .name = spelling, .value = metavar, .fallback = nothing, .help = why                   \
    }
#define OPTIONS_END                                                                                                    \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

enum origin { ORIGIN_DEFAULT, ORIGIN_CONFIG, ORIGIN_COMMAND_LINE };

struct arguments;
struct command {
    const char *name, *summary;
    const char *positional; /* what the help calls the arguments that are no options; NULL: none are taken */
    size_t positional_least, positional_most;
    const char *details;  /* a paragraph for the help; may be NULL */
    const char *examples; /* lines */
    const struct option *options;
    size_t values_size;
    int (*run)(struct arguments *arguments); /* the exit status */
};

struct arguments {
    const struct command *command;
    void *values;          /* the command's struct, filled */
    unsigned char *origin; /* enum origin, one per option of the table */
    bool help;             /* --help was there; what follows it was not looked at */
    struct text_list rest; /* positional arguments */
    struct text_list kept; /* copies that values point into */
};

/* Why a parse failed: one sentence. */
struct complaint {
    char text[768];
};
bool complain(struct complaint *why, const char *format, ...) __attribute__((format(printf, 2, 3))); /* false */

bool arguments_init(struct arguments *a, const struct command *command, struct complaint *why);
bool arguments_parse(struct arguments *a, int argc, char **argv, struct complaint *why);
void arguments_free(struct arguments *a);

/* Sets one option from text, unless a stronger origin did already. A flag's text is NULL, "true" or "false". */
bool option_set(struct arguments *a, const struct option *o, const char *text, enum origin origin,
                struct complaint *why);
/* By its name or an alias, without dashes ("-c" for a letter); NULL when there is none. */
const struct option *option_find(const struct option *table, const char *name, size_t length);
enum origin option_origin(const struct arguments *a, const char *name);
/* Whether `word` is the i-th alias' text; iterates over "a b c": returns false at the end. */
bool option_alias(const struct option *o, size_t index, char *alias, size_t size);
size_t options_count(const struct option *table);

/* A finite decimal number that takes up the whole text ("1", "-0.5", "1e-5"; no hexadecimal, no infinity). */
bool parse_decimal(const char *text, double *value);
/* The word of `words` nearest to `word`, if it is near enough to be meant. */
const char *nearest_word(const char *word, const char *const *words, size_t count);
bool list_append(struct text_list *list, const char *item);

void help_print(FILE *out, const struct command *command);
void help_print_overview(FILE *out, const struct command *const *commands);

/* Reads mlx-lm's YAML keys (and every option's own name with _ for -) into the options of `a`. */
bool config_read(struct arguments *a, const char *path, struct complaint *why);

/* The command table, NULL-terminated (main.c). */
extern const struct command *const commands[];

#endif

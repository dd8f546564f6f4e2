/* main.c — the command table. A new command is one file and one line of it. */
#include "common.h"

#include <errno.h>
#include <string.h>

#define COMMANDS(X)                                                                                                    \
    X(generate)                                                                                                        \
    X(chat)                                                                                                            \
    X(train)                                                                                                           \
    X(eval)                                                                                                            \
    X(data)                                                                                                            \
    X(adapter)                                                                                                         \
    X(convert)                                                                                                         \
    X(fuse)                                                                                                            \
    X(tokenize)                                                                                                        \
    X(inspect)                                                                                                         \
    X(bench)                                                                                                           \
    X(completions)                                                                                                     \
    X(version)                                                                                                         \
    X(help)

#define DECLARE(name) extern const struct command command_##name;
#define ENTRY(name)   &command_##name,
COMMANDS(DECLARE)
const struct command *const commands[] = {COMMANDS(ENTRY) NULL};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static bool wants_json(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--json")) return true;
    return false;
}

static int unknown_command(const char *name, bool json)
{
    const char *names[32], *nearest;
    size_t count = 0;
    while (commands[count]) {
        names[count] = commands[count]->name;
        count++;
    }
    nearest = nearest_word(name, names, count);
    if (nearest) return fail_usage(json, "unknown command %s; did you mean %s?", name, nearest);
    return fail_usage(json, "unknown command %s; `lorac help` lists them", name);
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct complaint why;
    int status;
    if (!arguments_init(&arguments, command, &why) || !arguments_parse(&arguments, argc, argv, &why))
        status = fail_usage(wants_json(argc, argv), "%s", why.text);
    else if (arguments.help) {
        help_print(stdout, command);
        status = 0;
    } else
        status = command->run(&arguments);
    arguments_free(&arguments);
    return status;
}

int main(int argc, char **argv)
{
    int status;
    if (argc < 2) {
        help_print_overview(stderr, commands);
        return 2;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) name = "help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) name = "version";
    const struct command *command = find_command(name);
    status = command ? run_command(command, argc - 2, argv + 2) : unknown_command(name, wants_json(argc, argv));
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "lorac: cannot write to standard output: %s\n", strerror(errno));
        if (!status) status = 1;
    }
    return status;
}

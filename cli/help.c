/* help.c — `lorac help [COMMAND]`, and the manual page. */
#include "common.h"
#include "manual.h"

#include <string.h>

struct help {
    bool manual;
};

static const struct option option_table[] = {
    SECTION("Output"),
    OPTION(FLAG, struct help, manual, "man", .help = "print the manual page's source (mdoc)"),
    OPTIONS_END,
};

static int run(struct arguments *a)
{
    const struct help *help = a->values;
    if (help->manual) {
        manual_print(stdout, commands);
        return 0;
    }
    if (!a->rest.count) {
        help_print_overview(stdout, commands);
        return 0;
    }
    for (size_t i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, a->rest.items[0])) {
            help_print(stdout, commands[i]);
            return 0;
        }
    return fail_usage(false, "unknown command %s; `lorac help` lists them", a->rest.items[0]);
}

const struct command command_help = {
    .name = "help",
    .summary = "explain lorac or one of its commands",
    .positional = "[COMMAND]",
    .positional_most = 1,
    .examples = "  lorac help train\n",
    .options = option_table,
    .values_size = sizeof(struct help),
    .run = run,
};

/* version.c — `lorac version`. */
#include "common.h"
#include "json_out.h"

struct version {
    bool json;
};

static const struct option option_table[] = {
    SECTION("Output"),
    OPTION(FLAG, struct version, json, "json", .help = "print JSON on standard output"),
    OPTIONS_END,
};

static int run(struct arguments *a)
{
    const struct version *version = a->values;
    if (version->json)
        json_print_line(stdout, json_pack("{s:s}", "version", lorac_version()));
    else
        printf("lorac %s\n", lorac_version());
    return 0;
}

const struct command command_version = {
    .name = "version",
    .summary = "print the version",
    .examples = "  lorac version\n",
    .options = option_table,
    .values_size = sizeof(struct version),
    .run = run,
};

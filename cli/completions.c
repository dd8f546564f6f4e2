/* completions.c — `lorac completions SHELL`: completion scripts from the option tables. */
#include "common.h"

#include <string.h>

static const struct option option_table[] = {OPTIONS_END};

static bool offered(const struct option *o)
{
    return o->type != OPTION_SECTION && o->type != OPTION_REFUSED;
}

/* "a|b" with another character between. */
static void print_choices(const char *choices, char between)
{
    for (; *choices; choices++) putchar(*choices == '|' ? between : *choices);
}

/* For single quotes in every shell; zsh and its kin also mind brackets and colons. */
static void print_quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr(special, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

/* ---- bash ---------------------------------------------------------------------------------- */

static void bash_command(const struct command *c)
{
    printf("    %s)\n        case \"$previous\" in\n", c->name);
    for (const struct option *o = c->options; o->name; o++) {
        if (!offered(o) || !o->choices) continue;
        printf("        --%s) COMPREPLY=($(compgen -W '", o->name);
        print_choices(o->choices, ' ');
        printf("' -- \"$word\")); return ;;\n");
    }
    printf("        esac\n        words='--help");
    for (const struct option *o = c->options; o->name; o++)
        if (offered(o)) printf(" --%s", o->name);
    printf("' ;;\n");
}

static void bash_print(void)
{
    printf("_lorac()\n{\n"
           "    local word=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\" words=''\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; commands[i]; i++) printf("%s%s", i ? " " : "", commands[i]->name);
    printf("' -- \"$word\"))\n        return\n    fi\n    case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; commands[i]; i++) bash_command(commands[i]);
    printf("    esac\n"
           "    if [[ \"$word\" == -* ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "    else COMPREPLY=($(compgen -f -- \"$word\")); fi\n}\n"
           "complete -o filenames -F _lorac lorac\n");
}

/* ---- zsh ----------------------------------------------------------------------------------- */

static void zsh_option(const struct option *o)
{
    printf("            '%s--%s[", o->type == OPTION_LIST ? "*" : "", o->name);
    print_quoted(o->help, "[]:\\");
    putchar(']');
    if (o->value) {
        printf(":%s:", o->name);
        if (o->choices) {
            putchar('(');
            print_choices(o->choices, ' ');
            putchar(')');
        } else
            printf("_files");
    }
    printf("' \\\n");
}

static void zsh_print(void)
{
    printf("#compdef lorac\n_lorac()\n{\n    local -a names\n    if (( CURRENT == 2 )); then\n        names=(\n");
    for (size_t i = 0; commands[i]; i++) {
        printf("            '%s:", commands[i]->name);
        print_quoted(commands[i]->summary, ":\\");
        printf("'\n");
    }
    printf("        )\n        _describe command names\n        return\n    fi\n    case $words[2] in\n");
    for (size_t i = 0; commands[i]; i++) {
        printf("    %s)\n        shift words; (( CURRENT-- ))\n        _arguments \\\n", commands[i]->name);
        for (const struct option *o = commands[i]->options; o->name; o++)
            if (offered(o)) zsh_option(o);
        printf("            '--help[explain this command]' '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_lorac \"$@\"\n");
}

/* ---- fish ---------------------------------------------------------------------------------- */

static void fish_option(const struct command *c, const struct option *o)
{
    printf("complete -c lorac -n '__fish_seen_subcommand_from %s' -l %s%s", c->name, o->name, o->value ? " -r" : "");
    if (o->choices) {
        printf(" -f -a '");
        print_choices(o->choices, ' ');
        putchar('\'');
    }
    printf(" -d '");
    for (const char *s = o->help; *s; s++) printf(strchr("'\\", *s) ? "\\%c" : "%c", *s);
    printf("'\n");
}

static void fish_print(void)
{
    for (size_t i = 0; commands[i]; i++) {
        printf("complete -c lorac -f -n __fish_use_subcommand -a %s -d '%s'\n", commands[i]->name,
               commands[i]->summary);
        for (const struct option *o = commands[i]->options; o->name; o++)
            if (offered(o)) fish_option(commands[i], o);
    }
}

/* ---- the command --------------------------------------------------------------------------- */

static int run(struct arguments *a)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash_print}, {"zsh", zsh_print}, {"fish", fish_print}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (!strcmp(shells[i].name, a->rest.items[0])) {
            shells[i].print();
            return 0;
        }
    return fail_usage(false, "there are completions for bash, zsh and fish, not for '%s'", a->rest.items[0]);
}

const struct command command_completions = {
    .name = "completions",
    .summary = "print a shell's completion script",
    .positional = "bash|zsh|fish",
    .positional_least = 1,
    .positional_most = 1,
    .examples = "  lorac completions bash > /etc/bash_completion.d/lorac\n"
                "  lorac completions fish > ~/.config/fish/completions/lorac.fish\n",
    .options = option_table,
    .run = run,
};

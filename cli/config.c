/* config.c — `lorac train -c FILE`: mlx-lm's YAML keys, set as options of lower rank than the command line.
 *
 * A key is an option's name with _ for -, or one of lora_parameters, lr_schedule and optimizer_config.
 * null means "not given". Refuses unknown keys and settings that would change numbers and are not computed. */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct config {
    struct arguments *arguments;
    const char *path;
    yaml_document_t document;
    struct complaint *why;
};

/* ---- the document -------------------------------------------------------------------------- */

static bool config_error(struct config *c, const yaml_node_t *at, const char *message)
{
    return complain(c->why, "%s:%zu: %s", c->path, at ? at->start_mark.line + 1 : 1, message);
}

static yaml_node_t *node(struct config *c, int index)
{
    return yaml_document_get_node(&c->document, index);
}

static const char *scalar(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static bool is_word(const yaml_node_t *n, const char *const *words)
{
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (; *words; words++)
        if (!strcmp(scalar(n), *words)) return true;
    return false;
}

static bool is_null(const yaml_node_t *n)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_word(n, words);
}

/* The text that the command line would have: YAML's booleans become true and false. */
static const char *plain_text(const yaml_node_t *n)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "on", NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no", "off", NULL};
    return is_word(n, yes) ? "true" : is_word(n, no) ? "false" : scalar(n);
}

/* Calls `visit` for each pair of a mapping until one fails. null is an empty mapping. */
static bool each_pair(struct config *c, const yaml_node_t *mapping, const char *name,
                      bool (*visit)(struct config *, const char *key, yaml_node_t *at, yaml_node_t *value))
{
    char message[128];
    if (is_null(mapping)) return true;
    if (mapping->type != YAML_MAPPING_NODE) {
        snprintf(message, sizeof message, "%s must be a mapping of keys to values", name);
        return config_error(c, mapping, message);
    }
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
        yaml_node_t *key = node(c, p->key);
        if (!scalar(key)) return config_error(c, key, "a key must be a plain word");
        if (!visit(c, scalar(key), key, node(c, p->value))) return false;
    }
    return true;
}

static yaml_node_t *member(struct config *c, const yaml_node_t *mapping, const char *name)
{
    yaml_node_t *found = NULL;
    if (mapping->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
        const char *key = scalar(node(c, p->key));
        if (key && !strcmp(key, name)) found = node(c, p->value);
    }
    return found && is_null(found) ? NULL : found;
}

/* ---- options ------------------------------------------------------------------------------- */

/* A copy that lives as long as the arguments. */
static const char *keep(struct config *c, char *text)
{
    if (text && list_append(&c->arguments->kept, text)) return text;
    free(text);
    return NULL;
}

/* A sequence of scalars as "a,b,c". */
static char *join(struct config *c, const yaml_node_t *sequence)
{
    char *text = calloc(1, 1);
    for (yaml_node_item_t *i = sequence->data.sequence.items.start; text && i < sequence->data.sequence.items.top;
         i++) {
        const char *item = scalar(node(c, *i));
        char *longer = item ? realloc(text, strlen(text) + strlen(item) + 2) : NULL;
        if (!longer) {
            free(text);
            return NULL;
        }
        text = longer;
        if (*text) strcat(text, ",");
        strcat(text, item);
    }
    return text;
}

static bool set_text(struct config *c, const char *name, const char *text, const yaml_node_t *at)
{
    struct complaint why;
    const struct option *o = option_find(c->arguments->command->options, name, strlen(name));
    if (option_set(c->arguments, o, text, ORIGIN_CONFIG, &why)) return true;
    return config_error(c, at, why.text);
}

static bool set_node(struct config *c, const char *name, const yaml_node_t *value)
{
    char message[128];
    char *text = NULL;
    const char *kept;
    if (is_null(value)) return true;
    if (value->type == YAML_SCALAR_NODE)
        text = strdup(plain_text(value));
    else if (value->type == YAML_SEQUENCE_NODE)
        text = join(c, value);
    if ((kept = keep(c, text))) return set_text(c, name, kept, value);
    snprintf(message, sizeof message, "%s must be one value", name);
    return config_error(c, value, message);
}

static bool unknown_key(struct config *c, const char *key, const yaml_node_t *at, const char *const *known,
                        size_t count)
{
    char message[256];
    const char *nearest = nearest_word(key, known, count);
    snprintf(message, sizeof message, "unknown key %s%s%s%s", key, nearest ? "; did you mean " : "",
             nearest ? nearest : "", nearest ? "?" : "");
    return config_error(c, at, message);
}

/* ---- nested settings ----------------------------------------------------------------------- */

static bool lora_parameter(struct config *c, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    static const char *const known[] = {"rank", "scale", "alpha", "dropout", "keys"};
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(key, known[i])) return set_node(c, key, value);
    if (!strcmp(key, "keys")) return set_node(c, "target-modules", value);
    return unknown_key(c, key, at, known, 5);
}

static bool is_number(struct config *c, const yaml_node_t *n, double wanted)
{
    double value;
    return n && scalar(n) && parse_decimal(scalar(n), &value) && value == wanted;
}

static bool adam_setting(struct config *c, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    static const char *const known[] = {"weight_decay", "betas", "eps", "bias_correction"};
    if (!strcmp(key, "weight_decay")) return set_node(c, "weight-decay", value);
    if (!strcmp(key, "eps")) return is_number(c, value, 1e-8) || config_error(c, value, "eps is always 1e-8");
    if (!strcmp(key, "bias_correction"))
        return !strcmp(plain_text(value) ? plain_text(value) : "", "true") ||
               config_error(c, value, "the bias of the moments is always corrected");
    if (!strcmp(key, "betas")) {
        const yaml_node_item_t *i = value->type == YAML_SEQUENCE_NODE ? value->data.sequence.items.start : NULL;
        return (i && value->data.sequence.items.top - i == 2 && is_number(c, node(c, i[0]), 0.9) &&
                is_number(c, node(c, i[1]), 0.999)) ||
               config_error(c, value, "betas are always [0.9, 0.999]");
    }
    return unknown_key(c, key, at, known, 4);
}

/* Settings of optimisers that are not used are none of our business, as in mlx-lm. */
static bool optimizer_setting(struct config *c, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    if (strcmp(key, "adam") && strcmp(key, "adamw")) return true;
    return each_pair(c, value, key, adam_setting);
}

static size_t count_option(struct config *c, const char *name)
{
    const struct option *o = option_find(c->arguments->command->options, name, strlen(name));
    return *(const size_t *)((const char *)c->arguments->values + o->offset);
}

/* mlx-lm gives a decay its length and end; lorac's run over all steps behind the warm-up and end at 0. */
static bool check_decay(struct config *c, const yaml_node_t *schedule, const yaml_node_t *end, const yaml_node_t *steps)
{
    char message[256];
    size_t iterations = count_option(c, "iters"), k = count_option(c, "grad-accumulation-steps");
    size_t warmup = count_option(c, "warmup"), total = k ? (iterations + k - 1) / k : iterations;
    size_t length = total > warmup ? total - warmup : 0;
    if ((!end || is_number(c, end, 0)) && (!steps || is_number(c, steps, (double)length))) return true;
    snprintf(message, sizeof message,
             "lr_schedule: a decay ends at 0 with the last step, here %zu steps after the warm-up; other ends and "
             "lengths are not available",
             length);
    return config_error(c, schedule, message);
}

static bool schedule_key(struct config *c, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    static const char *const known[] = {"name", "arguments", "warmup", "warmup_init"};
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(key, known[i])) return true;
    return unknown_key(c, key, at, known, 4);
}

/* {name, arguments: [rate, …], warmup, warmup_init} */
static bool lr_schedule(struct config *c, yaml_node_t *schedule)
{
    if (is_null(schedule)) return true;
    if (schedule->type == YAML_SCALAR_NODE) return set_node(c, "lr-schedule", schedule);
    if (!each_pair(c, schedule, "lr_schedule", schedule_key)) return false;
    yaml_node_t *name = member(c, schedule, "name"), *list = member(c, schedule, "arguments");
    yaml_node_t *warmup = member(c, schedule, "warmup"), *from = member(c, schedule, "warmup_init");
    yaml_node_t *given[3] = {NULL, NULL, NULL};
    if (list && list->type == YAML_SEQUENCE_NODE) {
        yaml_node_item_t *items = list->data.sequence.items.start;
        for (int i = 0; i < 3 && items + i < list->data.sequence.items.top; i++) given[i] = node(c, items[i]);
    }
    if (!name || !scalar(name)) return config_error(c, schedule, "lr_schedule needs a name");
    if (from && !is_number(c, from, 0)) return config_error(c, from, "lr_schedule: the warm-up always starts at 0");
    if (warmup && !set_node(c, "warmup", warmup)) return false;
    if (given[0] && !set_node(c, "learning-rate", given[0])) return false;
    if (!strcmp(scalar(name), "cosine_decay"))
        return set_text(c, "lr-schedule", "cosine", name) && check_decay(c, schedule, given[2], given[1]);
    if (!strcmp(scalar(name), "linear_schedule"))
        return set_text(c, "lr-schedule", "linear", name) && check_decay(c, schedule, given[1], given[2]);
    return config_error(c, name, "lr_schedule: only cosine_decay and linear_schedule are available");
}

/* ---- the file ------------------------------------------------------------------------------ */

static bool unknown_setting(struct config *c, const char *key, const yaml_node_t *at)
{
    char names[128][48];
    const char *known[128];
    size_t count = 0;
    for (const struct option *o = c->arguments->command->options; o->name && count < 125; o++) {
        if (o->type == OPTION_SECTION || o->type == OPTION_REFUSED) continue;
        snprintf(names[count], sizeof names[count], "%s", o->name);
        for (char *s = names[count]; *s; s++)
            if (*s == '-') *s = '_';
        known[count] = names[count];
        count++;
    }
    known[count++] = "lora_parameters";
    known[count++] = "optimizer_config";
    return unknown_key(c, key, at, known, count);
}

static bool setting(struct config *c, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    char name[64];
    if (!strcmp(key, "lora_parameters")) return each_pair(c, value, key, lora_parameter);
    if (!strcmp(key, "optimizer_config")) return each_pair(c, value, key, optimizer_setting);
    if (!strcmp(key, "lr_schedule")) return true; /* last, by config_apply: it depends on the others */
    snprintf(name, sizeof name, "%s", key);
    for (char *s = name; *s; s++)
        if (*s == '_') *s = '-';
    const struct option *o = option_find(c->arguments->command->options, name, strlen(name));
    if (!o || name[0] == '-' || !strcmp(name, "json")) return unknown_setting(c, key, at);
    if (!strcmp(name, "config") && !is_null(value)) return config_error(c, at, "a config cannot name another one");
    if (o->type == OPTION_REFUSED && !is_null(value) && value->type != YAML_SCALAR_NODE)
        return set_text(c, name, "", at);
    return set_node(c, name, value);
}

static bool config_apply(struct config *c)
{
    yaml_node_t *root = yaml_document_get_root_node(&c->document);
    if (!root) return true;
    if (!each_pair(c, root, "the config", setting)) return false;
    yaml_node_t *schedule = member(c, root, "lr_schedule");
    return !schedule || lr_schedule(c, schedule);
}

bool config_read(struct arguments *a, const char *path, struct complaint *why)
{
    struct config c = {.arguments = a, .path = path, .why = why};
    yaml_parser_t parser;
    bool good = false;
    FILE *file = fopen(path, "rb");
    if (!file) return complain(why, "%s: the config cannot be opened", path);
    if (yaml_parser_initialize(&parser)) {
        yaml_parser_set_input_file(&parser, file);
        if (yaml_parser_load(&parser, &c.document)) {
            good = config_apply(&c);
            yaml_document_delete(&c.document);
        } else
            complain(why, "%s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "unreadable");
        yaml_parser_delete(&parser);
    } else
        complain(why, "out of memory");
    fclose(file);
    return good;
}

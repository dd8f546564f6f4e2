/* targets.c — which matrices get a low-rank pair: the last N layers' linears, all, by name, or by expression. */
#include "train/trainer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_LAYERS = 16, MAX_NAMES = 64 };

static lorac_status choose_layers(struct lorac_trainer *t, lorac_error *err)
{
    size_t layers = t->model->config.layers;
    int wanted = t->options.num_layers;
    if (wanted == -2) wanted = layers < DEFAULT_LAYERS ? -1 : DEFAULT_LAYERS;
    if (wanted == 0 || wanted < -1 || (wanted > 0 && (size_t)wanted > layers))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "--num-layers %d: the model has %zu layers (-1 adapts all)",
                    wanted, layers);
    t->first_layer = wanted < 0 ? 0 : layers - (size_t)wanted;
    return LORAC_OK;
}

/* ---- a list of names ------------------------------------------------------------------------ */

/* As PEFT matches: the whole name, or its end behind a dot. */
static bool is_named(const char *name, const char *end, size_t length)
{
    size_t n = strlen(name);
    return n >= length && !memcmp(name + n - length, end, length) && (n == length || name[n - length - 1] == '.');
}

static bool in_list(const char *name, const char *list, uint64_t *hits)
{
    bool found = false;
    size_t i = 0;
    for (const char *at = list; *at; i++) {
        size_t length = strcspn(at, ",");
        if (length && i < MAX_NAMES && is_named(name, at, length)) {
            *hits |= 1ull << i;
            found = true;
        }
        at += length + (at[length] == ',');
    }
    return found;
}

/* The modules of the first layer by the ends of their names. */
static void name_modules(const struct lorac_model *m, char names[256])
{
    size_t length = 0;
    for (size_t i = 0; i < m->linear_count && m->linears[i].layer == m->linears[0].layer; i++) {
        const char *end = strrchr(m->linears[i].name, '.');
        if (m->linears[i].part) continue;
        int more =
            snprintf(names + length, 256 - length, "%s%s", length ? ", " : "", end ? end + 1 : m->linears[i].name);
        if (more < 0 || (size_t)more >= 256 - length) return;
        length += (size_t)more;
    }
}

static lorac_status check_hits(const struct lorac_model *m, const char *list, uint64_t hits, lorac_error *err)
{
    char names[256] = "";
    name_modules(m, names);
    size_t i = 0;
    for (const char *at = list; *at; i++) {
        size_t length = strcspn(at, ",");
        if (length && (i >= MAX_NAMES || !(hits >> i & 1)))
            return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                        "--target-modules: \"%.*s\" matches no module (there are %s)", (int)length, at, names);
        at += length + (at[length] == ',');
    }
    return LORAC_OK;
}

/* ---- the choice ----------------------------------------------------------------------------- */

struct choice {
    const char *list; /* NULL: all */
    pcre2_code *expression;
    pcre2_match_data *match;
    uint64_t hits;
};

static lorac_status open_choice(const char *targets, struct choice *c, lorac_error *err)
{
    *c = (struct choice){0};
    if (!strcmp(targets, "all-linear")) return LORAC_OK;
    if (strncmp(targets, "re:", 3)) {
        c->list = targets;
        return LORAC_OK;
    }
    int number;
    PCRE2_SIZE at;
    c->expression = pcre2_compile((PCRE2_SPTR)targets + 3, PCRE2_ZERO_TERMINATED,
                                  PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &number, &at, NULL);
    if (!c->expression)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "--target-modules: the expression \"%s\" is wrong at character %zu", targets + 3, at + 1);
    c->match = pcre2_match_data_create_from_pattern(c->expression, NULL);
    return c->match ? LORAC_OK : fail_memory(err, "an expression", 0);
}

static bool chosen(struct choice *c, const char *name)
{
    if (c->list) return in_list(name, c->list, &c->hits);
    return !c->expression ||
           pcre2_match(c->expression, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, c->match, NULL) >= 0;
}

static void close_choice(struct choice *c)
{
    pcre2_match_data_free(c->match);
    pcre2_code_free(c->expression);
}

/* mlx-lm adapts the same modules in each of the last N layers. */
static lorac_status check_mlx(const struct lorac_trainer *t, lorac_error *err)
{
    size_t layers = t->model->config.layers - t->first_layer,
           per_layer = t->model->linear_count / t->model->config.layers;
    if (!(t->options.format & LORAC_FORMAT_MLX)) return LORAC_OK;
    bool even = t->layout.count % layers == 0;
    for (size_t i = t->layout.count / layers; even && i < t->layout.count; i++)
        even = t->layout.modules[i].linear->index ==
               t->layout.modules[i - t->layout.count / layers].linear->index + per_layer;
    if (even) return LORAC_OK;
    return fail(err, LORAC_UNSUPPORTED, NULL,
                "mlx-lm's format adapts the same modules in each of the last %zu layers, which \"%s\" does not; use "
                "--adapter-format peft",
                layers, t->targets);
}

lorac_status targets_choose(struct lorac_trainer *t, lorac_error *err)
{
    struct choice c;
    TRY(choose_layers(t, err));
    t->layout.modules = mem_array(&t->runtime->memory, t->model->linear_count, sizeof *t->layout.modules);
    if (!t->layout.modules) return fail_memory(err, "the adapter", t->model->linear_count);
    lorac_status status = open_choice(t->targets, &c, err);
    size_t lowest = t->model->config.layers;
    for (size_t i = 0; status == LORAC_OK && i < t->model->linear_count; i++) {
        const struct linear *l = &t->model->linears[i];
        if (l->part || !chosen(&c, l->name) || l->layer < t->first_layer) continue;
        t->layout.modules[t->layout.count++] = (struct adapter_module){l, t->options.rank, t->options.scale, 0, 0};
        if (l->layer < lowest) lowest = l->layer;
    }
    if (status == LORAC_OK && c.list) status = check_hits(t->model, c.list, c.hits, err);
    close_choice(&c);
    if (status == LORAC_OK && !t->layout.count)
        status = fail(err, LORAC_INVALID_ARGUMENT, NULL,
                      "--target-modules \"%s\" matches no module of the layers that --num-layers leaves", t->targets);
    if (status == LORAC_OK) status = check_mlx(t, err);
    return status == LORAC_OK ? layout_place(&t->layout, err) : status;
}

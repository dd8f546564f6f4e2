/* data_check.c — `lorac data check`: what training would see of a data folder, before it costs time.
 *
 * Counts, lengths, rows that are cut, rows without a target, rows that stand twice or in two splits, and a few rows
 * with their targets in colour. */
#include "data.h"
#include "json_out.h"
#include "terminal.h"

#include <stdlib.h>
#include <string.h>

enum { SPLITS = 3, BUCKETS = 24 };
static const char *const split_names[SPLITS] = {"train", "valid", "test"};

struct data_check {
    struct common common;
    struct data data;
    size_t examples;
};

static const struct option option_table[] = {
    SECTION("Data"),
    DATA_OPTIONS(struct data_check),
    OPTION(COUNT, struct data_check, examples, "examples", .value = "N", .fallback = "2",
           .help = "show the first N rows with their targets marked"),
    SECTION("Tokenizer (the model's)"),
    OPTION(TEXT, struct data_check, common.tokenizer, "tokenizer", .value = "PATH",
           .help = "a tokenizer.json, a GGUF file or a folder, in place of --model"),
    MODEL_OPTIONS(struct data_check),
    SECTION("Output"),
    JSON_OPTION(struct data_check),
    OPTIONS_END,
};

/* ---- measuring ----------------------------------------------------------------------------- */

struct split {
    const char *name;
    char path[4096];
    lorac_dataset *whole, *seen; /* rows at full length, and as training sees them; seen may be whole or NULL */
    size_t rows, tokens, targets, *lengths;
    size_t over, empty, first_empty, twice; /* first_empty: its number from 1 */
    size_t buckets[BUCKETS];                /* rows of at most 8, 16, 32 … tokens */
};

struct row {
    uint64_t hash;
    size_t split, number;
    const int32_t *ids;
    size_t count;
};

struct report {
    struct split splits[SPLITS];
    size_t split_count;
    size_t shared[SPLITS][SPLITS]; /* rows of the second split that are also in the first */
};

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static size_t bucket_of(size_t length)
{
    size_t bucket = 0;
    while (bucket + 1 < BUCKETS && length > (size_t)8 << bucket) bucket++;
    return bucket;
}

static void measure_lengths(struct split *s, size_t most)
{
    lorac_dataset_info info = {.struct_size = sizeof info};
    const int32_t *ids;
    const uint8_t *mask;
    lorac_dataset_get_info(s->whole, &info);
    s->rows = info.rows;
    s->lengths = calloc(info.rows + 1, sizeof *s->lengths);
    for (size_t i = 0; s->lengths && i < info.rows; i++) {
        lorac_dataset_row(s->whole, i, &ids, &mask, &s->lengths[i], NULL);
        s->buckets[bucket_of(s->lengths[i])]++;
        s->over += most && s->lengths[i] > most;
    }
    if (s->lengths) qsort(s->lengths, s->rows, sizeof *s->lengths, by_size);
}

static void measure_targets(struct split *s)
{
    lorac_dataset_info info = {.struct_size = sizeof info};
    const lorac_dataset *d = s->seen ? s->seen : s->whole;
    const int32_t *ids;
    const uint8_t *mask;
    size_t count;
    lorac_dataset_get_info(d, &info);
    s->tokens = info.tokens;
    s->targets = info.targets;
    for (size_t i = 0; i < info.rows; i++) {
        lorac_dataset_row(d, i, &ids, &mask, &count, NULL);
        if (memchr(mask, 1, count)) continue;
        if (!s->empty++) s->first_empty = i + 1;
    }
}

static int open_split(const struct data_check *c, const struct engine *e, struct split *s)
{
    struct data whole = c->data;
    whole.max_seq_length = 0;
    int status = data_open(&whole, e, s->name, c->common.json, &s->whole);
    if (status) return status;
    data_path(&c->data, s->name, s->path, sizeof s->path);
    measure_lengths(s, c->data.max_seq_length);
    if (s->over && c->data.overlong != LORAC_OVERLONG_ERROR)
        status = data_open(&c->data, e, s->name, c->common.json, &s->seen);
    if (!status) measure_targets(s);
    return status;
}

/* ---- rows that stand twice ----------------------------------------------------------------- */

static uint64_t hash_ids(const int32_t *ids, size_t count)
{
    uint64_t hash = 0xCBF29CE484222325; /* FNV-1a */
    for (size_t i = 0; i < count; i++) hash = (hash ^ (uint32_t)ids[i]) * 0x100000001B3;
    return hash;
}

static int by_content(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    int order = x->count ? memcmp(x->ids, y->ids, x->count * sizeof *x->ids) : 0;
    if (order) return order;
    return x->split != y->split ? (x->split > y->split) - (x->split < y->split)
                                : (x->number > y->number) - (x->number < y->number);
}

static bool same_ids(const struct row *a, const struct row *b)
{
    return a->count == b->count && !memcmp(a->ids, b->ids, a->count * sizeof *a->ids);
}

/* Rows of equal content stand together: how many each split has of them. */
static void count_group(struct report *r, const struct row *group, size_t count)
{
    size_t in[SPLITS] = {0};
    for (size_t i = 0; i < count; i++) in[group[i].split]++;
    for (size_t a = 0; a < SPLITS; a++) {
        if (in[a] > 1) r->splits[a].twice += in[a] - 1;
        for (size_t b = a + 1; b < SPLITS; b++)
            if (in[a]) r->shared[a][b] += in[b];
    }
}

static bool find_twins(struct report *r)
{
    size_t total = 0, at = 0;
    const uint8_t *mask;
    for (size_t i = 0; i < r->split_count; i++) total += r->splits[i].rows;
    struct row *rows = calloc(total + 1, sizeof *rows);
    if (!rows) return false;
    for (size_t i = 0; i < r->split_count; i++)
        for (size_t k = 0; k < r->splits[i].rows; k++, at++) {
            rows[at] = (struct row){.split = i, .number = k};
            lorac_dataset_row(r->splits[i].whole, k, &rows[at].ids, &mask, &rows[at].count, NULL);
            rows[at].hash = hash_ids(rows[at].ids, rows[at].count);
        }
    qsort(rows, total, sizeof *rows, by_content);
    for (size_t from = 0, to; from < total; from = to) {
        for (to = from + 1; to < total && same_ids(&rows[from], &rows[to]);) to++;
        count_group(r, rows + from, to - from);
    }
    free(rows);
    return true;
}

/* ---- for people ---------------------------------------------------------------------------- */

static size_t quantile(const struct split *s, double part)
{
    return s->rows && s->lengths ? s->lengths[(size_t)(part * (double)(s->rows - 1))] : 0;
}

static void print_histogram(const struct split *s)
{
    size_t most = 1, first = 0, last = BUCKETS;
    for (size_t i = 0; i < BUCKETS; i++)
        if (s->buckets[i] > most) most = s->buckets[i];
    while (first < BUCKETS && !s->buckets[first]) first++;
    while (last > first && !s->buckets[last - 1]) last--;
    for (size_t i = first; i < last; i++) {
        printf("    up to %7zu  %7zu  ", (size_t)8 << i, s->buckets[i]);
        for (size_t k = 0; k < (s->buckets[i] * 40 + most - 1) / most; k++) fputs("█", stdout);
        puts("");
    }
}

static void print_split(const struct data_check *c, const struct split *s)
{
    printf("%s: %s\n  %zu rows, %zu tokens, %zu of them targets (%.1f %%)\n", s->name, s->path, s->rows, s->tokens,
           s->targets, s->tokens ? 100.0 * (double)s->targets / (double)s->tokens : 0);
    printf("  tokens of a row: median %zu, 95 %% have at most %zu, the longest %zu\n", quantile(s, 0.5),
           quantile(s, 0.95), quantile(s, 1));
    print_histogram(s);
    if (s->over)
        printf("  %zu rows are longer than --max-seq-length %zu%s\n", s->over, c->data.max_seq_length,
               c->data.overlong == LORAC_OVERLONG_ERROR   ? ": training would refuse them"
               : c->data.overlong == LORAC_OVERLONG_SPLIT ? " and are split"
                                                          : " and are cut");
    if (s->empty)
        printf("  %zu rows have no target and teach nothing; the first is row %zu\n", s->empty, s->first_empty);
    if (s->twice) printf("  %zu rows stand here more than once\n", s->twice);
}

static void print_shared(const struct report *r)
{
    for (size_t a = 0; a < r->split_count; a++)
        for (size_t b = a + 1; b < r->split_count; b++)
            if (r->shared[a][b])
                printf("%zu rows of %s are also in %s\n", r->shared[a][b], r->splits[b].name, r->splits[a].name);
}

/* ---- rows as text, cut where targets begin and end ----------------------------------------- */

/* Calls `piece` for each stretch of a row that is all target or all not. */
static bool walk_row(const struct engine *e, const lorac_dataset *d, size_t row,
                     void (*piece)(void *user, const char *text, size_t length, bool target), void *user)
{
    const int32_t *ids;
    const uint8_t *mask;
    size_t count, length;
    char *text;
    if (lorac_dataset_row(d, row, &ids, &mask, &count, NULL)) return false;
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && mask[to] == mask[from];) to++;
        if (lorac_tokenizer_decode(e->tokenizer, ids + from, to - from, 0, &text, &length, NULL)) return false;
        piece(user, text, length, mask[from]);
        lorac_free(text);
    }
    return true;
}

static void print_piece(void *user, const char *text, size_t length, bool target)
{
    const struct terminal *t = user;
    const char *on = t->colours ? terminal_colour(t, COLOUR_GREEN) : "[[",
               *off = t->colours ? terminal_colour(t, COLOUR_NONE) : "]]";
    if (target) fputs(on, stdout);
    fwrite(text, 1, length, stdout);
    if (target) fputs(off, stdout);
}

static void add_piece(void *user, const char *text, size_t length, bool target)
{
    json_array_append_new(user, json_pack("{s:o,s:b}", "text", json_text(text, length), "target", (int)target));
}

static const lorac_dataset *shown(const struct report *r)
{
    return r->splits[0].seen ? r->splits[0].seen : r->splits[0].whole;
}

static void print_examples(const struct data_check *c, const struct engine *e, const struct report *r)
{
    struct terminal t;
    terminal_open(&t, stdout);
    for (size_t i = 0; i < c->examples && i < r->splits[0].rows; i++) {
        printf("\n%s row %zu (targets %s):\n", r->splits[0].name, i + 1, t.colours ? "in green" : "in [[ ]]");
        walk_row(e, shown(r), i, print_piece, &t);
        puts("");
    }
}

/* ---- as JSON ------------------------------------------------------------------------------- */

static json_t *split_json(const struct split *s)
{
    json_t *histogram = json_array();
    for (size_t i = 0; i < BUCKETS; i++)
        if (s->buckets[i])
            json_array_append_new(histogram, json_pack("{s:I,s:I}", "up_to", (json_int_t)((size_t)8 << i), "rows",
                                                       (json_int_t)s->buckets[i]));
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "path", s->path, "rows", (json_int_t)s->rows,
                     "tokens", (json_int_t)s->tokens, "targets", (json_int_t)s->targets, "median",
                     (json_int_t)quantile(s, 0.5), "percentile_95", (json_int_t)quantile(s, 0.95), "longest",
                     (json_int_t)quantile(s, 1), "overlong", (json_int_t)s->over, "without_target",
                     (json_int_t)s->empty, "duplicates", (json_int_t)s->twice, "lengths", histogram);
}

static void print_json(const struct data_check *c, const struct engine *e, const struct report *r)
{
    json_t *splits = json_object(), *shared = json_array(), *examples = json_array();
    for (size_t a = 0; a < r->split_count; a++) {
        json_object_set_new(splits, r->splits[a].name, split_json(&r->splits[a]));
        for (size_t b = a + 1; b < r->split_count; b++)
            if (r->shared[a][b])
                json_array_append_new(shared, json_pack("{s:s,s:s,s:I}", "of", r->splits[b].name, "in",
                                                        r->splits[a].name, "rows", (json_int_t)r->shared[a][b]));
    }
    for (size_t i = 0; i < c->examples && i < r->splits[0].rows; i++) {
        json_t *pieces = json_array();
        walk_row(e, shown(r), i, add_piece, pieces);
        json_array_append_new(examples, json_pack("{s:s,s:I,s:o}", "split", r->splits[0].name, "row", (json_int_t)i + 1,
                                                  "pieces", pieces));
    }
    json_print_line(stdout, json_pack("{s:o,s:o,s:o}", "splits", splits, "shared", shared, "examples", examples));
}

/* ---- the command --------------------------------------------------------------------------- */

static int check(const struct data_check *c, const struct engine *e, struct report *r)
{
    int status = 0;
    for (size_t i = 0; !status && i < SPLITS; i++) {
        if (!data_has(&c->data, split_names[i])) continue;
        struct split *s = &r->splits[r->split_count++];
        s->name = split_names[i];
        status = open_split(c, e, s);
    }
    if (status) return status;
    if (!r->split_count)
        return fail_status(c->common.json, LORAC_NOT_FOUND, c->data.folder,
                           "%s: holds no train, valid or test .jsonl, .json or .csv", c->data.folder);
    if (!find_twins(r)) return fail_status(c->common.json, LORAC_OUT_OF_MEMORY, NULL, "no memory to compare the rows");
    if (c->common.json) return print_json(c, e, r), 0;
    for (size_t i = 0; i < r->split_count; i++) print_split(c, &r->splits[i]);
    print_shared(r);
    print_examples(c, e, r);
    return 0;
}

static void report_close(struct report *r)
{
    for (size_t i = 0; i < r->split_count; i++) {
        if (r->splits[i].seen) lorac_dataset_close(r->splits[i].seen);
        if (r->splits[i].whole) lorac_dataset_close(r->splits[i].whole);
        free(r->splits[i].lengths);
    }
}

static int run(struct arguments *a)
{
    struct data_check *c = a->values;
    struct report report = {.split_count = 0};
    struct engine e;
    if (strcmp(a->rest.items[0], "check"))
        return fail_usage(c->common.json, "lorac data knows `check`, not '%s'", a->rest.items[0]);
    if (a->rest.count > 1) c->data.folder = a->rest.items[1];
    int status = data_check(a, &c->data, c->common.json);
    if (status) return status;
    status = engine_open(&e, &c->common, OPEN_TOKENIZER);
    if (!status) status = check(c, &e, &report);
    report_close(&report);
    engine_close(&e);
    return status;
}

const struct command command_data = {
    .name = "data",
    .summary = "check a data folder before training on it",
    .details =
        "Counts rows, tokens and targets of each split, and finds rows that are too long, teach nothing, or stand "
        "twice.",
    .positional = "check DIR",
    .positional_least = 1,
    .positional_most = 2,
    .examples = "  lorac data check data --mask-prompt\n"
                "  lorac data check data --train-on assistant --max-seq-length 512 --json\n",
    .options = option_table,
    .values_size = sizeof(struct data_check),
    .run = run,
};

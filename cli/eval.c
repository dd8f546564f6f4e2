/* eval.c — `lorac eval`: the mean loss over a split, every row of it. */
#include "data.h"
#include "json_out.h"
#include "signals.h"
#include <lorac/trainer.h>

#include <math.h>
#include <string.h>

struct eval {
    struct common common;
    struct data data;
    int split;
};

static const struct option option_table[] = {
    SECTION("Data"),
    DATA_OPTIONS(struct eval),
    OPTION(CHOICE, struct eval, split, "split", .value = "SPLIT", .choices = "train|valid|test", .fallback = "valid",
           .help = "which file of the folder"),
    SECTION("Model"),
    MODEL_OPTIONS(struct eval),
    ADAPTER_OPTION(struct eval),
    SECTION("Output"),
    JSON_OPTION(struct eval),
    OPTIONS_END,
};

static int evaluate(const struct eval *v, const struct engine *e, const lorac_dataset *dataset)
{
    lorac_evaluation result;
    int status = data_evaluate(e, e->set, dataset, &v->common, &result);
    if (status) return status;
    if (v->common.json)
        json_print_line(stdout, json_pack("{s:o,s:I,s:o}", "loss", json_number(result.loss), "tokens",
                                          (json_int_t)result.tokens, "perplexity", json_number(exp(result.loss))));
    else
        printf("loss %.4f, perplexity %.3f over %zu target tokens (%.1f s)\n", result.loss, exp(result.loss),
               result.tokens, result.seconds);
    return 0;
}

static int run(struct arguments *a)
{
    static const char *const splits[] = {"train", "valid", "test"};
    const struct eval *v = a->values;
    struct engine e;
    lorac_dataset *dataset = NULL;
    int status = data_check(a, &v->data, v->common.json);
    if (status) return status;
    signals_install();
    status = engine_open(&e, &v->common, OPEN_ALL);
    if (!status) status = data_open(&v->data, &e, splits[v->split], v->common.json, &dataset);
    if (!status) status = evaluate(v, &e, dataset);
    if (dataset) lorac_dataset_close(dataset);
    engine_close(&e);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "measure loss and perplexity on a data set",
    .examples = "  lorac eval --data data --split valid\n"
                "  lorac eval --data data --adapter-path adapters --json\n",
    .options = option_table,
    .values_size = sizeof(struct eval),
    .run = run,
};

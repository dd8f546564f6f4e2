/* bench.c — `lorac bench`: how fast, and how near to what this machine can do. */
#include "bench_phases.h"
#include "json_out.h"
#include "signals.h"
#include "terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct option option_table[] = {
    SECTION("Work"),
    OPTION(COUNT, struct bench, prompt, "prompt-tokens", .aliases = "-p", .value = "N", .fallback = "512", .least = 1,
           .help = "tokens of the prompt"),
    OPTION(COUNT, struct bench, generation, "generation-tokens", .aliases = "-g", .value = "N", .fallback = "128",
           .least = 1, .help = "tokens to decode after it"),
    OPTION(COUNT, struct bench, batch, "batch", .aliases = "batch-size -b", .value = "N", .fallback = "1", .least = 1,
           .most = 4096, .help = "texts at once; with N adapters, text i runs under the i-th alone"),
    OPTION(COUNT, struct bench, trials, "num-trials", .aliases = "-n", .value = "N", .fallback = "3", .least = 1,
           .most = 1000, .help = "times to measure prefill and decoding; the median counts"),
    OPTION(COUNT, struct bench, train_batch, "train-batch", .value = "N", .fallback = "4", .least = 1, .most = 65536,
           .help = "examples of a training step"),
    OPTION(COUNT, struct bench, train_tokens, "train-tokens", .value = "N", .fallback = "512", .least = 1,
           .most = 1000000, .help = "tokens of an example"),
    OPTION(COUNT, struct bench, rank, "rank", .value = "R", .fallback = "8", .least = 1, .help = "rank to train"),
    OPTION(INTEGER, struct bench, layers, "num-layers", .aliases = "lora-layers", .value = "N",
           .help = "layers to train, from the last; -1: all (default: 16, or all if there are fewer)"),
    OPTION(FLAG, struct bench, grad_checkpoint, "grad-checkpoint", .help = "recompute layers in the backward pass"),
    OPTION(COUNT, struct bench, prefill, "prefill-step-size", .value = "N", .fallback = "512",
           .help = "most prompt tokens to compute at once"),
    OPTION(TEXT, struct bench, only, "only", .value = "LIST", .help = "some of prefill,decode,train,open"),
    KV_OPTION(struct bench),
    REFUSED("delay", "N", "0", "trials follow each other at once"),
    REFUSED("pipeline", NULL, "false", "lorac runs on one machine"),
    REFUSED("quantize-activations", NULL, "false", "--precision fast does so where it is safe"),
    SECTION("Model"),
    MODEL_OPTIONS(struct bench),
    ADAPTER_OPTION(struct bench),
    SECTION("Output"),
    JSON_OPTION(struct bench),
    OPTIONS_END,
};

enum { PREFILL = 1, DECODE = 2, TRAIN = 4, OPEN = 8 };

struct results {
    unsigned phases;
    struct speeds speeds;
    struct training training;
    lorac_machine machine;
    lorac_runtime_info runtime;
    double prefill_percent, decode_percent, train_percent, open_ms, slowdown, switch_us;
    const char *prefill_unit, *train_unit;
    bool adapter;
};

/* ---- what to measure ----------------------------------------------------------------------- */

static bool parse_only(const char *list, unsigned *phases)
{
    static const char *const names[] = {"prefill", "decode", "train", "open"};
    *phases = 0;
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ","), i = 0;
        while (i < 4 && (strlen(names[i]) != length || memcmp(names[i], at, length))) i++;
        if (i == 4) return false;
        *phases |= 1u << i;
        at += length + (at[length] == ',');
    }
    return *phases != 0;
}

/* The sets of all rows. With as many adapters as rows, each row runs under its own. */
static lorac_status rows_open(const struct bench *b, const struct engine *e, struct rows *rows, lorac_error *err)
{
    bool own = b->batch > 1 && e->adapter_count == b->batch;
    rows->sets = calloc(b->batch, sizeof *rows->sets);
    rows->count = rows->sets ? b->batch : 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (own) {
            lorac_status failed = lorac_adapter_set_create(&e->adapters[i], &e->factors[i], 1, &rows->sets[i], err);
            if (failed) return failed;
        } else if (e->set) {
            rows->sets[i] = e->set;
            lorac_adapter_set_retain(e->set);
        }
    }
    for (size_t i = 0; i < e->adapter_count; i++) {
        lorac_adapter_info info = {.struct_size = sizeof info};
        lorac_adapter_get_info(e->adapters[i], &info);
        rows->adapter_parameters += info.parameters;
        rows->adapter_uses += info.parameters * (own ? 1 : rows->count);
    }
    return LORAC_OK;
}

static void rows_close(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->sets[i]) lorac_adapter_set_release(rows->sets[i]);
    free(rows->sets);
}

/* ---- measuring ----------------------------------------------------------------------------- */

/* The limits come first, on a runtime of their own. */
static int measure_machine(const struct bench *b, struct results *r)
{
    struct engine e;
    lorac_error err;
    int status = engine_open(&e, &b->common, 0);
    if (!status && lorac_machine_measure(e.runtime, &r->machine, &err)) status = fail_error(b->common.json, &err);
    if (!status) lorac_runtime_get_info(e.runtime, &r->runtime);
    engine_close(&e);
    return status;
}

/* What the adapters cost: the same rows without them are measured in turns. */
static lorac_status measure_speeds(const struct bench *b, const struct engine *e, const struct rows *rows,
                                   struct results *r, lorac_error *err)
{
    struct speeds bare = {0};
    r->adapter = e->set != NULL;
    lorac_status failed = measure_generation(b, e->model, rows, &r->speeds, r->adapter ? &bare : NULL, err);
    if (failed || !r->adapter) return failed;
    if (r->speeds.decode > 0) r->slowdown = 100 * (bare.decode / r->speeds.decode - 1);
    return measure_switch(b, e->model, e->set, &r->switch_us, err);
}

static lorac_status measure(const struct bench *b, const struct engine *e, const struct rows *rows, struct results *r,
                            lorac_error *err)
{
    bool fast = b->common.precision == LORAC_FAST, bf16 = fast && r->machine.peak_bf16 > 0;
    lorac_model_info m = {.struct_size = sizeof m};
    lorac_status failed = LORAC_OK;
    lorac_model_get_info(e->model, &m);
    bool int8 = fast && m.int8_products && r->machine.peak_int8 > 0;
    double peak = bf16 ? r->machine.peak_bf16 : r->machine.peak_f32;
    double prefill_peak = int8 ? r->machine.peak_int8 : peak;
    r->train_unit = bf16 ? "bf16" : "f32";
    r->prefill_unit = int8 ? "int8" : r->train_unit;
    if (r->phases & (PREFILL | DECODE)) {
        failed = measure_speeds(b, e, rows, r, err);
        double prompts_per_second = r->speeds.prefill / (double)(b->prompt * rows->count);
        r->prefill_percent = 100 * prompts_per_second * prefill_flops(b, e->model, rows) / prefill_peak;
        double steps_per_second = r->speeds.decode / (double)rows->count;
        r->decode_percent = 100 * steps_per_second * decode_bytes(b, e->model, rows) / r->machine.read_bandwidth;
    }
    if (!failed && r->phases & TRAIN) {
        failed = measure_training(b, e, &r->training, err);
        r->train_percent = 100 * r->training.flops_per_second / peak;
    }
    return failed;
}

/* ---- printing ------------------------------------------------------------------------------ */

static json_t *machine_json(const struct results *r)
{
    return json_pack("{s:o,s:i,s:s,s:o,s:o,s:o,s:o}", "cpu", json_text(r->machine.cpu, strlen(r->machine.cpu)),
                     "threads", r->runtime.threads, "isa", r->runtime.isa ? r->runtime.isa : "scalar",
                     "read_bandwidth_bytes_per_second", json_number(r->machine.read_bandwidth), "peak_f32_flops",
                     json_number(r->machine.peak_f32), "peak_bf16_flops", json_number(r->machine.peak_bf16),
                     "peak_int8_ops", json_number(r->machine.peak_int8));
}

static void print_json(const struct results *r)
{
    json_t *object = json_object();
    if (r->phases & PREFILL)
        json_object_set_new(object, "prefill",
                            json_pack("{s:o,s:o,s:s,s:I}", "tokens_per_second", json_number(r->speeds.prefill),
                                      "percent_of_peak", json_number(r->prefill_percent), "unit", r->prefill_unit,
                                      "peak_rss_bytes", (json_int_t)r->speeds.prefill_rss));
    if (r->phases & DECODE)
        json_object_set_new(object, "decode",
                            json_pack("{s:o,s:o,s:I}", "tokens_per_second", json_number(r->speeds.decode),
                                      "percent_of_bandwidth", json_number(r->decode_percent), "peak_rss_bytes",
                                      (json_int_t)r->speeds.decode_rss));
    if (r->phases & TRAIN)
        json_object_set_new(object, "train",
                            json_pack("{s:o,s:o,s:I}", "tokens_per_second", json_number(r->training.tokens_per_second),
                                      "percent_of_peak", json_number(r->train_percent), "peak_rss_bytes",
                                      (json_int_t)r->training.peak_rss));
    if (r->phases & OPEN)
        json_object_set_new(object, "open", json_pack("{s:o}", "first_token_ms", json_number(r->open_ms)));
    if (r->adapter)
        json_object_set_new(object, "adapter",
                            json_pack("{s:o,s:o}", "slowdown_percent", json_number(r->slowdown), "switch_microseconds",
                                      json_number(r->switch_us)));
    json_object_set_new(object, "machine", machine_json(r));
    json_print_line(stdout, object);
}

static void print_text(const struct results *r)
{
    char a[32], b[32];
    printf("machine   %s, %d threads, %s: reads %s/s, %.0f GFLOP/s f32", r->machine.cpu, r->runtime.threads,
           r->runtime.isa ? r->runtime.isa : "scalar", format_bytes(a, sizeof a, r->machine.read_bandwidth),
           r->machine.peak_f32 / 1e9);
    if (r->machine.peak_bf16 > 0) printf(", %.0f GFLOP/s bf16", r->machine.peak_bf16 / 1e9);
    if (r->machine.peak_int8 > 0) printf(", %.0f GOP/s int8", r->machine.peak_int8 / 1e9);
    putchar('\n');
    if (r->phases & PREFILL)
        printf("prefill   %8.1f tokens/s  %5.1f %% of the %s peak  %s\n", r->speeds.prefill, r->prefill_percent,
               r->prefill_unit, format_bytes(b, sizeof b, (double)r->speeds.prefill_rss));
    if (r->phases & DECODE)
        printf("decode    %8.1f tokens/s  %5.1f %% of the bandwidth  %s\n", r->speeds.decode, r->decode_percent,
               format_bytes(b, sizeof b, (double)r->speeds.decode_rss));
    if (r->adapter) printf("adapter   %.1f %% slower decoding, switched in %.3f µs\n", r->slowdown, r->switch_us);
    if (r->phases & TRAIN)
        printf("train     %8.1f tokens/s  %5.1f %% of the %s peak  %s\n", r->training.tokens_per_second,
               r->train_percent, r->train_unit, format_bytes(b, sizeof b, (double)r->training.peak_rss));
    if (r->phases & OPEN) printf("open      %8.1f ms to the first token\n", r->open_ms);
}

/* ---- the run ------------------------------------------------------------------------------- */

static int run(struct arguments *a)
{
    struct bench *b = a->values;
    struct engine e = {0};
    struct rows rows = {0};
    struct results r = {.phases = PREFILL | DECODE | TRAIN | OPEN,
                        .machine.struct_size = sizeof r.machine,
                        .runtime.struct_size = sizeof r.runtime};
    lorac_error err;
    int status = 0;
    if (b->only && !parse_only(b->only, &r.phases))
        return fail_usage(b->common.json, "--only takes a list of prefill,decode,train,open, not '%s'", b->only);
    if (!option_origin(a, "num-layers"))
        b->layers = -2;
    else if (b->layers == 0 || b->layers < -1 || b->layers > 100000)
        return fail_usage(b->common.json, "--num-layers must be -1 (all) or at least 1, not %lld", b->layers);
    if (!(r.phases & DECODE) && !b->common.adapters.count) b->generation = 0;
    signals_install();
    status = measure_machine(b, &r);
    if (!status && r.phases & OPEN) status = measure_open(b, &r.open_ms);
    if (!status) status = engine_open(&e, &b->common, OPEN_MODEL | OPEN_ADAPTERS);
    if (!status) {
        lorac_status failed = rows_open(b, &e, &rows, &err);
        if (!failed) failed = measure(b, &e, &rows, &r, &err);
        if (interrupted())
            status = fail_interrupted(b->common.json, "interrupted");
        else if (failed)
            status = fail_error(b->common.json, &err);
        else if (b->common.json)
            print_json(&r);
        else
            print_text(&r);
    }
    rows_close(&rows);
    engine_close(&e);
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measure speed, and how much of this machine it uses",
    .details = "Percentages are of the peaks and the bandwidth measured in the same run.",
    .examples = "  lorac bench\n  lorac bench --only decode --batch 4 --json\n",
    .options = option_table,
    .values_size = sizeof(struct bench),
    .run = run,
};

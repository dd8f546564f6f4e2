/* report.c — the events of a training run, for people and programs. */
#include "report.h"
#include "common.h"
#include "json_out.h"
#include "signals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- train.jsonl --------------------------------------------------------------------------- */

static bool make_folders(const char *path)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *s = part + 1; *s; s++) {
        if (*s != '/') continue;
        *s = 0;
        if (mkdir(part, 0777) && errno != EEXIST) return false;
        *s = '/';
    }
    return mkdir(part, 0777) == 0 || errno == EEXIST;
}

/* The lines of an earlier run up to an iteration. A torn line and the run's end are left out. */
static void read_events(const char *path, size_t last, json_t *events)
{
    FILE *file = fopen(path, "rb");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while (file && (length = getline(&line, &capacity, file)) >= 0) {
        json_t *event = json_loadb(line, (size_t)length, 0, NULL);
        const char *kind = json_string_value(json_object_get(event, "event"));
        json_int_t iteration = json_integer_value(json_object_get(event, "iteration"));
        if (kind && strcmp(kind, "done") && strcmp(kind, "test") && iteration >= 0 && (size_t)iteration <= last)
            json_array_append(events, event);
        json_decref(event);
    }
    free(line);
    if (file) fclose(file);
}

static bool write_events(FILE *file, const json_t *events)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        char *line = json_line(event);
        if (line) fprintf(file, "%s\n", line);
        free(line);
    }
    return fflush(file) == 0 && !ferror(file);
}

/* Rewrites the log under another name first: a crash leaves the old one or the new one. */
static FILE *log_create(const char *path, const json_t *events)
{
    char temporary[4200];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = fopen(temporary, "wb");
    if (!file) return NULL;
    if (write_events(file, events) && rename(temporary, path) == 0) return file;
    fclose(file);
    unlink(temporary);
    return NULL;
}

int report_open(struct report *r, const char *folder, bool json, bool resume, size_t resumed)
{
    char path[4096];
    *r = (struct report){.json = json, .events = json_array(), .first_iteration = resumed};
    terminal_open(&r->terminal, stderr);
    if ((size_t)snprintf(path, sizeof path, "%s/train.jsonl", folder) >= sizeof path)
        return fail_usage(json, "the path given to --adapter-path is too long");
    if (!make_folders(folder))
        return fail_status(json, LORAC_IO, folder, "%s: cannot make the folder: %s", folder, strerror(errno));
    if (resume) read_events(path, resumed, r->events);
    r->log = log_create(path, r->events);
    if (!r->log) return fail_status(json, LORAC_IO, path, "%s: cannot write: %s", path, strerror(errno));
    return 0;
}

void report_close(struct report *r)
{
    terminal_clear(&r->terminal);
    if (r->log) fclose(r->log);
    json_decref(r->events);
}

static void log_event(struct report *r, json_t *event)
{
    char *line = json_line(event);
    json_array_append(r->events, event);
    if (line && !r->log_failed) {
        fprintf(r->log, "%s\n", line);
        r->log_failed = fflush(r->log) != 0;
        if (r->log_failed) terminal_print(&r->terminal, "lorac: warning: train.jsonl: %s", strerror(errno));
    }
    free(line);
}

static void print_event(struct report *r, json_t *event)
{
    if (!r->json) return;
    terminal_clear(&r->terminal);
    json_print_line(stdout, json_incref(event));
}

/* To the log, and to standard output with --json; takes the value over. */
static void emit(struct report *r, json_t *event)
{
    log_event(r, event);
    print_event(r, event);
    json_decref(event);
}

/* ---- the start ----------------------------------------------------------------------------- */

static void print_plan(struct report *r, const lorac_trainer_info *info, const lorac_memory_plan *plan)
{
    char weights[32], adapter[32], activations[32], process[32], total[32], parameters[32], layers[32] = "";
    if (plan->recomputed_layers) snprintf(layers, sizeof layers, " of %zu", plan->recomputed_layers);
    terminal_print(&r->terminal, "training %s parameters in layers %zu to %zu, scale %g",
                   format_count(parameters, sizeof parameters, (double)info->trainable_parameters), info->first_layer,
                   info->layers ? info->layers - 1 : 0, info->scale);
    terminal_print(
        &r->terminal, "memory: %s weights + %s adapter + %s activations + %s process = %s (recomputation: %s%s)",
        format_bytes(weights, sizeof weights, (double)plan->weights),
        format_bytes(adapter, sizeof adapter, (double)plan->adapter),
        format_bytes(activations, sizeof activations, (double)plan->activations),
        format_bytes(process, sizeof process, (double)plan->process),
        format_bytes(total, sizeof total, (double)plan->total), plan->recompute ? plan->recompute : "none", layers);
    if (info->start_iteration) terminal_print(&r->terminal, "resuming behind iteration %zu", info->start_iteration);
}

void report_plan(struct report *r, const lorac_trainer *trainer)
{
    lorac_memory_plan plan = {.struct_size = sizeof plan};
    lorac_trainer_info info = {.struct_size = sizeof info};
    lorac_trainer_get_plan(trainer, &plan);
    lorac_trainer_get_info(trainer, &info);
    print_plan(r, &info, &plan);
    json_t *bytes = json_pack("{s:I,s:I,s:I,s:I,s:I}", "weights", (json_int_t)plan.weights, "adapter",
                              (json_int_t)plan.adapter, "activations", (json_int_t)plan.activations, "process",
                              (json_int_t)plan.process, "total", (json_int_t)plan.total);
    json_t *event = json_pack("{s:s,s:I,s:o}", "event", "start", "trainable_parameters",
                              (json_int_t)info.trainable_parameters, "memory_bytes", bytes);
    if (!json_array_size(r->events)) log_event(r, event); /* a resumed log starts with it already */
    print_event(r, event);
    json_decref(event);
    r->start = seconds_now();
}

/* ---- events -------------------------------------------------------------------------------- */

static void show_step(struct report *r, const lorac_event *e)
{
    char left[32], memory[32], peak[32] = "";
    size_t done = e->iteration - r->first_iteration;
    r->loss = done > 1 ? 0.9 * r->loss + 0.1 * e->loss : e->loss;
    if (!terminal_due(&r->terminal)) return;
    double elapsed = seconds_now() - r->start;
    double remaining = done ? elapsed / (double)done * (double)(e->iterations - e->iteration) : 0;
    double seconds = e->seconds > 0 ? e->seconds : 1;
    if (r->peak_flops > 0) snprintf(peak, sizeof peak, "  %.0f %% of peak", 100 * e->flops / seconds / r->peak_flops);
    terminal_progress(&r->terminal, (double)e->iteration / (double)e->iterations,
                      "%s left  %zu/%zu  loss %.3f  %.0f tokens/s%s  %s", format_duration(left, sizeof left, remaining),
                      e->iteration, e->iterations, r->loss, (double)e->target_tokens / seconds, peak,
                      format_bytes(memory, sizeof memory, (double)e->peak_rss_bytes));
}

static void show_train(struct report *r, const lorac_event *e)
{
    char memory[32];
    terminal_print(&r->terminal, "iteration %zu: loss %.4f, learning rate %.3g, %.0f tokens/s, %s", e->iteration,
                   e->loss, e->learning_rate, e->tokens_per_second,
                   format_bytes(memory, sizeof memory, (double)e->peak_rss_bytes));
    emit(r, json_pack("{s:s,s:I,s:o,s:o,s:I,s:o,s:I}", "event", "train", "iteration", (json_int_t)e->iteration, "loss",
                      json_number(e->loss), "learning_rate", json_number(e->learning_rate), "target_tokens",
                      (json_int_t)e->target_tokens, "tokens_per_second", json_number(e->tokens_per_second),
                      "peak_rss_bytes", (json_int_t)e->peak_rss_bytes));
}

static void show_valid(struct report *r, const lorac_event *e)
{
    terminal_print(&r->terminal, "%siteration %zu: validation loss %.4f over %zu tokens%s",
                   terminal_colour(&r->terminal, COLOUR_CYAN), e->iteration, e->loss, e->target_tokens,
                   terminal_colour(&r->terminal, COLOUR_NONE));
    emit(r, json_pack("{s:s,s:I,s:o,s:I}", "event", "valid", "iteration", (json_int_t)e->iteration, "loss",
                      json_number(e->loss), "tokens", (json_int_t)e->target_tokens));
}

int report_event(void *report, const lorac_event *e)
{
    struct report *r = report;
    switch (e->kind) {
    case LORAC_EVENT_STEP:
        show_step(r, e);
        break;
    case LORAC_EVENT_TRAIN:
        show_train(r, e);
        break;
    case LORAC_EVENT_VALID:
        show_valid(r, e);
        break;
    case LORAC_EVENT_VALID_PROGRESS:
        if (terminal_due(&r->terminal))
            terminal_progress(&r->terminal, (double)e->iteration / (double)e->iterations, "validating: %zu tokens",
                              e->target_tokens);
        break;
    case LORAC_EVENT_SAVE:
        break;
    }
    return interrupted();
}

/* ---- the end ------------------------------------------------------------------------------- */

void report_test(struct report *r, const lorac_evaluation *result)
{
    terminal_print(&r->terminal, "test loss %.4f over %zu tokens", result->loss, result->tokens);
    emit(r, json_pack("{s:s,s:o,s:I}", "event", "test", "loss", json_number(result->loss), "tokens",
                      (json_int_t)result->tokens));
}

void report_done(struct report *r, const lorac_train_result *result, const char *folder)
{
    char elapsed[32];
    emit(r, json_pack("{s:s,s:I,s:o,s:I,s:o}", "event", "done", "iteration", (json_int_t)result->iteration,
                      "adapter_path", json_text(folder, strlen(folder)), "best_iteration",
                      (json_int_t)result->best_iteration, "valid_loss", json_number(result->valid_loss)));
    terminal_print(&r->terminal, "%sdone%s in %s: the adapter is in %s", terminal_colour(&r->terminal, COLOUR_GREEN),
                   terminal_colour(&r->terminal, COLOUR_NONE),
                   format_duration(elapsed, sizeof elapsed, seconds_now() - r->start), folder);
}

/* resident.c — what adapters cost that are open but used by no row: decoding with COUNT adapters in memory and without
 * any, in turns.
 *
 * Usage: bench_resident MODEL COUNT FOLDER…   (folders are taken in turn until COUNT adapters are open)
 * Prints one JSON object: the medians, and by how many per cent decoding is slower beside the adapters. */
#include <lorac/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 7, TOKENS = 96, MOST = 1024 };

struct bench {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_session *session;
    lorac_adapter *adapters[MOST];
    int count;
    char **folders;
    int folder_count;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *seconds)
{
    qsort(seconds, ROUNDS, sizeof *seconds, compare);
    return seconds[ROUNDS / 2];
}

static lorac_status decode(struct bench *b, double *seconds, lorac_error *err)
{
    lorac_status status = lorac_session_truncate(b->session, 0, err);
    double start = now();
    for (int32_t i = 0; i < TOKENS && status == LORAC_OK; i++) {
        int32_t id = 100 + i;
        status = lorac_session_append(b->session, &id, 1, err);
        if (status == LORAC_OK) status = lorac_sessions_forward(&b->session, 1, err);
    }
    *seconds = now() - start;
    return status;
}

static void close_adapters(struct bench *b)
{
    for (int i = 0; i < b->count; i++) {
        if (b->adapters[i]) lorac_adapter_release(b->adapters[i]);
        b->adapters[i] = NULL;
    }
}

static lorac_status open_adapters(struct bench *b, lorac_error *err)
{
    for (int i = 0; i < b->count; i++) {
        lorac_status status = lorac_adapter_open(b->model, b->folders[i % b->folder_count], &b->adapters[i], err);
        if (status != LORAC_OK) return status;
    }
    return LORAC_OK;
}

static lorac_status run(struct bench *b, const char *path, lorac_error *err)
{
    double alone[ROUNDS], beside[ROUNDS], warm;
    lorac_status status = lorac_runtime_create(NULL, &b->runtime, err);
    if (status == LORAC_OK) status = lorac_model_open(b->runtime, path, &b->model, err);
    if (status == LORAC_OK) status = lorac_session_create(b->model, NULL, NULL, &b->session, err);
    if (status == LORAC_OK) status = decode(b, &warm, err);
    for (int i = 0; i < ROUNDS && status == LORAC_OK; i++) {
        status = decode(b, &alone[i], err);
        if (status == LORAC_OK) status = open_adapters(b, err);
        if (status == LORAC_OK) status = decode(b, &beside[i], err);
        close_adapters(b);
    }
    if (status != LORAC_OK) return status;
    double without = TOKENS / median(alone), with = TOKENS / median(beside);
    printf("{\"resident\":%d,\"tokens_per_second\":%.2f,\"without\":%.2f,\"slowdown_percent\":%.2f}\n", b->count, with,
           without, 100 * (without / with - 1));
    return LORAC_OK;
}

int main(int argc, char **argv)
{
    struct bench b = {.count = argc > 2 ? atoi(argv[2]) : 0, .folders = argv + 3, .folder_count = argc - 3};
    lorac_error err;
    if (argc < 4 || b.count < 1 || b.count > MOST) {
        fprintf(stderr, "usage: bench_resident MODEL COUNT FOLDER…\n");
        return 2;
    }
    lorac_status status = run(&b, argv[1], &err);
    if (status != LORAC_OK) fprintf(stderr, "bench_resident: %s\n", err.message);
    close_adapters(&b);
    lorac_session_free(b.session);
    if (b.model) lorac_model_release(b.model);
    if (b.runtime) lorac_runtime_free(b.runtime);
    return status != LORAC_OK;
}

/* two_adapters.c — one batch, one base, three rows: the base alone, the first adapter, the second adapter.
 *
 *   cc -std=c11 examples/two_adapters.c $(pkg-config --cflags --libs lorac) -o rows
 *   ./rows model.gguf adapter-a adapter-b "Wake me at 9:20."
 * Every row runs under its own set, and its result does not depend on the other rows.
 */
#include <lorac/session.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 3, TOKENS = 24 };
static const double full = 1; /* each adapter as it was trained */

struct open {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_tokenizer *tokenizer;
    lorac_adapter *adapter[ROWS];
    lorac_adapter_set *set[ROWS];
    lorac_session *session[ROWS];
};

static lorac_status open_row(struct open *o, int row, const char *adapter, const int32_t *ids, size_t n,
                             lorac_error *err)
{
    lorac_adapter_set **set = &o->set[row]; /* stays NULL for the base alone */
    lorac_status status = LORAC_OK;
    if (adapter) status = lorac_adapter_open(o->model, adapter, &o->adapter[row], err);
    if (adapter && status == LORAC_OK) status = lorac_adapter_set_create(&o->adapter[row], &full, 1, set, err);
    if (status == LORAC_OK) status = lorac_session_create(o->model, *set, NULL, &o->session[row], err);
    if (status == LORAC_OK) status = lorac_session_append(o->session[row], ids, n, err);
    return status;
}

static lorac_status open_all(struct open *o, char **argv, lorac_error *err)
{
    int32_t *ids = NULL;
    size_t count = 0, length = 0;
    char json[4096], *text = NULL;
    size_t size = (size_t)snprintf(json, sizeof json, "[{\"role\":\"user\",\"content\":\"%.2000s\"}]", argv[4]);
    lorac_status status = lorac_runtime_create(NULL, &o->runtime, err);
    if (status == LORAC_OK) status = lorac_model_open(o->runtime, argv[1], &o->model, err);
    if (status == LORAC_OK) status = lorac_tokenizer_open(o->runtime, argv[1], &o->tokenizer, err);
    if (status == LORAC_OK) status = lorac_chat_render(o->tokenizer, json, size, 1, &text, &length, err);
    if (status == LORAC_OK) status = lorac_tokenizer_encode(o->tokenizer, text, length, 0, &ids, &count, err);
    for (int r = 0; r < ROWS && status == LORAC_OK; r++)
        status = open_row(o, r, r ? argv[1 + r] : NULL, ids, count, err);
    lorac_free(ids);
    lorac_free(text);
    return status;
}

/* One step: all rows in one forward, then each row's likeliest token is appended to it. */
static lorac_status step(struct open *o, size_t index, int32_t ids[ROWS][TOKENS], lorac_error *err)
{
    lorac_sampler greedy;
    lorac_sampler_init(&greedy); /* temperature 0 */
    lorac_status status = lorac_sessions_forward(o->session, ROWS, err);
    for (int row = 0; row < ROWS && status == LORAC_OK; row++) {
        int32_t *id = &ids[row][index];
        status = lorac_sample(o->model, lorac_session_logits(o->session[row], 0), &greedy, index, id, err);
        if (status == LORAC_OK) status = lorac_session_append(o->session[row], id, 1, err);
    }
    return status;
}

/* The row's text ends at its first stop token; the row runs on with the others, which does no harm. */
static lorac_status print_row(struct open *o, const char *name, const int32_t *ids, lorac_error *err)
{
    size_t count = 0, length;
    char *text;
    while (count < TOKENS && !lorac_tokenizer_is_stop(o->tokenizer, ids[count])) count++;
    lorac_status status = lorac_tokenizer_decode(o->tokenizer, ids, count, 1, &text, &length, err);
    if (status == LORAC_OK) printf("%s: %s\n", name, text);
    if (status == LORAC_OK) lorac_free(text);
    return status;
}

int main(int argc, char **argv)
{
    struct open o = {0};
    lorac_error err = {0};
    int32_t ids[ROWS][TOKENS];
    if (argc != 5 || strpbrk(argv[4], "\"\\\n"))
        return fprintf(stderr, "usage: %s MODEL ADAPTER ADAPTER QUESTION (without quotes in it)\n", argv[0]), 2;
    lorac_status status = open_all(&o, argv, &err);
    for (size_t i = 0; i < TOKENS && status == LORAC_OK; i++) status = step(&o, i, ids, &err);
    for (int r = 0; r < ROWS && status == LORAC_OK; r++) status = print_row(&o, r ? argv[1 + r] : "base", ids[r], &err);
    if (status != LORAC_OK) fprintf(stderr, "%s: %s\n", lorac_status_name(status), err.message);
    for (int row = 0; row < ROWS; row++) {
        lorac_session_free(o.session[row]);
        lorac_adapter_set_release(o.set[row]);
        lorac_adapter_release(o.adapter[row]);
    }
    lorac_tokenizer_close(o.tokenizer);
    lorac_model_release(o.model);
    lorac_runtime_free(o.runtime);
    return status == LORAC_OK ? 0 : 1;
}

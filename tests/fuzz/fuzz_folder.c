/* fuzz_folder.c — any tensors as a model's folder, quantised or not: it opens, and every number of its matrices can be
 * read, or it is refused; no crash, no leak.
 *
 * The bytes are text. The first line: keys of config.json, put over those of a tiny Llama. Each other line: a tensor,
 * NAME DTYPE SIZE ..., of zeros, or of the text behind an "=". */
#include "backend/cpu/cpu.h"
#include "file/safetensors.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20, NAME = 200 };
static const char base[] =
    "{\"model_type\":\"llama\",\"hidden_size\":32,\"intermediate_size\":32,\"num_hidden_layers\":1,\"vocab_size\":8,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":4,\"head_dim\":8,\"rms_norm_eps\":1e-5,"
    "\"tie_word_embeddings\":true}";

static lorac_runtime *runtime;
static char folder[64];
static volatile float sink; /* keeps the reads */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void end(void)
{
    struct memory m = {0};
    lorac_runtime_free(runtime);
    os_remove_tree(&m, folder, NULL);
}

static void prepare(void)
{
    lorac_runtime_options o;
    if (runtime) return;
    lorac_runtime_options_init(&o);
    o.threads = 1;
    const char *place = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/lorac-fuzz-XXXXXX", place ? place : "/tmp");
    if (lorac_runtime_create(&o, &runtime, NULL) || !mkdtemp(folder)) abort();
    runtime->map_files = false; /* read into a block, so that a sanitizer sees one byte too far */
    runtime->memory.limit = 256u << 20;
    atexit(end);
}

/* ---- the folder ----------------------------------------------------------------------------- */

static void write_file(const char *name, const void *head, size_t head_size, const void *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(head, 1, head_size, f) != head_size || fwrite(bytes, 1, size, f) != size || fclose(f)) abort();
}

static bool write_config(const char *line, size_t length)
{
    json_t *config = json_loads(base, 0, NULL), *keys = json_loadb(line, length, JSON_DECODE_ANY, NULL);
    bool is = json_is_object(keys);
    if (is) {
        json_object_update(config, keys);
        char *text = json_dumps(config, 0);
        write_file("config.json", text, strlen(text), "", 0);
        free(text);
    }
    json_decref(config), json_decref(keys);
    return is;
}

static size_t bytes_of(const char *dtype)
{
    for (int d = ST_BOOL; d <= ST_U64; d++)
        if (!strcmp(st_dtype_name((enum st_dtype)d), dtype)) return st_dtype_bytes((enum st_dtype)d);
    return 0;
}

/* The tensor that the line tells, into the header and behind the data so far; false: it is none. */
static bool add_tensor(char *line, json_t *header, uint8_t *data, size_t *used)
{
    char name[NAME], dtype[16], *text = strchr(line, '=');
    int at;
    if (text) *text++ = 0;
    if (sscanf(line, "%199s %15s%n", name, dtype, &at) != 2 || json_object_get(header, name)) return false;
    json_t *shape = json_array();
    size_t bytes = bytes_of(dtype), value;
    bool fits = bytes;
    for (int more; fits && sscanf(line += at, "%zu%n", &value, &more) == 1; at = more) {
        fits = value <= MOST_BYTES && (bytes *= value) <= MOST_BYTES - *used && json_array_size(shape) < 8;
        json_array_append_new(shape, json_integer((json_int_t)value));
    }
    json_t *entry = json_pack("{s:s,s:o,s:[I,I]}", "dtype", dtype, "shape", shape, "data_offsets", (json_int_t)*used,
                              (json_int_t)(*used + bytes));
    fits = fits && entry && !json_object_set(header, name, entry);
    json_decref(entry);
    if (!fits) return false;
    if (text) memcpy(data + *used, text, strlen(text) < bytes ? strlen(text) : bytes);
    *used += bytes;
    return true;
}

static bool write_tensors(char *line)
{
    uint8_t *data = calloc(1, MOST_BYTES), length[8];
    json_t *header = json_object();
    size_t used = 0;
    bool good = true;
    for (char *next; good && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        good = add_tensor(line, header, data, &used);
    }
    char *text = json_dumps(header, 0), *whole = malloc(strlen(text) + 8);
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)strlen(text) >> 8 * i);
    memcpy(whole, length, 8);
    memcpy(whole + 8, text, strlen(text));
    if (good) write_file("model.safetensors", whole, strlen(text) + 8, data, used);
    json_decref(header);
    free(text), free(whole), free(data);
    return good;
}

/* ---- the model ------------------------------------------------------------------------------ */

static void read_matrix(const struct qmatrix *w)
{
    struct quant_matrix q = cpu_matrix_of(w);
    float *row = malloc(w->cols * sizeof *row);
    for (size_t r = 0; r < w->rows; r++) {
        quant_dequantize(row, &q, r, 0, w->cols);
        sink += row[w->cols - 1];
    }
    free(row);
}

static void open_model(void)
{
    lorac_model *m;
    lorac_error err = {0};
    size_t before = runtime->memory.used;
    if (lorac_model_open(runtime, folder, &m, &err) == LORAC_OK) {
        read_matrix(&m->embedding);
        read_matrix(&m->head.weight);
        for (size_t i = 0; i < m->linear_count; i++) read_matrix(&m->linears[i].weight);
        lorac_model_release(m);
    } else if (!*err.message)
        abort();
    if (runtime->memory.used != before) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    char *text = calloc(1, size + 1), *rest;
    memcpy(text, data, size);
    rest = strchr(text, '\n');
    if (rest && write_config(text, (size_t)(rest - text)) && write_tensors(rest + 1)) open_model();
    free(text);
    return 0;
}

/* write.c — computing and writing an item: a piece of it at a time, cut over all threads.
 *
 * What was read of the mapped source is given back piece by piece: memory stays below a few pieces. */
#include "convert/layouts.h"

#include "base/pool.h"
#include "quant/pack.h"
#include "quant/planes.h"
#include "quant/quantize_ggml.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TASK = 1 << 15, PIECE = 1 << 22 }; /* numbers; whole groups of every mode */

/* ---- numbers ------------------------------------------------------------------------------------- */

static enum scale_type number_of(enum st_dtype dtype)
{
    return dtype == ST_F32 ? SCALE_F32 : dtype == ST_F16 ? SCALE_F16 : SCALE_BF16;
}

static void read_transposed(const struct item *item, size_t first, size_t n, float *y)
{
    enum scale_type type = number_of(item->source->dtype);
    for (size_t i = first; i < first + n; i++)
        *y++ = scale_at(type, item->source->data, i % item->cols * item->rows + i / item->cols);
}

static void read_plain(const struct item *item, size_t first, size_t n, float *y)
{
    const struct st_tensor *t = item->source;
    struct quant_matrix m = {.type = block_type_of(t->dtype), .data = t->data, .rows = 1, .row_bytes = t->bytes};
    m.cols = t->bytes / st_dtype_bytes(t->dtype);
    quant_dequantize(y, &m, 0, item->first * item->cols + first, n);
}

/* Rows that are quantised in the source, whose groups may end with the row, or stand there in another order. */
static void read_rows(const struct conversion *c, const struct item *item, size_t first, size_t n, float *y)
{
    struct item one = *item;
    one.order.head_dim = 0;
    struct quant_matrix m = {0};
    if (item->packed) m = source_view(c, &item->stored->matrix);
    for (size_t i = first, end = first + n, part; i < end; i += part, y += part) {
        size_t col = i % item->cols;
        part = item->cols - col < end - i ? item->cols - col : end - i;
        one.first = item_source_row(item, i / item->cols);
        if (item->packed)
            quant_dequantize(y, &m, one.first, col, part);
        else
            read_plain(&one, col, part, y);
    }
}

/* Numbers of the item: as the type they are to have can hold them, unless adapters are to change them first. */
static void read_numbers(const struct conversion *c, const struct item *item, size_t first, size_t n, float *y)
{
    if (item->packed || item->order.head_dim)
        read_rows(c, item, first, n, y);
    else if (item->transposed)
        read_transposed(item, first, n, y);
    else
        read_plain(item, first, n, y);
    for (size_t i = 0; item->add != 0 && i < n; i++) y[i] += item->add;
    if ((item->dtype == item->source->dtype && !item->packed) || item->dtype == ST_F32 || item->fused) return;
    for (size_t i = 0; i < n; i++) y[i] = number_rounded(number_of(item->dtype), y[i]);
}

enum quant_type block_type_of(enum st_dtype dtype)
{
    return dtype == ST_F32 ? QUANT_F32 : dtype == ST_F16 ? QUANT_F16 : QUANT_BF16;
}

size_t plain_bytes(const struct item *item, size_t numbers)
{
    const struct quant_format *f = &quant_formats[item->type];
    return numbers / f->block * f->block_bytes;
}

/* ---- one piece ----------------------------------------------------------------------------------- */

/* Of what adapters change: the squares of the change, and of what writing it loses. */
struct fused_sums {
    double change, lost;
};
enum { ROOMS = 2 }; /* numbers, and an adapter's change of them */

struct item_writing {
    struct conversion *c;
    const struct item *item;
    struct tensor_writer *file;
    size_t tensor;            /* the item's first in the file */
    size_t first, count;      /* the piece: numbers of the item */
    float *scratch;           /* (threads, ROOMS, TASK) */
    struct fused_sums *fused; /* (threads) */
    const float *factor;      /* calibration's, or NULL */
    size_t task, piece;       /* numbers of them: whole groups, with a factor whole rows */
    uint8_t *codes;           /* of the piece, or its numbers where it is not quantised */
    struct quantized out;     /* codes, and where the piece's scales and minimums go */
    uint8_t *scales, *mins;   /* of the piece; NF4: of the item */
};

/* Where the piece's codes and planes from its number `at` on lie. */
static struct quantized quantized_at(const struct item_writing *w, size_t at)
{
    const struct quantization *q = &w->item->q;
    if (!w->item->quantized) return (struct quantized){NULL};
    size_t scales = at / q->group * scale_bytes(quantized_scales(q));
    return (struct quantized){w->out.codes + at * quantization_bits(q) / 8, w->out.scales + scales,
                              w->out.mins + scales};
}

/* The n numbers of the piece from `at` on, as they are written; y: room for n. */
static void store(const struct item_writing *w, size_t at, size_t n, const float *x, float *y)
{
    const struct item *item = w->item;
    if (w->factor) memcpy(y, x, n * sizeof *y);
    if (!item->quantized) {
        for (size_t i = 0; item->importance && i < n; i++) y[i] = item->importance[(w->first + at + i) % item->cols];
        quantize_ggml(item->type, x, item->importance ? y : NULL, n, w->codes + plain_bytes(item, at));
        return;
    }
    struct quantized out = quantized_at(w, at);
    if (w->factor)
        quantize_gptq(&item->q, y, n / item->cols, item->cols, w->factor, &out);
    else
        quantize(&item->q, x, n, &out);
}

/* What was stored, read back. */
static void load(const struct item_writing *w, size_t at, size_t n, float *y)
{
    const struct quantization *q = &w->item->q;
    struct quantized out = quantized_at(w, at);
    struct quant_matrix m = {.type = q->type, .data = out.codes, .rows = 1, .cols = n};
    m.planes = (struct quant_planes){.scales = out.scales,
                                     .mins = q->type < QUANT_MXFP4 ? out.mins : NULL,
                                     .group = q->group,
                                     .scale_type = quantized_scales(q),
                                     .factor = 1};
    if (w->item->quantized)
        quant_dequantize(y, &m, 0, 0, n);
    else
        quant_formats[w->item->type].dequantize(y, w->codes + plain_bytes(w->item, at), n);
}

static void run_task(void *context, size_t task, int worker)
{
    struct item_writing *w = context;
    size_t at = task * w->task, n = w->count - at < w->task ? w->count - at : w->task;
    float *x = w->scratch + (size_t)worker * ROOMS * w->task, *y = x + w->task;
    read_numbers(w->c, w->item, w->first + at, n, x);
    if (w->item->fused) w->fused[worker].change += fusion_add(w->c, w->item, w->first + at, n, x, y);
    store(w, at, n, x, y);
    if (!w->item->fused) return;
    load(w, at, n, y);
    for (size_t i = 0; i < n; i++)
        w->fused[worker].lost += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
}

lorac_status conversion_report(struct conversion *c, size_t bytes, lorac_error *err)
{
    c->done += bytes;
    if (c->options->progress && c->options->progress(c->options->user, c->done, c->source_bytes * (1 + c->turns)))
        return fail(err, LORAC_CANCELLED, NULL, "the conversion was stopped");
    return LORAC_OK;
}

/* Of the item's bytes in the source, those that its first `count` numbers take. */
static size_t part_read(const struct item *item, size_t count)
{
    return (size_t)((double)item->read * (double)count / (double)item_elements(item));
}

static lorac_status compute(struct item_writing *w, lorac_error *err)
{
    const struct item *item = w->item;
    struct conversion *c = w->c;
    size_t end = w->first + w->count, bytes = st_dtype_bytes(item->source->dtype);
    const uint8_t *data = item->source->data + (item->first * item->cols + end) * bytes;
    if (!pool_run(c->runtime->pool, POOL_NORMAL, run_task, w, (w->count + w->task - 1) / w->task, NULL))
        return fail(err, LORAC_CANCELLED, NULL, "the conversion was stopped");
    bool in_order = !item->transposed && !item->packed && !item->order.head_dim;
    if (in_order && item->file) os_file_release(item->file, (size_t)(data - item->file->data));
    return conversion_report(c, part_read(item, end) - part_read(item, w->first), err);
}

static void put_piece(struct item_writing *w)
{
    const struct item *item = w->item;
    if (!item->quantized) {
        tensor_writer_put(w->file, w->tensor, plain_bytes(item, item->place + w->first), w->codes,
                          plain_bytes(item, w->count));
        return;
    }
    size_t bits = quantization_bits(&item->q);
    tensor_writer_put(w->file, w->tensor + MLX_CODES, w->first * bits / 8, w->codes, w->count * bits / 8);
    if (item_is_bnb(item)) return;
    size_t bytes = scale_bytes(quantized_scales(&item->q)), at = w->first / item->q.group * bytes,
           size = w->count / item->q.group * bytes;
    tensor_writer_put(w->file, w->tensor + MLX_SCALES, at, w->scales, size);
    if (item->q.type < QUANT_MXFP4) tensor_writer_put(w->file, w->tensor + MLX_MINS, at, w->mins, size);
}

static lorac_status write_pieces(struct item_writing *w, lorac_error *err)
{
    for (size_t all = item_elements(w->item); w->first < all; w->first += w->count) {
        w->count = all - w->first < w->piece ? all - w->first : w->piece;
        size_t block = item_is_bnb(w->item) ? w->first / w->item->q.group : 0;
        w->out = (struct quantized){w->codes, w->scales + block * sizeof(float), w->mins};
        TRY(compute(w, err));
        put_piece(w);
    }
    return LORAC_OK;
}

/* ---- bitsandbytes' scales ------------------------------------------------------------------------ */

static lorac_status put_nested(struct item_writing *w, size_t blocks, float *offset, lorac_error *err)
{
    struct memory *m = w->c->memory;
    const float *absmax = (const float *)(void *)w->scales;
    size_t outers = (blocks + NESTED_BLOCK - 1) / NESTED_BLOCK;
    float map[DYNAMIC_MAP], *outer = mem_array(m, outers, sizeof *outer);
    uint8_t *codes = mem_alloc(m, blocks);
    lorac_status status = outer && codes ? LORAC_OK : fail_memory(err, "scales", blocks);
    if (status == LORAC_OK) {
        double sum = 0;
        for (size_t i = 0; i < blocks; i++) sum += (double)absmax[i];
        *offset = (float)(sum / (double)blocks);
        dynamic_map(map);
        quantize_nested(map, absmax, blocks, *offset, codes, outer);
        tensor_writer_put(w->file, w->tensor + BNB_ABSMAX, 0, codes, blocks);
        tensor_writer_put(w->file, w->tensor + BNB_OUTER, 0, outer, outers * sizeof *outer);
        tensor_writer_put(w->file, w->tensor + BNB_OUTER_MAP, 0, map, sizeof map);
    }
    mem_free(m, outer);
    mem_free(m, codes);
    return status;
}

static lorac_status put_bnb(struct item_writing *w, size_t blocks, lorac_error *err)
{
    char state[BNB_STATE];
    float offset = 0;
    bool nested = w->c->double_quant;
    if (nested) TRY(put_nested(w, blocks, &offset, err));
    if (!nested) tensor_writer_put(w->file, w->tensor + BNB_ABSMAX, 0, w->scales, blocks * sizeof(float));
    tensor_writer_put(w->file, w->tensor + BNB_MAP, 0, planes_table(QUANT_NF4), 16 * sizeof(float));
    tensor_writer_put(w->file, w->tensor + BNB_JSON, 0, state, bnb_state(w->item, nested, offset, state));
    return LORAC_OK;
}

/* ---- one item ------------------------------------------------------------------------------------ */

static void report_fused(const struct item_writing *w, size_t threads)
{
    const lorac_convert_options *o = w->c->options;
    double change = 0, lost = 0;
    for (size_t i = 0; i < threads; i++) change += w->fused[i].change, lost += w->fused[i].lost;
    char module[ITEM_NAME];
    snprintf(module, sizeof module, "%s", w->item->name);
    if (ends_with(module, ".weight")) module[strlen(module) - strlen(".weight")] = 0;
    if (w->item->fused && o->fused) o->fused(o->user, module, sqrt(change), sqrt(lost));
}

static lorac_status write_computed(struct item_writing *w, lorac_error *err)
{
    struct memory *m = w->c->memory;
    bool bnb = item_is_bnb(w->item);
    size_t threads = (size_t)pool_threads(w->c->runtime->pool), all = item_elements(w->item);
    w->task = TASK;
    w->piece = PIECE;
    if (w->factor) { /* whole rows */
        w->task = w->item->cols < TASK ? TASK / w->item->cols * w->item->cols : w->item->cols;
        w->piece = w->task < PIECE ? PIECE / w->task * w->task : w->task;
    }
    size_t piece = all < w->piece ? all : w->piece, blocks = bnb ? (all + w->item->q.group - 1) / w->item->q.group : 0;
    w->scratch = mem_array(m, threads * ROOMS * w->task, sizeof *w->scratch);
    w->fused = mem_array(m, threads, sizeof *w->fused);
    w->codes = mem_array(m, piece, sizeof(float));
    w->scales = mem_array(m, bnb ? blocks : piece / 16 + 1, sizeof(float));
    w->mins = mem_array(m, piece / 16 + 1, sizeof(float));
    bool whole = w->fused && w->scratch && w->codes && w->scales && w->mins;
    lorac_status status = whole ? write_pieces(w, err) : fail_memory(err, "a piece of a module", piece);
    if (status == LORAC_OK && bnb) status = put_bnb(w, blocks, err);
    if (status == LORAC_OK) report_fused(w, threads);
    mem_free(m, w->fused);
    mem_free(m, w->scratch);
    mem_free(m, w->codes);
    mem_free(m, w->scales);
    mem_free(m, w->mins);
    return status;
}

/* What changes neither type nor order goes from file to file. */
static lorac_status copy_item(struct conversion *c, const struct item *item, struct tensor_writer *file, size_t tensor,
                              lorac_error *err)
{
    enum { SLICE = 1 << 26 };
    size_t bytes = st_dtype_bytes(item->source->dtype), all = item_elements(item) * bytes;
    const uint8_t *from = item->source->data + item->first * item->cols * bytes;
    for (size_t at = 0, n; at < all; at += n) {
        n = all - at < SLICE ? all - at : SLICE;
        tensor_writer_put(file, tensor, item->place * bytes + at, from + at, n);
        if (item->file) os_file_release(item->file, (size_t)(from - item->file->data) + at + n);
        TRY(conversion_report(c, n, err));
    }
    return LORAC_OK;
}

lorac_status write_item(struct conversion *c, const struct item *item, struct tensor_writer *file, size_t tensor,
                        lorac_error *err)
{
    struct item_writing w = {.c = c, .item = item, .file = file, .tensor = tensor};
    bool changed =
        item->quantized || item->packed || item->fused || item->transposed || item->order.head_dim || item->add != 0;
    bool same = !changed && item->type == block_type_of(item->source->dtype);
    if (calibration_knows(c, item)) TRY(calibration_factor(c, item, &w.factor, err));
    return same ? copy_item(c, item, file, tensor, err) : write_computed(&w, err);
}

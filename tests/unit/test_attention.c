/* test_attention.c — attention as the backend cuts it: over caches of every kind, tasks of rows, of keys and of chunks
 * of keys. However it is cut, and on however many threads, no bit changes. */
#include "engine.h"

#include "model/cache.h"

enum { HEADS = 6, KV_HEADS = 2, DIM = 32, WIDTH = HEADS * DIM, KV_WIDTH = KV_HEADS * DIM, SEGMENTS = 3, GUARD = 64 };

struct place {
    size_t position, rows;
    enum kv_type type;
};
/* One row far from the start, a few, and a prompt; the first alone needs several rounds through the scratch. */
static const struct place places[SEGMENTS] = {{40 * 1024 + 77, 1, KV_Q8}, {2047, 5, KV_BF16}, {1000, 150, KV_F32}};
enum { ROWS = 1 + 5 + 150 };

static struct buffer *filled(lorac_runtime *r, size_t floats, uint64_t seed)
{
    struct stream s = {.backend = r->backend};
    struct buffer *b;
    float *x = malloc(floats * sizeof *x);
    for (size_t i = 0; i < floats; i++) x[i] = (float)uniform(seed, i);
    OK(r->backend->kernels->buffer_create(r->backend, floats * sizeof *x, &b, err));
    r->backend->kernels->upload(&s, (struct buf){b, 0}, x, floats * sizeof *x);
    free(x);
    return b;
}

static void fill_cache(lorac_runtime *r, struct place place, uint64_t seed, struct kv_cache *c)
{
    struct stream s = {.backend = r->backend};
    size_t tokens = place.position + place.rows;
    struct kv_shape shape = {.type = place.type, .layers = 2, .kv_heads = KV_HEADS, .head_dim = DIM};
    struct buffer *k = filled(r, tokens * KV_WIDTH, seed), *v = filled(r, tokens * KV_WIDTH, seed + 1);
    OK(cache_create(r->backend, &r->memory, shape, tokens, c, err));
    OK(cache_reserve(c, tokens, err));
    for (size_t at = 0, n; at < tokens; at += n) { /* in pieces that straddle pages */
        n = tokens - at < 100 ? tokens - at : 100;
        cache_append(c, &s, 1, at, buf_at((struct buf){k, 0}, at * KV_WIDTH), buf_at((struct buf){v, 0}, at * KV_WIDTH),
                     NUMBER_F32, n);
    }
    r->backend->kernels->buffer_free(r->backend, k);
    r->backend->kernels->buffer_free(r->backend, v);
}

/* out (ROWS, WIDTH) and lse (ROWS, HEADS) of the places, of those in `together` in one call. */
static float *forward(int threads, enum precision precision, size_t window, bool parts, bool together)
{
    lorac_runtime *r = runtime_of(NULL, threads);
    struct stream s = {.backend = r->backend};
    struct attention_segment segments[SEGMENTS];
    struct kv_cache caches[SEGMENTS];
    size_t row = 0, floats = ATTENTION_PARTS * HEADS * (DIM + 2), size = ROWS * (WIDTH + HEADS);
    for (size_t i = 0; i < SEGMENTS; row += places[i++].rows) {
        fill_cache(r, places[i], 10 * i, &caches[i]);
        segments[i] = (struct attention_segment){row, places[i].rows, places[i].position, cache_view(&caches[i], 1)};
    }
    struct buffer *q = filled(r, ROWS * WIDTH, 1), *out = filled(r, size, 2), *scratch = filled(r, floats + GUARD, 3);
    struct attention a = {.q = {q, 0},
                          .out = {out, 0},
                          .lse = buf_at((struct buf){out, 0}, ROWS * WIDTH),
                          .precision = precision,
                          .heads = HEADS,
                          .kv_heads = KV_HEADS,
                          .head_dim = DIM,
                          .scale = 0.4f,
                          .window = window,
                          .segments = segments,
                          .segment_count = SEGMENTS};
    if (parts) a.parts = (struct buf){scratch, 0};
    if (together)
        r->backend->kernels->attention(&s, &a);
    else
        for (size_t i = 0; i < SEGMENTS; i++) {
            a.segments = &segments[i], a.segment_count = 1;
            r->backend->kernels->attention(&s, &a);
        }
    float *result = malloc(size * sizeof *result);
    memcpy(result, out->host, size * sizeof *result);
    for (size_t i = 0; i < GUARD; i++)
        assert_true(((float *)scratch->host)[floats + i] == (float)uniform(3, floats + i));
    for (size_t i = 0; i < SEGMENTS; i++) cache_free(&caches[i]);
    struct buffer *all[] = {q, out, scratch};
    for (size_t i = 0; i < 3; i++) r->backend->kernels->buffer_free(r->backend, all[i]);
    runtime_end(r);
    return result;
}

static void check_chunks(enum precision precision, size_t window)
{
    float *want = forward(1, precision, window, false, true);
    for (size_t i = 0; i < ROWS * (WIDTH + HEADS); i++) assert_true(isfinite(want[i]));
    for (int threads = 1; threads <= 3; threads += 2)
        for (int together = 0; together < 2; together++) {
            float *have = forward(threads, precision, window, true, together);
            assert_memory_equal(have, want, ROWS * (WIDTH + HEADS) * sizeof *have);
            free(have);
        }
    free(want);
}

/* Windows that begin within a chunk, and at one; more keys than a chunk holds. */
static void chunks_change_no_bit(void **state)
{
    static const size_t lengths[] = {0, 1500, 4096};
    for (enum precision precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
        for (size_t i = 0; i < 3; i++) check_chunks(precision, lengths[i]);
}

/* dq, dk, dv of two sequences. On few threads a sequence is one task, on many it is cut. */
static uint8_t *backward(int threads, enum precision precision, enum number number)
{
    enum { TOKENS = 300, FIRST = 170 };
    lorac_runtime *r = runtime_of(NULL, threads);
    const struct backend_kernels *k = r->backend->kernels;
    struct stream s = {.backend = r->backend};
    struct buffer *all[9]; /* q, out, dout, dq; k, v, dk, dv; lse */
    for (uint64_t i = 0; i < 9; i++) all[i] = filled(r, TOKENS * WIDTH, i);
    for (size_t i = 0; i < 8 && number == NUMBER_BF16; i++) {
        float *x = all[i]->host;
        for (size_t j = 0; j < TOKENS * WIDTH; j++) ((uint16_t *)all[i]->host)[j] = float_to_bf16(x[j]);
    }
    struct buf keys = {all[4], 0}, values = {all[5], 0};
    struct attention_segment segments[2];
    for (size_t i = 0; i < 2; i++) {
        size_t row = i ? FIRST : 0, rows = i ? TOKENS - FIRST : FIRST, bytes = DIM * number_bytes(number);
        segments[i] = (struct attention_segment){
            row,
            rows,
            0,
            {&keys, &values, kv_of_number(number), row * KV_HEADS * bytes, rows, KV_HEADS * bytes, bytes}};
    }
    struct attention a = {.q = {all[0], 0},
                          .out = {all[1], 0},
                          .dout = {all[2], 0},
                          .dq = {all[3], 0},
                          .dk = {all[6], 0},
                          .dv = {all[7], 0},
                          .lse = {all[8], 0},
                          .number = number,
                          .precision = precision,
                          .heads = HEADS,
                          .kv_heads = KV_HEADS,
                          .head_dim = DIM,
                          .scale = 0.4f,
                          .segments = segments,
                          .segment_count = 2};
    k->attention(&s, &a);
    k->attention_back(&s, &a);
    size_t wide = TOKENS * WIDTH * number_bytes(number), narrow = TOKENS * KV_WIDTH * number_bytes(number);
    uint8_t *result = calloc(3, wide);
    memcpy(result, all[3]->host, wide);
    memcpy(result + wide, all[6]->host, narrow);
    memcpy(result + 2 * wide, all[7]->host, narrow);
    for (size_t i = 0; i < 9; i++) k->buffer_free(r->backend, all[i]);
    runtime_end(r);
    return result;
}

static void tasks_change_no_gradient(void **state)
{
    for (enum precision precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
        for (enum number number = NUMBER_F32; number <= NUMBER_BF16; number++) {
            uint8_t *one = backward(1, precision, number), *many = backward(7, precision, number);
            assert_memory_equal(one, many, 3 * 300 * WIDTH * number_bytes(number));
            free(one), free(many);
        }
}

/* 8 bits: 1.0625 bytes a value, so that 8192 tokens of 32 layers of 4096 keys and values take 2.3 GB. */
static void cache_is_small(void **state)
{
    lorac_runtime *r = runtime_of(NULL, 1);
    for (enum kv_type type = KV_F32; type <= KV_Q8; type++) {
        static const double bytes[] = {4, 2, 1.0625};
        struct kv_cache c;
        struct kv_shape shape = {.type = type, .layers = 4, .kv_heads = 8, .head_dim = 128};
        OK(cache_create(r->backend, &r->memory, shape, CACHE_PAGE, &c, err));
        size_t before = r->memory.used;
        OK(cache_reserve(&c, CACHE_PAGE, err));
        double value = (double)(r->memory.used - before) / (CACHE_PAGE * 4 * 2 * 8 * 128.0);
        print_message("a value takes %.4f bytes\n", value);
        assert_true(value < bytes[type] + 1e-2);
        cache_free(&c);
    }
    runtime_end(r);
}

/* ---- layers with windows ------------------------------------------------------------------------------------------
 */

enum { WINDOW = 512, MOST = 300, CONTEXT = 8192, LAYERS = 6 };
static const size_t windows[LAYERS] = {WINDOW, WINDOW, 0, WINDOW, 7, WINDOW};

static void open_windows(lorac_runtime *r, const size_t *of, struct kv_cache *c)
{
    struct kv_shape shape = {KV_F32, LAYERS, KV_HEADS, DIM, of, MOST};
    OK(cache_create(r->backend, &r->memory, shape, CONTEXT, c, err));
}

/* Tokens position .. position + rows of all layers: other numbers in each layer and each time. */
static void compute(lorac_runtime *r, struct kv_cache *c, size_t position, size_t rows, uint64_t seed)
{
    struct stream s = {.backend = r->backend};
    OK(cache_reserve(c, position + rows, err));
    for (size_t l = 0; l < LAYERS; l++) {
        struct buffer *x = filled(r, 2 * rows * KV_WIDTH, seed * CONTEXT + position * LAYERS + l);
        cache_append(c, &s, l, position, (struct buf){x, 0}, buf_at((struct buf){x, 0}, rows * KV_WIDTH), NUMBER_F32,
                     rows);
        r->backend->kernels->buffer_free(r->backend, x);
    }
    c->tokens = position + rows;
}

static const uint8_t *stored_at(const struct kv_view *view, const struct buf *pages, size_t token)
{
    const struct buf *page = &pages[token / view->page_tokens];
    return (const uint8_t *)page->buffer->host + page->offset + view->offset +
           token % view->page_tokens * view->row_bytes;
}

/* Whatever the queries first .. c->tokens see is the same in both caches. */
static void assert_same_windows(const struct kv_cache *c, const struct kv_cache *whole, size_t first)
{
    for (size_t l = 0; l < LAYERS; l++) {
        struct kv_view x = cache_view(c, l), y = cache_view(whole, l);
        for (size_t t = windows[l] && first + 1 > windows[l] ? first + 1 - windows[l] : 0; t < c->tokens; t++)
            for (size_t h = 0; h < KV_HEADS; h++) {
                assert_memory_equal(stored_at(&x, x.k, t) + h * x.head_bytes, stored_at(&y, y.k, t) + h * y.head_bytes,
                                    x.row_bytes);
                assert_memory_equal(stored_at(&x, x.v, t) + h * x.head_bytes, stored_at(&y, y.v, t) + h * y.head_bytes,
                                    x.row_bytes);
            }
    }
}

/* Passes of every length, then back a little and a lot, again and again. */
static void windows_hold_what_queries_see(void **state)
{
    lorac_runtime *r = runtime_of(NULL, 1);
    struct kv_cache c, whole;
    size_t anew = 0, kept = 0;
    open_windows(r, windows, &c);
    open_windows(r, NULL, &whole);
    for (uint64_t i = 0; i < 60; i++) {
        size_t position = c.tokens, rows = i % 5 == 4 ? MOST : 1 + i * 37 % MOST;
        compute(r, &c, position, rows, i);
        compute(r, &whole, position, rows, i);
        assert_same_windows(&c, &whole, position);
        if (i % 4 != 3) continue;
        size_t back = i * i * 7 % 1500 < c.tokens ? i * i * 7 % 1500 : c.tokens, to = c.tokens - back;
        cache_truncate(&c, to);
        cache_truncate(&whole, to);
        assert_true(whole.tokens == to && (c.tokens == to || !c.tokens));
        assert_true(c.tokens == to || back > 1); /* the last token can always be computed once more */
        *(c.tokens ? &kept : &anew) += 1;
        whole.tokens = c.tokens;
    }
    print_message("%zu times what was left was held, %zu times it was not\n", kept, anew);
    assert_true(kept > 2 && anew > 2);
    cache_free(&c), cache_free(&whole);
    runtime_end(r);
}

/* A window of 512 in five layers of six: at 8192 tokens they hold 4 pages (window and pass) instead of 32. */
static void windows_are_small(void **state)
{
    lorac_runtime *r = runtime_of(NULL, 1);
    size_t bytes[2], page = CACHE_PAGE * 2 * KV_WIDTH * sizeof(float);
    for (int i = 0; i < 2; i++) {
        struct kv_cache c;
        open_windows(r, i ? windows : NULL, &c);
        size_t before = r->memory.used;
        OK(cache_reserve(&c, CONTEXT, err));
        bytes[i] = r->memory.used - before;
        cache_free(&c);
    }
    print_message("a cache of %d tokens: %zu bytes, with windows %zu\n", CONTEXT, bytes[0], bytes[1]);
    assert_true(bytes[0] >= 6 * 32 * page && bytes[1] >= (32 + 5 * 4) * page);
    assert_true(bytes[1] < (32 + 5 * 4) * page * 101 / 100);
    runtime_end(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunks_change_no_bit),
                                       cmocka_unit_test(tasks_change_no_gradient), cmocka_unit_test(cache_is_small),
                                       cmocka_unit_test(windows_hold_what_queries_see),
                                       cmocka_unit_test(windows_are_small)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* strips.c — a block of a product where the tile takes whole strips (strip_bf16: AMX).
 *
 * Its products are so fast that bringing the sums from the second-level cache once more for every operand and part of
 * the depth would cost as much as they do. So all panels of the block are unpacked first; then strips of rows go
 * through all operands, the terms among them, while their sums stay in registers, and are stored at once. */
#include "backend/cpu/pack.h"
#include "backend/cpu/products.h"

#include <math.h>
#include <string.h>

enum { MOST_OPERANDS = 24 };

struct piece {
    struct operand o;
    size_t row, rows, depth; /* of y; those beyond are not the operand's. depth: in whole registers */
    uint16_t *panels;
};
struct strips {
    const struct product *p;
    struct cpu_scratch *scratch;
    size_t ld, count;
    struct piece piece[MOST_OPERANDS];
};

static size_t whole(size_t depth)
{
    return (depth + CPU_STRIP_DEPTH - 1) / CPU_STRIP_DEPTH * CPU_STRIP_DEPTH;
}

/* Calls visit for every operand that y has in the rows row .. row + rows. */
static void walk(const struct product *p, size_t row, size_t rows,
                 void (*visit)(void *context, const struct operand *o, size_t row, size_t rows), void *context)
{
    const struct low_rank *low = p->low;
    for (size_t i = 0; i < p->count; i++) visit(context, &p->operand[i], 0, p->rows);
    for (size_t r = 0; low && r < low->terms->count; r++) {
        const struct term_rows *range = &low->terms->ranges[r];
        if (range->row >= row + rows || range->row + range->rows <= row) continue;
        for (size_t i = low->first, count; i < low->last; i++) {
            size_t column = low_rank_column(low, range->table, i);
            const struct lora_term *terms = low_rank_terms(low, range->table, i, &count);
            for (size_t t = 0; t < count; column += term_rank(&terms[t++])) {
                struct operand o = term_operand(p, &terms[t], column);
                visit(context, &o, range->row, range->rows);
            }
        }
    }
}

struct sizes {
    size_t depth, count;
};
static void add_size(void *context, const struct operand *o, size_t row, size_t rows)
{
    struct sizes *s = context;
    s->depth += whole(operand_depth(o));
    s->count++;
}

size_t strips_depth(const struct product *p)
{
    struct sizes s = {0};
    if (!p->c->k.strip_bf16 || !p->bf16 || p->x8 || p->few) return 0;
    walk(p, 0, p->rows, add_size, &s);
    bool fits = s.count <= MOST_OPERANDS && s.depth * p->c->k.tile_cols * sizeof(uint16_t) <= CPU_STRIP_PANEL_BYTES;
    return fits ? s.depth : 0;
}

/* ---- the cut ------------------------------------------------------------------------------------------------------
 */

/* Cycles for each element of depth: unpacking a column, bringing a row from the third-level cache, multiplying both. */
static const double UNPACK = 0.7, BRING = 0.5, MULTIPLY = 2.0 / 1024 / 0.55;
static const double WAITING = 0.5; /* for the last block, in blocks: threads are never equally fast */

static size_t ceil_to(size_t n, size_t parts, size_t grain)
{
    return ((n + parts - 1) / parts + grain - 1) / grain * grain;
}

/* 1, 2, 3, 4, 5, 7, 9, 12 ... */
static size_t next_parts(size_t parts)
{
    return parts + (parts + 3) / 4;
}

static double block_cycles(size_t rows, size_t cols)
{
    double r = (double)rows, c = (double)cols;
    return c * UNPACK + r * BRING + r * c * MULTIPLY;
}

/* The cut that takes the least time: large blocks are unpacked seldom, many keep all threads busy. */
void strips_plan(struct product *p, size_t depth)
{
    size_t tile = p->c->k.tile_cols, threads = (size_t)p->c->threads, rows = 0, cols = 0;
    size_t most =
        size_min(CPU_STRIP_PANEL_BYTES / sizeof(uint16_t) / depth, CPU_SUMS_BYTES / sizeof(float) / CPU_STRIP_ROWS) /
        tile * tile;
    double least = INFINITY, work = p->c->task_flops * 6 / 2 / (double)depth;
    for (size_t across = (p->cols + most - 1) / most; cols != tile; across = next_parts(across)) {
        cols = ceil_to(p->cols, across, tile);
        for (size_t down = 1; rows != CPU_STRIP_ROWS; down = next_parts(down)) {
            rows = ceil_to(p->rows, down, CPU_STRIP_ROWS);
            size_t tasks = ((p->rows + rows - 1) / rows) * ((p->cols + cols - 1) / cols);
            double time = block_cycles(rows, cols) * ((double)((tasks + threads - 1) / threads) + WAITING);
            if (time >= least || ((double)(rows * cols) > work && rows > CPU_STRIP_ROWS)) continue;
            least = time;
            p->step_rows = rows;
            p->step_cols = cols;
        }
        rows = 0;
    }
}

/* ---- a block ------------------------------------------------------------------------------------------------------
 */

static void add_piece(void *context, const struct operand *o, size_t row, size_t rows)
{
    struct strips *s = context;
    const struct piece *last = s->count ? &s->piece[s->count - 1] : NULL;
    uint16_t *panels = last ? last->panels + last->depth * s->ld : s->scratch->panel;
    s->piece[s->count++] = (struct piece){*o, row, rows, whole(operand_depth(o)), panels};
}

static void pack(const struct strips *s, const struct piece *e, size_t col, size_t cols)
{
    const struct cpu_kernels *k = &s->p->c->k;
    const struct operand *o = &e->o;
    size_t tile = k->tile_cols, depth = operand_depth(o), even = (depth + 1) & ~(size_t)1;
    for (size_t n = 0; n < cols; n += tile) {
        uint16_t *panel = e->panels + n * e->depth;
        if (o->transposed)
            cpu_pack(k, panel, true, true, &o->w, 0, depth, col + n, size_min(tile, cols - n));
        else
            cpu_pack(k, panel, true, false, &o->w, col + n, size_min(tile, cols - n), 0, depth);
        memset(panel + tile * even, 0, tile * (e->depth - even) * sizeof *panel);
    }
}

/* A row of an operand times its scale in bf16, filled up with zeros. floats: room for one in f32. */
static void convert(const struct cpu_kernels *k, uint16_t *y, const struct piece *e, size_t row, float *floats)
{
    const struct operand *o = &e->o;
    size_t depth = operand_depth(o);
    const void *x = number_at(o->x, row * o->ldx, o->number);
    bool narrow = o->number == NUMBER_BF16;
    if (narrow && o->scale == 1) {
        memcpy(y, x, depth * sizeof *y);
    } else {
        if (narrow) k->from_bf16(floats, x, depth);
        const float *from = narrow ? floats : x;
        for (size_t i = 0; o->scale != 1 && i < depth; i++) floats[i] = o->scale * from[i];
        k->to_bf16(y, o->scale != 1 ? floats : from, depth);
    }
    memset(y + depth, 0, (e->depth - depth) * sizeof *y);
}

/* The tiles take rows as they lie. */
static bool as_they_lie(const struct operand *o)
{
    return o->number == NUMBER_BF16 && o->scale == 1 && operand_depth(o) % CPU_STRIP_DEPTH == 0 &&
           o->ldx * sizeof(uint16_t) % CPU_SET_BYTES;
}

/* The strip's rows of an operand: where they are, or from `room` on. */
static struct cpu_strip rows_of(const struct strips *s, const struct piece *e, size_t row, size_t rows, uint16_t *room)
{
    const struct operand *o = &e->o;
    bool all = e->row <= row && row + rows <= e->row + e->rows;
    if (all && as_they_lie(o))
        return (struct cpu_strip){number_at(o->x, row * o->ldx, o->number), e->panels, o->ldx, e->depth};
    uint16_t *y = room;
    for (size_t i = row; i < row + rows; i++, y += e->depth)
        if (i >= e->row && i < e->row + e->rows)
            convert(&s->p->c->k, y, e, i, s->scratch->sums);
        else
            memset(y, 0, e->depth * sizeof *y);
    return (struct cpu_strip){room, e->panels, e->depth, e->depth};
}

/* The block's sums may go where y is at once. */
static bool sums_are_y(const struct strips *s, size_t cols)
{
    return s->p->number == NUMBER_F32 && !s->p->accumulate && !s->p->bias && s->ld == cols;
}

void strips_block(const struct product *p, struct cpu_scratch *scratch, size_t row, size_t rows, size_t col,
                  size_t cols)
{
    const struct cpu_kernels *k = &p->c->k;
    struct strips s = {.p = p, .scratch = scratch, .ld = (cols + k->tile_cols - 1) / k->tile_cols * k->tile_cols};
    walk(p, row, rows, add_piece, &s);
    for (size_t i = 0; i < s.count; i++) pack(&s, &s.piece[i], col, cols);
    float scale = s.count == 1 ? s.piece[0].o.scale : 1; /* of the sums: they may be far fewer than what they sum */
    if (s.count == 1) s.piece[0].o.scale = 1;
    bool straight = scale == 1 && sums_are_y(&s, cols);
    for (size_t end = row + rows; row < end; row += CPU_STRIP_ROWS) {
        struct cpu_strip strip[MOST_OPERANDS];
        size_t high = size_min(CPU_STRIP_ROWS, end - row), ld = straight ? p->ldy : s.ld;
        float *sums = straight ? (float *)p->y + row * p->ldy + col : scratch->sums;
        uint16_t *room = scratch->rows;
        for (size_t i = 0; i < s.count; room += CPU_STRIP_ROWS * s.piece[i++].depth)
            strip[i] = rows_of(&s, &s.piece[i], row, high, room);
        k->strip_bf16(sums, ld, strip, s.count, high, cols);
        if (straight) continue;
        for (size_t i = 0; scale != 1 && i < high * ld; i++) sums[i] *= scale;
        product_store(p, scratch, ld, row, high, col, cols);
    }
}

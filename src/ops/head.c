/* head.c — hidden rows to logits, scaled and capped where a model does that (Gemma 2, arXiv 2408.00118). */
#include "ops/ops.h"

struct tensor *op_head(struct exec *e, const struct tensor *x, const struct head *head, bool int8)
{
    struct tensor *logits = exec_tensor(e, x->rows, head->weight.rows, NUMBER_F32);
    exec_matmul(e,
                &(struct matmul){.x = x->data,
                                 .number = x->number,
                                 .ldx = x->width,
                                 .rows = x->rows,
                                 .cols = x->width,
                                 .count = 1,
                                 .out = {{&head->weight, logits->data, head->bias, logits->width}},
                                 .scale = 1},
                int8);
    if (head->scale != 1 || head->softcap != 0)
        e->k->soft_cap(&e->stream, logits->data, head->scale, head->softcap, logits->rows * logits->width);
    return logits;
}

/* embedding.c — rows of a table by id or position. The table is frozen: there is no backward. */
#include "ops/ops.h"

struct tensor *op_embedding(struct exec *e, const struct qmatrix *table, struct buf ids, size_t rows, float scale)
{
    struct tensor *y = exec_tensor(e, rows, table->cols, NUMBER_F32);
    e->k->embed(&e->stream, y->data, table, ids, rows, scale, false);
    return y;
}

void op_embedding_add(struct exec *e, struct tensor *x, const struct qmatrix *table, struct buf positions)
{
    e->k->embed(&e->stream, x->data, table, positions, x->rows, 1, true);
}

/* low_rank.h — walking the terms of a group of linears, in the one order that all who read or write h share. */
#ifndef BACKEND_LOW_RANK_H
#define BACKEND_LOW_RANK_H

#include "backend/backend.h"

/* The terms of linear `i` of the group under a table (which may be NULL); *count of them. */
static inline const struct lora_term *low_rank_terms(const struct low_rank *l, const struct term_table *table, size_t i,
                                                     size_t *count)
{
    const uint32_t *begin = table ? table->begin + l->linear[i] : NULL;
    *count = begin ? begin[1] - begin[0] : 0;
    return begin ? table->terms + begin[0] : NULL;
}

/* The column of h where linear `i`'s terms begin; i = count: the row's length. */
static inline size_t low_rank_column(const struct low_rank *l, const struct term_table *table, size_t i)
{
    size_t column = 0, count;
    for (size_t k = 0; k < i; k++) {
        const struct lora_term *terms = low_rank_terms(l, table, k, &count);
        for (size_t t = 0; t < count; t++) column += terms[t].a.rows;
    }
    return column;
}

/* The widest row of h; 0: no row has a term. */
static inline size_t low_rank_width(const struct low_rank *l)
{
    size_t width = 0;
    for (size_t r = 0; l->terms && r < l->terms->count; r++) {
        size_t columns = low_rank_column(l, l->terms->ranges[r].table, l->count);
        if (columns > width) width = columns;
    }
    return width;
}

#endif

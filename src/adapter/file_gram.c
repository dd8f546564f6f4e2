/* file_gram.c — how large the change of a module is, and how far two are apart, without the product B·A:
 *
 *   ‖B A‖² = tr((Bᵀ B)(A Aᵀ)),  two matrices of the rank's size.
 *
 * A difference is a product of twice the rank, split so that what is equal cancels before it is squared:
 *
 *   B₁A₁ − B₂A₂ = (B₁ − B₂)A₁ + B₂(A₁ − A₂),  the lower rank filled up with zeros. */
#include "adapter/file.h"

#include <math.h>

/* scale·B·A of the first, or its difference to the second's. */
struct product {
    const struct file_module *first, *second;
    size_t rank; /* the higher one */
};

static double b_at(const struct file_module *m, size_t row, size_t k)
{
    return k < m->b.cols ? m->scale * (double)matrix_at(&m->b, row, k) : 0;
}

static double a_at(const struct file_module *m, size_t k, size_t col)
{
    return k < m->a.rows ? (double)matrix_at(&m->a, k, col) : 0;
}

static double left_at(const struct product *p, size_t row, size_t k)
{
    if (!p->second) return b_at(p->first, row, k);
    if (k >= p->rank) return b_at(p->second, row, k - p->rank);
    return b_at(p->first, row, k) - b_at(p->second, row, k);
}

static double right_at(const struct product *p, size_t k, size_t col)
{
    if (k < p->rank) return a_at(p->first, k, col);
    return a_at(p->first, k - p->rank, col) - a_at(p->second, k - p->rank, col);
}

/* gram (rank, rank) += v vᵀ for every row or column v of a factor; v (rank) is room. */
static void add_outer(double *gram, const double *v, size_t rank)
{
    for (size_t i = 0; i < rank; i++)
        for (size_t k = 0; k <= i; k++) gram[i * rank + k] += v[i] * v[k];
}

/* tr(L R) of two symmetric matrices of which the lower halves are there. */
static double trace(const double *l, const double *r, size_t rank)
{
    double sum = 0;
    for (size_t i = 0; i < rank; i++)
        for (size_t k = 0; k <= i; k++) sum += (i == k ? 1 : 2) * l[i * rank + k] * r[i * rank + k];
    return sum;
}

static lorac_status norm_of(struct memory *m, const struct product *p, double *norm, lorac_error *err)
{
    size_t rank = p->second ? 2 * p->rank : p->rank, square;
    double *left = size_mul(rank, 2 * rank + 1, &square) ? mem_array(m, square, sizeof *left) : NULL;
    if (!left) return fail_memory(err, "the norm of a module", rank * rank * sizeof *left);
    double *right = left + rank * rank, *v = right + rank * rank;
    for (size_t row = 0; row < p->first->b.rows; row++) {
        for (size_t k = 0; k < rank; k++) v[k] = left_at(p, row, k);
        add_outer(left, v, rank);
    }
    for (size_t col = 0; col < p->first->a.cols; col++) {
        for (size_t k = 0; k < rank; k++) v[k] = right_at(p, k, col);
        add_outer(right, v, rank);
    }
    double square_norm = trace(left, right, rank);
    *norm = sqrt(square_norm < 0 ? 0 : square_norm); /* of rounding */
    mem_free(m, left);
    return LORAC_OK;
}

lorac_status module_norm(struct memory *m, const struct file_module *a, double *norm, lorac_error *err)
{
    return norm_of(m, &(struct product){a, NULL, a->a.rows}, norm, err);
}

lorac_status module_distance(struct memory *m, const struct file_module *a, const struct file_module *b,
                             double *distance, lorac_error *err)
{
    size_t rank = a->a.rows > b->a.rows ? a->a.rows : b->a.rows;
    return norm_of(m, &(struct product){a, b, rank}, distance, err);
}

/* json_score.c — see json_score.h. */
#include "text/json_score.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_EXPONENT = 1 << 20, LARGEST_POWER = 308 };

struct number {
    const char *p, *end;
    uint64_t digits;
    int exponent;
    bool full; /* the next digit would overflow: further ones are dropped */
};

static bool is_digit(const struct number *n)
{
    return n->p < n->end && *n->p >= '0' && *n->p <= '9';
}

/* `behind`: the digits follow the point. */
static void read_digits(struct number *n, bool behind)
{
    for (; is_digit(n); n->p++) {
        unsigned digit = (unsigned)(*n->p - '0');
        n->full |= n->digits > (UINT64_MAX - digit) / 10;
        if (!n->full) n->digits = n->digits * 10 + digit;
        if (behind != n->full && n->exponent > -MAX_EXPONENT && n->exponent < MAX_EXPONENT)
            n->exponent += behind ? -1 : 1;
    }
}

static void read_exponent(struct number *n)
{
    if (n->p == n->end || (*n->p != 'e' && *n->p != 'E')) return;
    bool negative = ++n->p < n->end && *n->p == '-';
    int exponent = 0;
    if (n->p < n->end && (*n->p == '-' || *n->p == '+')) n->p++;
    for (; is_digit(n); n->p++)
        if (exponent < MAX_EXPONENT) exponent = exponent * 10 + (*n->p - '0');
    n->exponent += negative ? -exponent : exponent;
}

static double power_of_ten(int exponent)
{
    char text[16];
    snprintf(text, sizeof text, "1e%d", exponent);
    return strtod(text, NULL); /* no decimal point: no locale */
}

static double scale(double value, int exponent)
{
    for (; exponent < -LARGEST_POWER && value != 0; exponent += LARGEST_POWER) value /= power_of_ten(LARGEST_POWER);
    if (value == 0) return value;
    if (exponent > LARGEST_POWER) return HUGE_VAL;
    return exponent < 0 ? value / power_of_ten(-exponent) : value * power_of_ten(exponent);
}

bool json_score_read(const char *digits, size_t length, double *value)
{
    struct number n = {.p = digits, .end = digits + length};
    bool negative = n.p < n.end && *n.p == '-';
    n.p += negative;
    read_digits(&n, false);
    if (n.p < n.end && *n.p == '.') n.p++, read_digits(&n, true);
    read_exponent(&n);
    *value = scale((double)n.digits, n.exponent);
    if (negative) *value = -*value;
    return n.p == n.end && isfinite(*value);
}

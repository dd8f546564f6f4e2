/* code_tables.h — the numbers that nibbles stand for, plus the format's zero: unsigned bytes for products in int8. */
#ifndef CPU_CODE_TABLES_H
#define CPU_CODE_TABLES_H

#include <stdint.h>

static const uint8_t nonlinear_128[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t grid1_9[16] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 9, 9, 9, 9, 9, 9};
static const uint8_t grid2_43[16] = {0, 18, 35, 51, 68, 86, 43, 43, 43, 43, 43, 43, 43, 43, 43, 43};
static const uint8_t grid3_62[16] = {0, 10, 18, 26, 34, 42, 50, 58, 66, 74, 82, 90, 98, 106, 114, 124};
static const uint8_t grid3_s_15[16] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
static const uint8_t e2m1_12[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

#endif

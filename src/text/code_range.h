/* code_range.h — runs of code points, and whether one lies in a table of them. */
#ifndef TEXT_CODE_RANGE_H
#define TEXT_CODE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct code_range {
    uint32_t first, last;
};

/* The ranges are sorted and apart from one another. */
static inline bool code_in_ranges(uint32_t code, const struct code_range *ranges, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= code;
}
#define CODE_IN(code, table) code_in_ranges(code, table, sizeof(table) / sizeof *(table))

#endif

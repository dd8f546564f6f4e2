/* golden_lines.h — a golden of one JSON value a line, for the tests whose memory is `memory`. Include after cmocka.h.
 */
#ifndef TESTS_GOLDEN_LINES_H
#define TESTS_GOLDEN_LINES_H

#include "base/json.h"
#include "base/os.h"

static struct memory memory;

typedef void (*line_fn)(const json_t *line, void *context);

/* How many lines there are. */
static size_t each_line(const char *path, line_fn check, void *context)
{
    char *bytes, *next;
    size_t size, lines = 0;
    assert_int_equal(os_read(&memory, path, 16 << 20, &bytes, &size, NULL), LORAC_OK);
    for (char *at = bytes; *at; at = next, lines++) {
        json_t *line;
        next = strchr(at, '\n') + 1;
        assert_int_equal(json_read(&memory, at, (size_t)(next - at), path, &line, NULL), LORAC_OK);
        check(line, context);
        json_decref(line);
    }
    mem_free(&memory, bytes);
    return lines;
}

#endif

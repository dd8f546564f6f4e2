/* corpus.h — runs a check over every file of a fuzz corpus: those named good_* must open, all others be refused. */
#ifndef TEST_CORPUS_H
#define TEST_CORPUS_H

#include "base/os.h"

#include <stdio.h>
#include <string.h>

/* Why a hostile file must be refused: a part of the error's message. Files not listed must only be refused. */
struct reason {
    const char *file, *part;
};

typedef lorac_status (*corpus_open)(struct memory *m, const uint8_t *bytes, size_t size, lorac_error *err);

static const char *expected_part(const struct reason *reasons, size_t count, const char *file)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(reasons[i].file, file) == 0) return reasons[i].part;
    return "";
}

/* Returns how many files the corpus has. */
static size_t check_corpus(const char *folder, corpus_open open_bytes, const struct reason *reasons, size_t count)
{
    struct memory m = {0};
    char **names;
    size_t files;
    lorac_error err;
    assert_int_equal(os_list(&m, folder, &names, &files, &err), LORAC_OK);
    for (size_t i = 0; i < files; i++) {
        char *path = os_join(&m, folder, names[i]), *bytes;
        size_t size, before;
        bool good = strncmp(names[i], "good_", 5) == 0;
        assert_int_equal(os_read(&m, path, 1 << 24, &bytes, &size, &err), LORAC_OK);
        before = m.used;
        err.message[0] = 0;
        lorac_status status = open_bytes(&m, (const uint8_t *)bytes, size, &err);
        if ((status == LORAC_OK) != good) fail_msg("%s: %s (%s)", names[i], lorac_status_name(status), err.message);
        if (!strstr(err.message, expected_part(reasons, count, names[i]))) fail_msg("%s: %s", names[i], err.message);
        if (m.used != before) fail_msg("%s: %zu bytes were not freed", names[i], m.used - before);
        mem_free(&m, bytes);
        mem_free(&m, path);
    }
    os_names_free(&m, names, files);
    assert_int_equal(m.used, 0);
    return files;
}

#endif

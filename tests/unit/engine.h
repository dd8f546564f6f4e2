/* engine.h — what the tests of the engine share: runtimes, golden models, JSON, folders of their own. */
#ifndef TESTS_ENGINE_H
#define TESTS_ENGINE_H

#include "base/json.h"
#include "base/os.h"
#include "base/random.h"
#include "base/runtime.h"
#include "backend/backend.h"
#include <lorac/session.h>
#include <lorac/trainer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODELS   TEST_DATA "/models/"
#define FAMILIES TEST_DATA "/families/"

/* A call that must succeed; its last argument is `err`. */
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        lorac_error error_ = {0}, *err = &error_;                                                                      \
        if ((call) != LORAC_OK) fail_msg("%s", error_.message);                                                        \
    } while (0)

/* A call that must fail with this status and say this. */
#define FAILS(call, expected, words)                                                                                   \
    do {                                                                                                               \
        lorac_error error_ = {0}, *err = &error_;                                                                      \
        lorac_status got_ = (call);                                                                                    \
        if (got_ != (expected) || error_.status != (expected) || !strstr(error_.message, words))                       \
            fail_msg("expected \"%s\" with \"%s\", got \"%s\": %s", lorac_status_name(expected), words,                \
                     lorac_status_name(got_), error_.message);                                                         \
    } while (0)

/* NULL when the CPU has not this instruction set. */
static inline lorac_runtime *runtime_or_null(const char *backend, const char *isa, int threads)
{
    lorac_runtime_options o;
    lorac_runtime *r = NULL;
    lorac_runtime_options_init(&o);
    o.backend = backend;
    o.isa = isa;
    o.threads = threads;
    return lorac_runtime_create(&o, &r, NULL) == LORAC_OK ? r : NULL;
}

static inline lorac_runtime *runtime_of(const char *backend, int threads)
{
    lorac_runtime *r = runtime_or_null(backend, NULL, threads);
    assert_non_null(r);
    return r;
}

/* The heap must be empty again: nothing leaked. */
static inline void runtime_end(lorac_runtime *r)
{
    size_t fresh;
    lorac_runtime_info info = {.struct_size = sizeof info};
    lorac_runtime_get_info(r, &info);
    lorac_runtime *other = runtime_or_null(info.backend, info.isa, info.threads);
    assert_non_null(other);
    fresh = other->memory.used;
    lorac_runtime_free(other);
    assert_int_equal(r->memory.used, fresh);
    lorac_runtime_free(r);
}

static inline lorac_model *model_in(lorac_runtime *r, const char *place, const char *name)
{
    char path[512];
    lorac_model *m = NULL;
    snprintf(path, sizeof path, "%s%s", place, name);
    OK(lorac_model_open(r, path, &m, err));
    return m;
}

static inline lorac_model *model_of(lorac_runtime *r, const char *name)
{
    return model_in(r, MODELS, name);
}

static inline json_t *json_of(const char *path)
{
    struct memory memory = {0};
    json_t *value = NULL;
    OK(json_read_file(&memory, path, (size_t)64 << 20, &value, err));
    return value;
}

static inline double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}
static inline size_t integer(const json_t *object, const char *key)
{
    return (size_t)json_integer_value(json_object_get(object, key));
}
static inline const char *string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* An array of integers into `ids`; its length. */
static inline size_t ids_of(const json_t *array, int32_t *ids, size_t most)
{
    size_t n = json_array_size(array);
    assert_true(n <= most);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return n;
}

/* Ids of a vocabulary of 288 or more, the same for the same seed. */
static inline void draw_ids(uint64_t seed, int32_t *ids, size_t count)
{
    struct random_key key = random_key(seed, RANDOM_TEST, 1, 0, 0);
    for (size_t i = 0; i < count; i++) ids[i] = (int32_t)(3 + random_below(key, i, 280));
}

static inline double uniform(uint64_t seed, uint64_t i)
{
    return 2 * random_unit(random_key(seed, RANDOM_TEST, 2, 0, 0), i) - 1;
}

/* A fresh empty folder; removed by folder_remove. */
static inline void folder_make(char path[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 256, "%s/lorac-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

static inline void folder_remove(const char *path)
{
    struct memory memory = {0};
    OK(os_remove_tree(&memory, path, err));
}

static inline void file_write(const char *folder, const char *name, const char *text)
{
    struct memory memory = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(os_write_whole(&memory, path, text, strlen(text), err));
}

#endif

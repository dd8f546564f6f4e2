/* gguf_get.c — ggml's types and typed access to an opened GGUF file's metadata. See gguf.h. */
#include "file/gguf_value.h"
#include "base/reader.h"

#include <string.h>

/* ---- tensor types ------------------------------------------------------------------------ */

/* Block layouts of ggml-common.h. Numbers without a name were removed from ggml or never given out. */
static const struct ggml_type {
    const char *name;
    uint16_t elements, bytes;
} types[] = {
    [0] = {"F32", 1, 4},         [1] = {"F16", 1, 2},         [2] = {"Q4_0", 32, 18},      [3] = {"Q4_1", 32, 20},
    [6] = {"Q5_0", 32, 22},      [7] = {"Q5_1", 32, 24},      [8] = {"Q8_0", 32, 34},      [9] = {"Q8_1", 32, 36},
    [10] = {"Q2_K", 256, 84},    [11] = {"Q3_K", 256, 110},   [12] = {"Q4_K", 256, 144},   [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},   [15] = {"Q8_K", 256, 292},   [16] = {"IQ2_XXS", 256, 66}, [17] = {"IQ2_XS", 256, 74},
    [18] = {"IQ3_XXS", 256, 98}, [19] = {"IQ1_S", 256, 50},   [20] = {"IQ4_NL", 32, 18},   [21] = {"IQ3_S", 256, 110},
    [22] = {"IQ2_S", 256, 82},   [23] = {"IQ4_XS", 256, 136}, [24] = {"I8", 1, 1},         [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},        [27] = {"I64", 1, 8},        [28] = {"F64", 1, 8},        [29] = {"IQ1_M", 256, 56},
    [30] = {"BF16", 1, 2},       [34] = {"TQ1_0", 256, 54},   [35] = {"TQ2_0", 256, 66},   [39] = {"MXFP4", 32, 17},
    [40] = {"NVFP4", 64, 36},    [41] = {"Q1_0", 128, 18},    [42] = {"Q2_0", 64, 18},
};

bool gguf_type_size(uint32_t type, size_t *block_elements, size_t *block_bytes, const char **name)
{
    if (type >= sizeof types / sizeof *types || !types[type].name) return false;
    *block_elements = types[type].elements;
    *block_bytes = types[type].bytes;
    *name = types[type].name;
    return true;
}

/* ---- metadata types ---------------------------------------------------------------------- */

static const struct value_type {
    const char *name;
    uint8_t bytes; /* in the file; of a string its length field */
    bool is_signed;
} value_types[] = {
    [GGUF_U8] = {"an 8-bit integer", 1, false},  [GGUF_I8] = {"an 8-bit integer", 1, true},
    [GGUF_U16] = {"a 16-bit integer", 2, false}, [GGUF_I16] = {"a 16-bit integer", 2, true},
    [GGUF_U32] = {"a 32-bit integer", 4, false}, [GGUF_I32] = {"a 32-bit integer", 4, true},
    [GGUF_F32] = {"a number", 4, true},          [GGUF_BOOL] = {"a bool", 1, false},
    [GGUF_STRING] = {"a string", 8, false},      [GGUF_ARRAY] = {"an array", 0, false},
    [GGUF_U64] = {"a 64-bit integer", 8, false}, [GGUF_I64] = {"a 64-bit integer", 8, true},
    [GGUF_F64] = {"a number", 8, true},
};

size_t gguf_value_size(enum gguf_type type)
{
    return (size_t)type < sizeof value_types / sizeof *value_types ? value_types[type].bytes : 0;
}

static uint64_t read_bits(const uint8_t *bytes, size_t size)
{
    uint64_t bits = 0;
    for (size_t i = size; i-- > 0;) bits = bits << 8 | bytes[i];
    return bits;
}

int64_t gguf_read_integer(enum gguf_type type, const uint8_t *bytes)
{
    size_t size = value_types[type].bytes;
    uint64_t bits = read_bits(bytes, size), sign = 1ull << (8 * size - 1);
    return (int64_t)(value_types[type].is_signed ? (bits ^ sign) - sign : bits);
}

double gguf_read_real(enum gguf_type type, const uint8_t *bytes)
{
    uint64_t bits = read_bits(bytes, value_types[type].bytes);
    uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    double wide;
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    memcpy(&wide, &bits, sizeof wide);
    return type == GGUF_F32 ? (double)narrow : wide;
}

static bool is_real(enum gguf_type type)
{
    return type == GGUF_F32 || type == GGUF_F64;
}
static bool is_integer(enum gguf_type type)
{
    return !is_real(type) && type != GGUF_BOOL && type != GGUF_STRING && type != GGUF_ARRAY;
}

/* ---- finding ----------------------------------------------------------------------------- */

static bool equals(struct gguf_string s, const char *text, size_t length)
{
    return s.length == length && memcmp(s.data, text, length) == 0;
}

const struct gguf_value *gguf_find(const struct gguf *g, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < g->value_count; i++)
        if (equals(g->values[i].key, key, length)) return &g->values[i];
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < g->tensor_count; i++)
        if (equals(g->tensors[i].name, name, length)) return &g->tensors[i];
    return NULL;
}

/* ---- typed access ------------------------------------------------------------------------ */

static lorac_status fail_type(const struct gguf *g, const struct gguf_value *v, const char *expected, lorac_error *err)
{
    return fail(err, LORAC_FORMAT, g->path, "\"%.*s\" should be %s and is %s", (int)v->key.length, v->key.data,
                expected, value_types[v->type].name);
}

lorac_status gguf_get_size(const struct gguf *g, const char *key, size_t fallback, size_t *value, lorac_error *err)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v) return *value = fallback, LORAC_OK;
    if (!is_integer(v->type)) return fail_type(g, v, "an integer", err);
    if (v->as.integer < 0 || (uint64_t)v->as.integer > SIZE_MAX)
        return fail(err, LORAC_FORMAT, g->path, "\"%s\" is %lld, which is no size", key, (long long)v->as.integer);
    *value = (size_t)v->as.integer;
    return LORAC_OK;
}

lorac_status gguf_get_float(const struct gguf *g, const char *key, double fallback, double *value, lorac_error *err)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v) return *value = fallback, LORAC_OK;
    if (!is_real(v->type) && !is_integer(v->type)) return fail_type(g, v, "a number", err);
    *value = is_real(v->type) ? v->as.real : (double)v->as.integer;
    return LORAC_OK;
}

lorac_status gguf_get_bool(const struct gguf *g, const char *key, bool fallback, bool *value, lorac_error *err)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v) return *value = fallback, LORAC_OK;
    if (v->type != GGUF_BOOL) return fail_type(g, v, "a bool", err);
    *value = v->as.integer != 0;
    return LORAC_OK;
}

lorac_status gguf_get_text(const struct gguf *g, const char *key, char **value, lorac_error *err)
{
    const struct gguf_value *v = gguf_find(g, key);
    *value = NULL;
    if (!v) return LORAC_OK;
    if (v->type != GGUF_STRING) return fail_type(g, v, "a string", err);
    if (v->as.string.length && memchr(v->as.string.data, 0, v->as.string.length))
        return fail(err, LORAC_FORMAT, g->path, "\"%s\" holds a NUL character", key);
    *value = mem_text(g->memory, v->as.string.data, v->as.string.length);
    return *value ? LORAC_OK : fail_memory(err, key, v->as.string.length);
}

bool gguf_next_string(const struct gguf_value *array, size_t *at, struct gguf_string *item)
{
    if (array->type != GGUF_ARRAY || array->as.array.type != GGUF_STRING) return false;
    struct reader r = {.data = array->as.array.data, .size = array->as.array.bytes, .at = *at};
    uint64_t length = reader_u64(&r);
    if (r.failed || length > reader_left(&r)) return false;
    *item = (struct gguf_string){(const char *)reader_take(&r, (size_t)length), (size_t)length};
    *at = r.at;
    return true;
}

double gguf_number(const struct gguf_value *array, size_t i)
{
    if (array->type != GGUF_ARRAY || i >= array->as.array.count) return 0;
    enum gguf_type type = array->as.array.type;
    if (type == GGUF_STRING) return 0;
    const uint8_t *bytes = array->as.array.data + i * value_types[type].bytes;
    if (is_real(type)) return gguf_read_real(type, bytes);
    int64_t integer = gguf_read_integer(type, bytes);
    return type == GGUF_U64 ? (double)(uint64_t)integer : (double)integer;
}

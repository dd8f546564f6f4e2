/* dataset_rows.c — the bytes of a data file to rows: JSONL; a .json file's array; a .csv file (RFC 4180), whose first
 * record names the columns. CSV cells are strings, but "messages" and "tools" hold JSON. */
#include "text/dataset_rows.h"

#include <string.h>

struct rows {
    struct memory *memory;
    const char *path;
    row_sink sink;
    void *context;
    lorac_error *err;
    size_t left; /* rows that may still be given */
};

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), e = strlen(ending);
    return n >= e && !strcmp(path + n - e, ending);
}

const char *rows_unit(const char *path)
{
    return ends_in(path, ".json") ? "row" : "line";
}

static lorac_status bad(const struct rows *r, size_t place, const char *what)
{
    return fail(r->err, LORAC_FORMAT, r->path, "%s %zu %s", rows_unit(r->path), place, what);
}

static lorac_status give(struct rows *r, json_t *row, size_t place)
{
    r->left--;
    if (!json_is_object(row))
        return fail(r->err, LORAC_FORMAT, r->path, "%s %zu: is not a JSON object", rows_unit(r->path), place);
    return r->sink(r->context, row, place, r->err);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static lorac_status read_line(struct rows *r, const char *line, size_t length, size_t place)
{
    json_t *row;
    lorac_error inner;
    if (json_read(r->memory, line, length, NULL, &row, &inner) != LORAC_OK)
        return fail(r->err, LORAC_FORMAT, r->path, "line %zu is not JSON: %s", place, inner.message);
    lorac_status status = give(r, row, place);
    json_decref(row);
    return status;
}

static lorac_status read_lines(struct rows *r, const char *bytes, size_t size)
{
    size_t place = 0;
    for (const char *at = bytes, *end = bytes + size; r->left && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at), blank = 0;
        place++;
        while (blank < length && strchr(" \t\r", at[blank])) blank++;
        if (blank < length) TRY(read_line(r, at, length, place));
        at = stop ? stop + 1 : end;
    }
    return LORAC_OK;
}

static lorac_status read_array(struct rows *r, const char *bytes, size_t size)
{
    json_t *array;
    TRY(json_read(r->memory, bytes, size, r->path, &array, r->err));
    lorac_status status =
        json_is_array(array) ? LORAC_OK : fail(r->err, LORAC_FORMAT, r->path, "is not a JSON array of rows");
    for (size_t i = 0; status == LORAC_OK && r->left && i < json_array_size(array); i++)
        status = give(r, json_array_get(array, i), i + 1);
    json_decref(array);
    return status;
}

/* ---- CSV ------------------------------------------------------------------------------------ */

struct csv {
    struct rows *rows;
    const char *at, *end;
    size_t line;
    struct text cell;
    json_t *names;
};

static lorac_status quoted_cell(struct csv *c)
{
    for (c->at++; c->at < c->end; c->at++) {
        c->line += *c->at == '\n';
        if (*c->at != '"') {
            text_add(&c->cell, c->at, 1);
            continue;
        }
        if (++c->at == c->end || *c->at != '"') return LORAC_OK;
        text_add(&c->cell, "\"", 1);
    }
    return bad(c->rows, c->line, "ends inside a quoted cell");
}

static bool at_line_end(const struct csv *c)
{
    return c->at == c->end || *c->at == '\n' || (*c->at == '\r' && (c->at + 1 == c->end || c->at[1] == '\n'));
}

/* The cell at hand into c->cell. */
static lorac_status read_cell(struct csv *c)
{
    c->cell.length = 0;
    if (c->at < c->end && *c->at == '"') {
        TRY(quoted_cell(c));
        if (!at_line_end(c) && *c->at != ',') return bad(c->rows, c->line, "has text after a closing quote");
    } else {
        const char *from = c->at;
        while (!at_line_end(c) && *c->at != ',') c->at++;
        text_add(&c->cell, from, (size_t)(c->at - from));
    }
    return c->cell.failed ? fail_memory(c->rows->err, "a cell", c->cell.length) : LORAC_OK;
}

static bool holds_json(const char *name)
{
    return !strcmp(name, "messages") || !strcmp(name, "tools");
}

/* The cell as the value of a column; NULL `name`: of the first record. */
static lorac_status cell_value(struct csv *c, const char *name, json_t **value)
{
    const char *text = c->cell.data ? c->cell.data : "";
    lorac_error inner;
    if (name && holds_json(name)) {
        if (!c->cell.length) return *value = json_null(), LORAC_OK;
        if (json_read(c->rows->memory, text, c->cell.length, NULL, value, &inner) == LORAC_OK) return LORAC_OK;
        return fail(c->rows->err, LORAC_FORMAT, c->rows->path, "line %zu: \"%s\" is not JSON: %s", c->line, name,
                    inner.message);
    }
    *value = json_stringn(text, c->cell.length);
    return *value ? LORAC_OK : bad(c->rows, c->line, "is not UTF-8");
}

/* One record as a list of cells, or as an object under the columns' names. */
static lorac_status read_record(struct csv *c, json_t *record)
{
    for (size_t i = 0;; i++) {
        const char *name = json_string_value(json_array_get(c->names, i));
        json_t *value = NULL;
        TRY(read_cell(c));
        if (c->names && !name) return bad(c->rows, c->line, "has more cells than the first line");
        TRY(cell_value(c, name, &value));
        if (name ? json_object_set_new(record, name, value) : json_array_append_new(record, value))
            return fail_memory(c->rows->err, "a row", 0);
        if (at_line_end(c)) break;
        c->at++; /* the comma */
    }
    if (c->names && json_object_size(record) < json_array_size(c->names))
        return bad(c->rows, c->line, "has fewer cells than the first line");
    return LORAC_OK;
}

static void skip_line_end(struct csv *c)
{
    if (c->at < c->end && *c->at == '\r') c->at++;
    if (c->at < c->end) c->at++;
    c->line++;
}

static lorac_status read_records(struct csv *c)
{
    while (c->rows->left && c->at < c->end) {
        if (at_line_end(c)) {
            skip_line_end(c);
            continue;
        }
        size_t line = c->line;
        json_t *record = c->names ? json_object() : json_array();
        lorac_status status = record ? read_record(c, record) : fail_memory(c->rows->err, "a row", 0);
        if (status == LORAC_OK && c->names) status = give(c->rows, record, line);
        if (status == LORAC_OK && !c->names) c->names = json_incref(record);
        json_decref(record);
        TRY(status);
        skip_line_end(c);
    }
    return LORAC_OK;
}

static lorac_status read_csv(struct rows *r, const char *bytes, size_t size)
{
    static const char mark[] = "\xEF\xBB\xBF";
    size_t skip = size >= 3 && !memcmp(bytes, mark, 3) ? 3 : 0;
    struct csv c = {.rows = r, .at = bytes + skip, .end = bytes + size, .line = 1, .cell = {.memory = r->memory}};
    lorac_status status = read_records(&c);
    text_free(&c.cell);
    json_decref(c.names);
    return status;
}

lorac_status rows_read(struct memory *m, const char *path, const char *bytes, size_t size, size_t most, row_sink sink,
                       void *context, lorac_error *err)
{
    static const struct {
        const char *ending;
        lorac_status (*read)(struct rows *r, const char *bytes, size_t size);
    } kinds[] = {{".json", read_array}, {".csv", read_csv}, {"", read_lines}};
    struct rows r = {m, path, sink, context, err, most};
    size_t kind = 0;
    while (!ends_in(path, kinds[kind].ending)) kind++;
    return kinds[kind].read(&r, bytes, size);
}

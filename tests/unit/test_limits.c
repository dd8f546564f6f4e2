/* test_limits.c — a heap that ends anywhere: each part of the engine either works or says that memory ran out, and
 * gives back all it took. The limit grows in small steps until the call succeeds, so that every allocation is refused
 * once. */
#include "engine.h"

struct fixture {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_dataset *data;
    lorac_adapter *adapter;
    lorac_adapter_set *set;
};
typedef lorac_status (*part_fn)(struct fixture *f, lorac_error *err);

static lorac_status open_model(struct fixture *f, lorac_error *err)
{
    lorac_model *m;
    lorac_status status = lorac_model_open(f->runtime, MODELS "sharded", &m, err);
    if (status == LORAC_OK) lorac_model_release(m);
    return status;
}

static lorac_status open_gguf(struct fixture *f, lorac_error *err)
{
    lorac_model *m;
    lorac_status status = lorac_model_open(f->runtime, MODELS "yarn-f16.gguf", &m, err);
    if (status == LORAC_OK) lorac_model_release(m);
    return status;
}

static lorac_status open_adapter(struct fixture *f, lorac_error *err)
{
    lorac_adapter *a;
    lorac_status status = lorac_adapter_open(f->model, TEST_DATA "/training/constant", &a, err);
    if (status == LORAC_OK) lorac_adapter_release(a);
    return status;
}

static lorac_status make_set(struct fixture *f, lorac_error *err)
{
    lorac_adapter *two[2] = {f->adapter, f->adapter};
    const double factors[2] = {1, 2};
    lorac_adapter_set *set;
    lorac_status status = lorac_adapter_set_create(two, factors, 2, &set, err);
    if (status == LORAC_OK) lorac_adapter_set_release(set);
    return status;
}

static lorac_status generate(struct fixture *f, lorac_error *err)
{
    lorac_session *s;
    lorac_generate_options o;
    const int32_t ids[3] = {5, 6, 7};
    lorac_generate_options_init(&o);
    o.max_tokens = 70; /* a second page of the cache */
    lorac_status status = lorac_session_create(f->model, NULL, NULL, &s, err);
    if (status != LORAC_OK) return status;
    lorac_session_set_adapters(s, f->set); /* of a higher rank than before */
    status = lorac_session_append(s, ids, 3, err);
    if (status == LORAC_OK) status = lorac_generate(s, NULL, &o, NULL, NULL, NULL, err);
    lorac_session_free(s);
    return status;
}

static lorac_status evaluate(struct fixture *f, lorac_error *err)
{
    lorac_evaluation e = {.struct_size = sizeof e};
    return lorac_evaluate(f->model, f->set, f->data, LORAC_FAST, NULL, NULL, &e, err);
}

static lorac_status train(struct fixture *f, lorac_error *err)
{
    lorac_trainer *t;
    lorac_trainer_options o;
    char folder[256];
    lorac_trainer_options_init(&o);
    folder_make(folder);
    o.iterations = 2;
    o.steps_per_eval = 1;
    o.save_every = 1;
    o.format = LORAC_FORMAT_BOTH;
    o.adapter_path = folder;
    lorac_status status = lorac_trainer_create(f->model, f->data, f->data, &o, &t, err);
    if (status == LORAC_OK) {
        status = lorac_trainer_run(t, NULL, NULL, NULL, err);
        lorac_trainer_free(t);
    }
    folder_remove(folder);
    return status;
}

static lorac_status make_data(struct fixture *f, lorac_error *err)
{
    int32_t ids[600] = {0};
    size_t lengths[30];
    lorac_dataset *d;
    for (size_t i = 0; i < 30; i++) lengths[i] = 20;
    lorac_status status = lorac_dataset_from_tokens(f->runtime, ids, lengths, 30, &d, err);
    if (status == LORAC_OK) lorac_dataset_close(d);
    return status;
}

static void check_part(struct fixture *f, const char *name, part_fn part)
{
    struct memory *m = &f->runtime->memory;
    size_t used = m->used, refused = 0, room = 0;
    lorac_status status = LORAC_OUT_OF_MEMORY;
    for (; status != LORAC_OK; room += room / 24 + 128, refused++) {
        lorac_error err = {0};
        m->limit = used + room;
        status = part(f, &err);
        if (status != LORAC_OK && status != LORAC_OUT_OF_MEMORY)
            fail_msg("%s with %zu bytes: %s", name, room, err.message);
        if (m->used != used) fail_msg("%s with %zu bytes: %zu stay allocated", name, room, m->used - used);
        assert_true(room < (size_t)64 << 20);
    }
    m->limit = 0;
    print_message("%s: refused %zu times, works with %zu bytes\n", name, refused - 1, room);
    assert_true(refused > 2);
}

static void memory_may_end_anywhere(void **state)
{
    static const struct {
        const char *name;
        part_fn part;
    } parts[] = {
        {"model folder", open_model}, {"GGUF", open_gguf},      {"adapter", open_adapter}, {"set", make_set},
        {"data", make_data},          {"generation", generate}, {"evaluation", evaluate},  {"training", train}};
    struct fixture f = {.runtime = runtime_of(NULL, 1)};
    const double one = 1;
    int32_t ids[40];
    size_t lengths[2] = {15, 25};
    f.model = model_of(f.runtime, "plain");
    draw_ids(1, ids, 40);
    OK(lorac_dataset_from_tokens(f.runtime, ids, lengths, 2, &f.data, err));
    OK(lorac_adapter_open(f.model, TEST_DATA "/training/constant", &f.adapter, err));
    OK(lorac_adapter_set_create(&f.adapter, &one, 1, &f.set, err));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) check_part(&f, parts[i].name, parts[i].part);
    lorac_adapter_set_release(f.set);
    lorac_adapter_release(f.adapter);
    lorac_dataset_close(f.data);
    lorac_model_release(f.model);
    runtime_end(f.runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_may_end_anywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

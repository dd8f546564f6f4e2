/* generate.c — answers one question with a local model, and with an adapter where one is given.
 *
 *   cc -std=c11 examples/generate.c $(pkg-config --cflags --libs lorac) -o answer
 *   ./answer model.gguf "What is a llama?" [adapter folder]
 */
#include <lorac/adapter.h>
#include <lorac/session.h>
#include <stdio.h>
#include <string.h>

/* Everything that is open; what was not reached is NULL, and every closing call allows NULL. */
struct open {
    lorac_runtime *runtime; /* threads and memory of this process */
    lorac_model *model;     /* the weights, mapped from the file */
    lorac_tokenizer *tokenizer;
    lorac_adapter *adapter;
    lorac_adapter_set *set; /* which adapters are on, and how strongly */
    lorac_session *session; /* one text with its cache */
};

/* Called for every token with the text that became certain. Return anything but 0 to stop. */
static int print_piece(void *user, const lorac_generated *token)
{
    (void)user;
    fwrite(token->text, 1, token->text_length, stdout);
    fflush(stdout);
    return 0;
}

static lorac_status open_all(struct open *o, const char *model, const char *adapter, lorac_error *err)
{
    const double full = 1; /* the adapter as it was trained; 0.5 would be half of it */
    lorac_status status = lorac_runtime_create(NULL, &o->runtime, err);
    if (status == LORAC_OK) status = lorac_model_open(o->runtime, model, &o->model, err);
    if (status == LORAC_OK) status = lorac_tokenizer_open(o->runtime, model, &o->tokenizer, err);
    if (status == LORAC_OK && adapter) status = lorac_adapter_open(o->model, adapter, &o->adapter, err);
    if (status == LORAC_OK && adapter) status = lorac_adapter_set_create(&o->adapter, &full, 1, &o->set, err);
    if (status == LORAC_OK) status = lorac_session_create(o->model, o->set, NULL, &o->session, err);
    return status;
}

/* The model's chat template puts the question into the form that the model was trained on. */
static lorac_status append_question(struct open *o, const char *question, lorac_error *err)
{
    char json[8192], *text;
    int32_t *ids;
    size_t length, count;
    /* A program would use its JSON library here; this one refuses what it would have to escape. */
    if (strlen(question) > 8000 || strpbrk(question, "\"\\\n\r\t")) {
        fprintf(stderr, "The question is too long, or holds quotes, backslashes or line breaks.\n");
        return LORAC_INVALID_ARGUMENT;
    }
    int size = snprintf(json, sizeof json, "[{\"role\":\"user\",\"content\":\"%s\"}]", question);
    lorac_status status = lorac_chat_render(o->tokenizer, json, (size_t)size, 1, &text, &length, err);
    if (status != LORAC_OK) return status;
    status = lorac_tokenizer_encode(o->tokenizer, text, length, 0, &ids, &count, err);
    lorac_free(text);
    if (status != LORAC_OK) return status;
    status = lorac_session_append(o->session, ids, count, err);
    lorac_free(ids);
    return status;
}

int main(int argc, char **argv)
{
    struct open o = {0};
    lorac_error err = {0};
    lorac_generate_options options;
    lorac_generate_result result = {.struct_size = sizeof result};
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s MODEL QUESTION [ADAPTER]\n", argv[0]);
        return 2;
    }
    lorac_generate_options_init(&options);
    options.max_tokens = 200;
    lorac_status status = open_all(&o, argv[1], argc > 3 ? argv[3] : NULL, &err);
    if (status == LORAC_OK) status = append_question(&o, argv[2], &err);
    if (status == LORAC_OK) status = lorac_generate(o.session, o.tokenizer, &options, print_piece, NULL, &result, &err);
    if (status == LORAC_OK)
        printf("\n");
    else
        fprintf(stderr, "%s: %s\n", lorac_status_name(status), err.message);
    lorac_session_free(o.session);
    lorac_adapter_set_release(o.set);
    lorac_adapter_release(o.adapter);
    lorac_tokenizer_close(o.tokenizer);
    lorac_model_release(o.model);
    lorac_runtime_free(o.runtime);
    return status == LORAC_OK ? 0 : 1;
}

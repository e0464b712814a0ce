#include "serve/test_serve.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"

/* -- The backend ----------------------------------------------------------------------------------------------------- */

typedef struct fake_model {
    fake *owner;
    int n;
} fake_model;

static sw_serve_code fake_open(const sw_serve_backend *backend, const sw_serve_opening *opening, void **model,
                               sw_serve_error *error) {
    fake *f = backend->ctx;
    const char *broken = opening->parameter(opening->parameter_ctx, "broken");
    if (broken) return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "%s", broken);
    fake_model *made = calloc(1, sizeof *made);
    *made = (fake_model){f, opening->n_outputs};
    *model = made;
    pthread_mutex_lock(&f->lock);
    f->n_opened++;
    pthread_mutex_unlock(&f->lock);
    return SW_SERVE_OK;
}

static void fake_close(void *model) {
    fake *f = ((fake_model *)model)->owner;
    pthread_mutex_lock(&f->lock);
    f->n_closed++;
    pthread_mutex_unlock(&f->lock);
    free(model);
}

static void fake_describe(void *model, sw_serve_nature *nature) {
    *nature = (sw_serve_nature){.bytes = 1000};
}

static sw_serve_code fake_start(void *model, const sw_serve_start *how, void **instance, sw_serve_error *error) {
    *instance = model;
    return SW_SERVE_OK;
}

static void fake_stop(void *instance) {}

static sw_serve_code fake_run(void *instance, const sw_serve_tensor *in, sw_serve_tensor *out, sw_serve_error *error) {
    fake *f = ((fake_model *)instance)->owner;
    pthread_mutex_lock(&f->lock);
    int number = f->n_runs++;
    f->rows[number] = in[0].dims[0];
    f->first[number] = ((const float *)in[0].data)[0];
    if (++f->running > f->most_running) f->most_running = f->running;
    pthread_cond_broadcast(&f->changed);
    while (f->held && !f->permits) pthread_cond_wait(&f->changed, &f->lock);
    if (f->held) f->permits--;
    f->running--;
    const char *fail = f->fail;
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < ((fake_model *)instance)->n; i++) {
        const char *name = out[i].name;
        out[i] = in[0];
        out[i].name = name;
    }
    return fail ? sw_serve_fail(error, SW_SERVE_INTERNAL, "%s", fail) : SW_SERVE_OK;
}

void fake_init(fake *f) {
    *f = (fake){.now_ns = 1000000000,
                .backend = {.name = "fake",
                            .platform = "fake",
                            .open = fake_open,
                            .close = fake_close,
                            .describe = fake_describe,
                            .start = fake_start,
                            .stop = fake_stop,
                            .run = fake_run,
                            .ctx = f,
                            .fileless = true,
                            .waits = true}};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
}

static void fake_set(fake *f, bool held, int permits) {
    pthread_mutex_lock(&f->lock);
    f->held = held;
    f->permits += permits;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

void fake_hold(fake *f) {
    fake_set(f, true, 0);
}

void fake_let(fake *f, int n) {
    fake_set(f, true, n);
}

void fake_release(fake *f) {
    fake_set(f, false, 0);
}

void fake_wait_running(fake *f, int n) {
    pthread_mutex_lock(&f->lock);
    while (f->running < n) pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

void fake_advance(fake *f, sw_serve *core, int64_t ns) {
    pthread_mutex_lock(&f->lock);
    f->now_ns += ns;
    pthread_mutex_unlock(&f->lock);
    sw_serve_tick(core);
}

int64_t fake_now(void *ctx) {
    fake *f = ctx;
    pthread_mutex_lock(&f->lock);
    int64_t now = f->now_ns;
    pthread_mutex_unlock(&f->lock);
    return now;
}

/* -- Folders --------------------------------------------------------------------------------------------------------- */

static char folder[64];

const char *test_folder_make(void) {
    snprintf(folder, sizeof folder, "/tmp/slipway-serve-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    return folder;
}

static void remove_all(const char *path) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_names names;
    if (sw_path_kind_of(path) == SW_PATH_FOLDER && sw_dir_list(path, arena, NULL, &names) == SW_OK) {
        for (size_t i = 0; i < names.n; i++) remove_all(sw_arena_printf(arena, "%s/%s", path, names.names[i]));
        rmdir(path);
    } else {
        unlink(path);
    }
    sw_arena_destroy(arena);
}

void test_folder_remove(void) {
    remove_all(folder);
}

void test_remove(const char *path) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    remove_all(full);
}

void test_write(const char *path, const char *text) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    CHECK_INT(sw_dir_make(full, &sw_test_diag), SW_OK);
    *slash = '/';
    CHECK_INT(sw_file_write(full, text, strlen(text), &sw_test_diag), SW_OK);
}

/* -- Requests -------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;
static int last_order;

void ask_reset_order(void) {
    last_order = 0;
}

static void note_done(sw_serve_request *request) {
    asked *a = request->user;
    pthread_mutex_lock(&order_lock);
    a->order = ++last_order;
    pthread_mutex_unlock(&order_lock);
    pthread_mutex_lock(&a->lock);
    if (a->done) sw_test_fail(__FILE__, __LINE__, "a request is done twice");
    a->done = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void ask_prepare(asked *a, sw_serve_model *model, int rows, float value) {
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    for (int i = 0; i < rows; i++) a->data[i] = value + (float)i * 0.125f;
    a->input = (sw_serve_tensor){.name = "x", .dtype = SW_F32, .rank = 2, .dims = {rows, 1}, .data = a->data};
    a->input.bytes = (size_t)rows * sizeof *a->data;
    a->request = (sw_serve_request){.model = model, .n_inputs = 1, .inputs = &a->input, .done = note_done, .user = a};
}

void ask_send(asked *a, sw_serve *core) {
    a->done = false;
    sw_serve_submit(core, &a->request);
}

void ask(asked *a, sw_serve *core, sw_serve_model *model, int rows, float value) {
    ask_prepare(a, model, rows, value);
    ask_send(a, core);
}

bool ask_is_done(asked *a) {
    pthread_mutex_lock(&a->lock);
    bool done = a->done;
    pthread_mutex_unlock(&a->lock);
    return done;
}

sw_serve_code ask_wait(asked *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->done) pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return a->request.error.code;
}

void ask_free(asked *a) {
    (void)ask_wait(a);
    sw_serve_request_free(&a->request);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->changed);
}

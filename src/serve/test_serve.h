/* For tests of the core: repositories on disk, a backend that does as it is told, a clock that stands still. */
#ifndef SLIPWAY_SERVE_TEST_SERVE_H
#define SLIPWAY_SERVE_TEST_SERVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/backend.h"
#include "unit.h"

enum { FAKE_MOST_RUNS = 4096 };

/* Answers with its inputs (its only output may be named anything), once it is let. */
typedef struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;   /* runs wait */
    int permits; /* that many runs go on although held */
    int running, most_running, n_runs;
    atomic_int n_opened, n_closed;
    int64_t rows[FAKE_MOST_RUNS]; /* of each run, in the order in which they began */
    float first[FAKE_MOST_RUNS];  /* the first element of each */
    const char *fail;             /* runs fail with this sentence; NULL: they do not */
    int64_t now_ns;               /* of the clock */
    sw_serve_backend backend;
} fake;

void fake_init(fake *f);
void fake_hold(fake *f);
void fake_let(fake *f, int n); /* n more runs go on */
void fake_release(fake *f);    /* all do */
void fake_wait_running(fake *f, int n);
void fake_advance(fake *f, sw_serve *core, int64_t ns);
int64_t fake_now(void *ctx);

/* A folder of its own for a test, removed by test_folder_remove. */
const char *test_folder_make(void);
void test_folder_remove(void);
/* Writes folder/<path>, and the folders that it needs. */
void test_write(const char *path, const char *text);
void test_remove(const char *path);

/* A request and what became of it. */
typedef struct asked {
    sw_serve_request request;
    sw_serve_tensor input;
    float data[8];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    int order; /* of being done, among all; from 1 on */
} asked;

/* `rows` rows of one float, the first of which is `value`. Fields of a->request may be set before it is sent. */
void ask_prepare(asked *a, sw_serve_model *model, int rows, float value);
void ask_send(asked *a, sw_serve *core);
void ask(asked *a, sw_serve *core, sw_serve_model *model, int rows, float value); /* both */
bool ask_is_done(asked *a);
sw_serve_code ask_wait(asked *a); /* its code */
void ask_free(asked *a);          /* waits, too */
void ask_reset_order(void);

#endif

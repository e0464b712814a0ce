#include "serve/server/jobs.h"
#include "unit.h"

enum { MANY = SW__MAX_JOBS + SW__MAX_PICTURES_INSIDE, MOST = SW__MAX_PICTURES_INSIDE * 3 / 4 };

static sw__jobs *j;
static atomic_bool keeps; /* jobs keep their places */
static atomic_int n_ran[3];
static const char models[3];

static void run(sw__job *job) {
    if (!atomic_load(&keeps)) sw__jobs_leave(j, job->model);
    atomic_fetch_add(&n_ran[(const char *)job->model - models], 1);
}

static void wait_ran(int model, int n) {
    for (int i = 0; i < 5000 && atomic_load(&n_ran[model]) < n; i++) sw_sleep_ms(1);
    CHECK_INT(atomic_load(&n_ran[model]), n);
}

/* Adds one by one until one is refused; the first ones get places. */
static int add(sw__job jobs[MANY], int model, int places) {
    int n = 0;
    for (; n < MANY; n++) {
        if (n == places) wait_ran(model, places);
        jobs[n] = (sw__job){.run = run, .model = models + model};
        if (!sw__jobs_add(j, &jobs[n], 1)) break;
    }
    return n;
}

SW_TEST(jobs_of_one_model_leave_places_for_others) {
    static sw__job jobs[3][MANY];
    for (int i = 0; i < 3; i++) atomic_store(&n_ran[i], 0);
    atomic_store(&keeps, true);
    j = sw__jobs_create(2);
    CHECK(j != NULL);
    int first = add(jobs[0], 0, MOST);
    CHECK(first >= SW__MAX_JOBS * 3 / 4 && first < SW__MAX_JOBS);
    CHECK(!sw__jobs_add(j, &(sw__job){.run = run, .model = models}, 1)); /* still too many */
    int second = add(jobs[1], 1, 6);
    CHECK(second > 6 && second < first);
    jobs[2][0] = (sw__job){.run = run, .model = models + 2};
    CHECK(sw__jobs_add(j, &jobs[2][0], 1));
    wait_ran(2, 1);
    sw__jobs_leave(j, models + 1); /* the place goes to the same model: the first one has too many */
    wait_ran(1, 7);
    CHECK_INT(atomic_load(&n_ran[0]), MOST);
    atomic_store(&keeps, false);
    sw__jobs_leave(j, models + 2);
    for (int i = 0; i < MOST; i++) sw__jobs_leave(j, models);
    for (int i = 0; i < 6; i++) sw__jobs_leave(j, models + 1);
    wait_ran(0, first); /* in the end all run that waited */
    wait_ran(1, second);
    sw__jobs_destroy(j);
}

/* slipway top: what the models of a server do, refreshed in the terminal. */
#include "cli/top.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "serve/client/load.h"

enum { MOST_ANSWER = 64 << 20, TRAIL = 24 };

/* How p99 went, look by look, of a version; in the order of the looks, -1: no requests. */
typedef struct trail {
    const char *model, *version;
    double p99_ms[TRAIL];
    int n;
} trail;

typedef struct top {
    const sw_args *args;
    sw_console *console;
    const char *host;
    int http_port, metrics_port;
    double interval;
    trail *trails;
    int n_trails;
} top;

/* -- Looking ------------------------------------------------------------------------------------------------------- */

static sw_status ask(const top *t, int port, const char *what, const sw_diag *diag, sw_buf *body) {
    char request[512];
    int code = 0;
    int size =
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: %.256s\r\nContent-Length: 0\r\n\r\n", what, t->host);
    SW_TRY(sw_client_ask(t->host, port, request, (size_t)size, diag, body, &code));
    if (code == 200) return SW_OK;
    return sw_fail(diag, SW_E_INPUT, t->host, "is --metrics-port the port of its metrics?",
                   "port %d answers '%s' with %d", port, what, code);
}

/* One look. The index is left out where it cannot be had: its routes may be restricted, or have another port. */
static sw_status look(const top *t, sw_top_sample *sample) {
    sw_buf metrics = sw_buf_make(NULL, MOST_ANSWER), index = sw_buf_make(NULL, MOST_ANSWER);
    *sample = (sw_top_sample){.arena = sw_arena_create(NULL, 0)};
    sw_status status = sample->arena ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) status = ask(t, t->metrics_port, "GET /metrics", &t->console->diag, &metrics);
    sample->at_ns = sw_clock_ns();
    if (status == SW_OK) status = sw_top_metrics(sample, sw_buf_text(&metrics), metrics.size);
    if (status == SW_OK && ask(t, t->http_port, "POST /v2/repository/index", NULL, &index) == SW_OK) {
        sw_status known = sw_top_index(sample, index.data, index.size, NULL);
        if (known == SW_E_NOMEM) status = known;
    }
    sw_top_sort(sample);
    sw_buf_free(&metrics);
    sw_buf_free(&index);
    return status;
}

/* -- Showing ------------------------------------------------------------------------------------------------------- */

static trail *trail_of(top *t, const sw_top_row *row) {
    for (int i = 0; i < t->n_trails; i++)
        if (!strcmp(t->trails[i].model, row->model) && !strcmp(t->trails[i].version, row->version))
            return &t->trails[i];
    if (t->n_trails == SW_TOP_ROWS) return NULL;
    trail *made = &t->trails[t->n_trails];
    made->model = sw_arena_strdup(t->args->arena, row->model);
    made->version = sw_arena_strdup(t->args->arena, row->version);
    t->n_trails += made->model && made->version;
    return made->model && made->version ? made : NULL;
}

static void add_p99(trail *tr, double ms) {
    if (tr->n == TRAIL) memmove(tr->p99_ms, tr->p99_ms + 1, sizeof tr->p99_ms - sizeof *tr->p99_ms);
    tr->p99_ms[tr->n < TRAIL ? tr->n++ : TRAIL - 1] = ms;
}

/* Blocks as high as the values are in the share of the largest; a dot where there were no requests. */
static void print_trail(sw_console *c, const trail *tr) {
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    for (int i = 0; i < tr->n; i++) most = tr->p99_ms[i] > most ? tr->p99_ms[i] : most;
    for (int i = 0; i < tr->n; i++) {
        int height = most > 0 ? (int)(7 * tr->p99_ms[i] / most) : 0;
        sw_print(c, "%s", tr->p99_ms[i] < 0 ? "." : blocks[height > 7 ? 7 : height]);
    }
}

static const char *ms_text(double ms, char text[16]) {
    snprintf(text, 16, ms < 0 ? "-" : ms < 10 ? "%.2f" : "%.0f", ms);
    return text;
}

static void print_table(top *t, const sw_top_sample *now, const sw_top_sample *before, double seconds) {
    sw_console *c = t->console;
    int wide = 5;
    for (int i = 0; i < now->n; i++) {
        int n = (int)strlen(now->rows[i].model);
        wide = n > wide ? n : wide;
    }
    if (wide > 40) wide = 40;
    sw_print(c,
             "%-*s version  state        plan      waiting   a second    failed  rows/s  batch   p50 ms   p99 ms%s\n",
             wide, "model", c->out_terminal ? "  p99 over time" : "");
    for (int i = 0; i < now->n; i++) {
        const sw_top_row *row = &now->rows[i];
        sw_top_rates r = sw_top_compare(row, sw_top_find(before, row->model, row->version), seconds);
        trail *tr = trail_of(t, row);
        char p50[16], p99[16], batch[16] = "-";
        if (tr) add_p99(tr, r.p99_ms);
        if (r.batch > 0) snprintf(batch, sizeof batch, "%.1f", r.batch);
        sw_print(c, "%-*.*s %7.16s  %-11.16s  %-8s  %7.0f  %9.1f  %8.1f  %6.0f  %5s  %7s  %7s", wide, wide, row->model,
                 row->version, *row->state ? row->state : "-", *row->plan ? row->plan : "-", row->pending, r.requests,
                 r.failures, r.inferences, batch, ms_text(r.p50_ms, p50), ms_text(r.p99_ms, p99));
        if (c->out_terminal && tr) {
            sw_print(c, "  ");
            print_trail(c, tr);
        }
        sw_print(c, "\n");
    }
    if (!now->n) sw_print(c, "no models\n");
}

static void put(sw_json_writer *w, const char *key, double value, int decimals) {
    sw_json_key(w, key);
    if (value < 0)
        sw_json_null(w);
    else
        sw_json_fixed(w, value, decimals);
}

/* A line, so that several looks can be told apart. */
static void print_json(top *t, const sw_top_sample *now, const sw_top_sample *before, double seconds) {
    sw_json_writer w = sw_json_writer_make(&t->console->out, 0);
    sw_json_object(&w);
    put(&w, "seconds", seconds, 3);
    sw_json_key(&w, "models"), sw_json_array(&w);
    for (int i = 0; i < now->n; i++) {
        const sw_top_row *row = &now->rows[i];
        sw_top_rates r = sw_top_compare(row, sw_top_find(before, row->model, row->version), seconds);
        sw_json_object(&w);
        sw_json_key(&w, "model"), sw_json_string(&w, row->model);
        sw_json_key(&w, "version"), sw_json_string(&w, row->version);
        sw_json_key(&w, "state"), sw_json_string(&w, row->state);
        sw_json_key(&w, "plan"), sw_json_string(&w, row->plan);
        put(&w, "waiting", row->pending, 0);
        put(&w, "requests", row->successes, 0);
        put(&w, "requests_a_second", r.requests, 2);
        put(&w, "failures_a_second", r.failures, 2);
        put(&w, "inferences_a_second", r.inferences, 2);
        put(&w, "batch", r.batch > 0 ? r.batch : -1, 2);
        put(&w, "p50_ms", r.p50_ms, 3);
        put(&w, "p99_ms", r.p99_ms, 3);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_object_end(&w);
    sw_print(t->console, "\n");
}

static sw_status show(top *t, const sw_top_sample *now, const sw_top_sample *before) {
    double seconds = (double)(now->at_ns - before->at_ns) / 1e9;
    bool json = sw_args_flag(t->args, "json"), once = sw_args_flag(t->args, "once");
    if (!json && !once) sw_console_clear(t->console);
    if (!json && !once && t->console->out_terminal)
        sw_print(t->console, "%s, every %g s; Ctrl-C ends it\n\n", t->host, t->interval);
    (json ? print_json : print_table)(t, now, before, seconds);
    if (!json && !once && !t->console->out_terminal) sw_print(t->console, "\n");
    return sw_console_flush(t->console);
}

static sw_status run(const sw_args *args, sw_console *console) {
    top t = {.args = args,
             .console = console,
             .host = sw_args_text(args, "host"),
             .http_port = (int)sw_args_int(args, "http-port"),
             .metrics_port = (int)sw_args_int(args, "metrics-port"),
             .interval = sw_args_number(args, "interval"),
             .trails = SW_ARENA_ARRAY(args->arena, trail, SW_TOP_ROWS)};
    if (!t.trails) return SW_E_NOMEM;
    if (sw_args_given(args, "port")) t.http_port = t.metrics_port = (int)sw_args_int(args, "port");
    sw_top_sample before, now;
    sw_status status = look(&t, &before);
    while (status == SW_OK) {
        sw_sleep_ms((int)(1000 * t.interval));
        status = look(&t, &now);
        if (status == SW_OK) status = show(&t, &now, &before);
        sw_arena_destroy(before.arena);
        before = now;
        if (sw_args_flag(args, "once")) break;
    }
    sw_arena_destroy(before.arena);
    return status;
}

static const sw_option options[] = {
    SW_SERVER_HOST_OPTION,
    {.name = "http-port",
     .kind = SW_INT,
     .argument = "PORT",
     .standard = "8000",
     .least = 1,
     .most = 65535,
     .help = "its port for HTTP, which tells what models there are"},
    {.name = "metrics-port",
     .kind = SW_INT,
     .argument = "PORT",
     .standard = "8002",
     .least = 1,
     .most = 65535,
     .help = "its port for metrics"},
    {.name = "port",
     .kind = SW_INT,
     .argument = "PORT",
     .least = 1,
     .most = 65535,
     .help = "one port for both, in place of those"},
    {.name = "interval",
     .kind = SW_NUMBER,
     .argument = "S",
     .standard = "2",
     .least = 0.05,
     .most = 3600,
     .help = "look again after so many seconds"},
    {.name = "once", .help = "look twice, print what went on between, and end"},
    {.name = "json", .help = "print each look as a line of JSON"},
    {0},
};

const sw_verb sw_verb_top = {
    .name = "top",
    .operands = "",
    .summary = "Watch the models of a server: rates, queues, batches, answering times",
    .description =
        "Asks a server (slipway serve, Triton) for its metrics again and again and prints, for each version of each model, its "
        "state, what plan it runs on, how many requests wait, requests and failures and rows a second, rows of an "
        "execution, and the answering times that half and 99 of 100 requests stayed below, interpolated in the "
        "server's histogram. On a terminal it starts at the top each time; elsewhere tables follow each other.",
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway top", "A server on this machine"},
            {"slipway top --host gpu7 --interval 10", "Another machine, every ten seconds"},
            {"slipway top --once --json | jq '.models[] | select(.p99_ms > 50)'", "For scripts"},
            {0},
        },
    .run = run,
};

#include "cli/serve_record.h"

#include <string.h>

#include "base/str.h"

sw_status sw_serve_bool(const sw_args *args, const char *option, bool *value, const sw_diag *diag) {
    const char *text = sw_args_text(args, option);
    *value = !strcmp(text, "true");
    if (*value || !strcmp(text, "false")) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, "serve", NULL, "--%s is '%.32s', expected true or false", option, text);
}

static sw_status wrong_trace(const char *text, const sw_diag *diag) {
    return sw_fail(diag, SW_E_USAGE, "--trace-config",
                   "write triton,file=FILE, or level=OFF or TIMESTAMPS, rate=N, count=N, log-frequency=N, mode=triton",
                   "'%.80s' is not known", text);
}

static sw_status read_number(const char *text, const char *value, int64_t least, int64_t *number, const sw_diag *diag) {
    if (sw_str_to_i64(value, strlen(value), number) && *number >= least) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, "--trace-config", NULL, "'%.80s' needs a whole number of at least %lld", text,
                   (long long)least);
}

/* One --trace-config: KEY=VALUE, or triton,KEY=VALUE. */
static sw_status read_trace(const char *text, sw_recorder_options *o, const sw_diag *diag) {
    const char *key = sw_str_starts_with(text, "triton,") ? text + strlen("triton,") : text;
    const char *equals = strchr(key, '='), *value = equals ? equals + 1 : "";
    size_t n = equals ? (size_t)(equals - key) : strlen(key);
    static const char *const keys[] = {"file", "level", "mode", "rate", "count", "log-frequency"};
    size_t which = 0;
    while (which < 6 && (strlen(keys[which]) != n || memcmp(keys[which], key, n) != 0)) which++;
    switch (which) {
    case 0:
        o->trace_file = *value ? value : NULL;
        return SW_OK;
    case 1:
        o->trace = !strcmp(value, "TIMESTAMPS");
        return o->trace || !strcmp(value, "OFF") ? SW_OK : wrong_trace(text, diag);
    case 2:
        return !strcmp(value, "triton") ? SW_OK : wrong_trace(text, diag);
    case 3:
        return read_number(text, value, 1, &o->trace_rate, diag);
    case 4:
        return read_number(text, value, -1, &o->trace_count, diag);
    case 5:
        return read_number(text, value, 0, &o->trace_frequency, diag);
    default:
        return wrong_trace(text, diag);
    }
}

sw_status sw_serve_record(const sw_args *args, const sw_diag *diag, sw_recorder **recorder) {
    const char *format = sw_args_text(args, "log-format");
    sw_given traces = sw_args_all(args, "trace-config");
    sw_recorder_options o = {.verbose = sw_args_int(args, "log-verbose"),
                             .iso8601 = !strcmp(format, "ISO8601"),
                             .access_log = sw_args_text(args, "access-log"),
                             .trace_rate = 1000,
                             .trace_count = -1,
                             .diag = diag};
    SW_TRY(sw_serve_bool(args, "log-info", &o.log_info, diag));
    SW_TRY(sw_serve_bool(args, "log-warning", &o.log_warning, diag));
    SW_TRY(sw_serve_bool(args, "log-error", &o.log_error, diag));
    if (!o.iso8601 && strcmp(format, "default") != 0)
        return sw_fail(diag, SW_E_USAGE, "serve", NULL, "--log-format is '%.32s', expected default or ISO8601", format);
    for (int i = 0; i < traces.n; i++) SW_TRY(read_trace(traces.values[i], &o, diag));
    if (o.trace && !o.trace_file)
        return sw_fail(diag, SW_E_USAGE, "--trace-config", "add --trace-config triton,file=FILE",
                       "level=TIMESTAMPS needs a file");
    return sw_recorder_create(&o, recorder);
}

/* -- Metrics ------------------------------------------------------------------------------------------------------- */

/* "0.5:0.05,0.9:0.01": quantiles, each with an error that is taken as met: buckets are narrower. */
static sw_status read_quantiles(const char *text, sw_serve_metrics_options *o, const sw_diag *diag) {
    double quantile, error;
    o->n_quantiles = 0;
    for (const char *at = text; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
        size_t n = strcspn(at, ",:"), n_error = at[n] == ':' ? strcspn(at + n + 1, ",") : 0;
        bool good = sw_str_to_f64(at, n, &quantile) && quantile >= 0 && quantile <= 1 &&
                    (!n_error || sw_str_to_f64(at + n + 1, n_error, &error));
        if (!good || o->n_quantiles == SW_SERVE_MAX_QUANTILES)
            return sw_fail(diag, SW_E_USAGE, "--metrics-config",
                           "write up to 16, as in summary_quantiles=0.5:0.05,0.99:0.001",
                           "'%.80s' is no list of quantiles from 0 to 1", text);
        o->quantiles[o->n_quantiles++] = quantile;
    }
    return SW_OK;
}

sw_status sw_serve_metrics_config(const sw_args *args, const sw_diag *diag, sw_serve_metrics_options *o) {
    static const char quantiles[] = "summary_quantiles=";
    sw_given given = sw_args_all(args, "metrics-config");
    for (int i = 0; i < given.n; i++) {
        const char *text = given.values[i];
        bool counters = !strcmp(text, "counter_latencies=true");
        if (sw_str_starts_with(text, quantiles))
            SW_TRY(read_quantiles(text + sizeof quantiles - 1, o, diag));
        else if (!strcmp(text, "summary_latencies=true") || !strcmp(text, "summary_latencies=false"))
            o->summaries = sw_str_ends_with(text, "true");
        else if (!strcmp(text, "histogram_latencies=true") || !strcmp(text, "histogram_latencies=false"))
            o->histogram = sw_str_ends_with(text, "true");
        else if (counters || !strcmp(text, "counter_latencies=false"))
            o->no_counters = !counters;
        else
            return sw_fail(
                diag, SW_E_USAGE, "--metrics-config",
                "there are counter_latencies, histogram_latencies and summary_latencies (=true or =false) and "
                "summary_quantiles",
                "'%.80s' is not known", text);
    }
    return SW_OK;
}

/* slipway client: requests to a server, one or many, measured. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/pb.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/shapes.h"
#include "serve/client/load.h"
#include "serve/core.h"

enum { MAX_LOADS = 16 };

/* -- What the model takes ------------------------------------------------------------------------------------------ */

#define NEXT(r, e) SW_TRY(sw_json_next((r), (e)))

static sw_status not_understood(const sw_client *c) {
    return sw_fail(c->diag, SW_E_INPUT, c->host, NULL, "the server's answer is not understood");
}

/* The rest of an object: its binary_data_size. */
static sw_status read_size(sw_json_reader *r, size_t *bytes) {
    sw_json_event e;
    for (;;) {
        NEXT(r, &e);
        if (e.type != SW_JSON_KEY) return SW_OK;
        bool size = !strcmp(e.text, "binary_data_size");
        NEXT(r, &e);
        if (size && e.is_integer && e.integer > 0) *bytes = (size_t)e.integer;
        SW_TRY(sw_json_skip(r, &e));
    }
}

sw_status sw_client_read_port(sw_client *c, sw_json_reader *r, sw_client_port *in) {
    sw_json_event e;
    for (;;) {
        NEXT(r, &e);
        if (e.type == SW_JSON_OBJECT_END) return SW_OK;
        if (e.type != SW_JSON_KEY) return not_understood(c);
        const char *key = sw_arena_strdup(c->args->arena, e.text);
        if (!key) return SW_E_NOMEM;
        NEXT(r, &e);
        if (!strcmp(key, "name") && e.type == SW_JSON_STRING) in->name = sw_arena_strdup(c->args->arena, e.text);
        if (!strcmp(key, "parameters") && e.type == SW_JSON_OBJECT) {
            SW_TRY(read_size(r, &in->bytes));
            continue;
        }
        if (!strcmp(key, "datatype") && e.type == SW_JSON_STRING) in->dtype = sw_serve_dtype_parse(e.text, e.length);
        if (strcmp(key, "shape") || e.type != SW_JSON_ARRAY) {
            SW_TRY(sw_json_skip(r, &e));
            continue;
        }
        NEXT(r, &e);
        for (; e.type == SW_JSON_NUMBER; in->rank++) {
            if (in->rank == SW_MAX_RANK) return not_understood(c);
            in->dims[in->rank] = e.integer < 0 ? 1 : e.integer;
            NEXT(r, &e);
        }
    }
}

static sw_status read_metadata(sw_client *c, sw_json_reader *r) {
    sw_json_event e;
    NEXT(r, &e);
    if (e.type != SW_JSON_OBJECT) return not_understood(c);
    for (;;) {
        NEXT(r, &e);
        if (e.type != SW_JSON_KEY) return SW_OK;
        if (strcmp(e.text, "inputs")) {
            SW_TRY(sw_json_skip(r, &e));
            continue;
        }
        NEXT(r, &e);
        NEXT(r, &e);
        while (e.type == SW_JSON_OBJECT && c->n_inputs < SW_CLIENT_MAX_PORTS) {
            SW_TRY(sw_client_read_port(c, r, &c->inputs[c->n_inputs++]));
            NEXT(r, &e);
        }
    }
}

static sw_status ask_metadata(sw_client *c) {
    sw_buf answer = sw_buf_make(NULL, 0), request = sw_buf_make(NULL, 0);
    sw_json_reader r;
    int code = 0;
    sw_buf_printf(&request, "GET /v2/models/%s HTTP/1.1\r\nHost: %s\r\n\r\n", c->model, c->host);
    sw_status status = sw_client_ask(c->host, c->http_port, request.data, request.size, c->diag, &answer, &code);
    if (status == SW_OK && code != 200)
        status = sw_fail(c->diag, SW_E_INPUT, c->host, NULL, "%s", sw_buf_text(&answer));
    if (status == SW_OK) {
        sw_json_reader_init(&r, answer.data, answer.size, NULL, "the server's answer", c->diag);
        status = read_metadata(c, &r);
        sw_json_reader_free(&r);
    }
    sw_buf_free(&request);
    sw_buf_free(&answer);
    return status;
}

/* The input that a shape is of: the one of its name, or the only one. */
static sw_client_port *input_of(sw_client *c, const char *name) {
    if (!name) return c->n_inputs == 1 ? &c->inputs[0] : NULL;
    for (int i = 0; i < c->n_inputs; i++)
        if (!strcmp(c->inputs[i].name, name)) return &c->inputs[i];
    return NULL;
}

/* Shapes that are given in the place of ones for open dims; of ranges what is usual. */
static sw_status read_shapes(sw_client *c) {
    sw_build_options given = {0};
    SW_TRY(sw_shapes_parse(c->args, c->diag, &given));
    for (int i = 0; i < given.n_shapes; i++) {
        const sw_shape_range *shape = &given.shapes[i];
        sw_client_port *in = input_of(c, shape->input);
        if (!in)
            return sw_fail(c->diag, SW_E_USAGE, "--shapes", "write INPUT=1x16", "'%s' names no input of the model",
                           shape->input ? shape->input : "");
        in->rank = shape->rank;
        for (int k = 0; k < shape->rank; k++) {
            if (shape->opt[k] < 0)
                return sw_fail(c->diag, SW_E_USAGE, "--shapes", NULL, "a dim of '%s' is negative", in->name);
            in->dims[k] = shape->opt[k];
        }
    }
    return SW_OK;
}

/* -- Requests ------------------------------------------------------------------------------------------------------ */

static int64_t count_of(const sw_client_port *in) {
    int64_t count = 1;
    for (int i = 0; i < in->rank; i++)
        if (__builtin_mul_overflow(count, in->dims[i], &count)) return -1;
    return count;
}

/* Elements are 0, or "" as text; in JSON, where texts of numbers cost what they are long, as below. */
static int64_t bytes_of(const sw_client_port *in) {
    if (in->data) return (int64_t)in->bytes;
    size_t size = in->dtype == SW_SERVE_BYTES ? 4 : sw_serve_dtype_size(in->dtype);
    return count_of(in) * (int64_t)size;
}

static void put_bytes(sw_buf *buf, const sw_client_port *in) {
    if (in->data)
        sw_buf_append(buf, in->data, in->bytes);
    else
        sw_buf_fill(buf, 0, (size_t)bytes_of(in));
}

static void put_input(const sw_client_port *in, bool binary, sw_json_writer *w) {
    sw_json_object(w);
    sw_json_key(w, "name"), sw_json_string(w, in->name);
    sw_json_key(w, "datatype"), sw_json_string(w, sw_serve_dtype_name(in->dtype));
    sw_json_key(w, "shape"), sw_json_array(w);
    for (int i = 0; i < in->rank; i++) sw_json_int(w, in->dims[i]);
    sw_json_array_end(w);
    if (binary) {
        sw_json_key(w, "parameters"), sw_json_object(w);
        sw_json_key(w, "binary_data_size"), sw_json_int(w, bytes_of(in));
        sw_json_object_end(w);
    } else {
        sw_json_key(w, "data"), sw_json_array(w);
        for (int64_t i = 0; i < count_of(in); i++) {
            if (in->dtype == SW_SERVE_BYTES)
                sw_json_string(w, "");
            else if (in->dtype == SW_BOOL)
                sw_json_bool(w, false);
            else if (in->dtype == SW_F32 || in->dtype == SW_F64) /* all over [0, 1), with all their digits */
                sw_json_f32(w, (float)(i % 1000003 * 618034 % 1000003) / 1000003.0f);
            else
                sw_json_int(w, i % 100);
        }
        sw_json_array_end(w);
    }
    sw_json_object_end(w);
}

static void make_http_request(sw_client *c, bool binary) {
    sw_buf body = sw_buf_make(NULL, 0);
    sw_json_writer w = sw_json_writer_make(&body, 0);
    sw_json_object(&w);
    sw_json_key(&w, "inputs"), sw_json_array(&w);
    for (int i = 0; i < c->n_inputs; i++) put_input(&c->inputs[i], binary, &w);
    sw_json_array_end(&w);
    if (binary) {
        sw_json_key(&w, "parameters"), sw_json_object(&w);
        sw_json_key(&w, "binary_data_output"), sw_json_bool(&w, true);
        sw_json_object_end(&w);
    }
    sw_json_object_end(&w);
    size_t json = body.size;
    for (int i = 0; binary && i < c->n_inputs; i++) put_bytes(&body, &c->inputs[i]);
    sw_buf_printf(&c->request, "POST /v2/models/%s/infer HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n", c->model,
                  c->host, body.size);
    if (binary) sw_buf_printf(&c->request, "Inference-Header-Content-Length: %zu\r\n", json);
    sw_buf_append_text(&c->request, "\r\n");
    sw_buf_append(&c->request, body.data, body.size);
    if (body.status != SW_OK) c->request.status = body.status;
    sw_buf_free(&body);
}

static void make_grpc_request(sw_client *c) {
    sw_buf message = sw_buf_make(NULL, 0), in = sw_buf_make(NULL, 0);
    sw_pb_put_text(&message, 1, c->model);
    for (int i = 0; i < c->n_inputs; i++) {
        sw_buf_clear(&in);
        sw_pb_put_text(&in, 1, c->inputs[i].name);
        sw_pb_put_text(&in, 2, sw_serve_dtype_name(c->inputs[i].dtype));
        for (int j = 0; j < c->inputs[i].rank; j++) sw_pb_put_varint(&in, 3, (uint64_t)c->inputs[i].dims[j]);
        sw_pb_put_bytes(&message, 5, in.data, in.size);
    }
    for (int i = 0; i < c->n_inputs; i++) {
        sw_pb_put_bytes_head(&message, 7, (size_t)bytes_of(&c->inputs[i]));
        put_bytes(&message, &c->inputs[i]);
    }
    for (int shift = 32; shift >= 0; shift -= 8)
        sw_buf_append_byte(&c->request, shift == 32 ? 0 : (uint8_t)(message.size >> shift));
    sw_buf_append(&c->request, message.data, message.size);
    if (message.status != SW_OK || in.status != SW_OK) c->request.status = SW_E_NOMEM;
    sw_buf_free(&message);
    sw_buf_free(&in);
}

static sw_status make_request(sw_client *c, bool grpc) {
    const char *encoding = sw_args_text(c->args, "encoding");
    bool binary = !strcmp(encoding, "binary");
    if (!binary && strcmp(encoding, "json"))
        return sw_fail(c->diag, SW_E_USAGE, "client", NULL, "--encoding is '%.32s', expected binary or json", encoding);
    if (!binary && sw_args_given(c->args, "input"))
        return sw_fail(c->diag, SW_E_USAGE, "client", NULL, "--input goes with tensors in binary only");
    if (!c->model) {
        if (grpc)
            sw_buf_fill(&c->request, 0, 5); /* an empty message */
        else
            sw_buf_printf(&c->request, "GET /v2/health/ready HTTP/1.1\r\nHost: %s\r\n\r\n", c->host);
        return c->request.status;
    }
    SW_TRY(ask_metadata(c));
    SW_TRY(sw_client_read_inputs(c));
    SW_TRY(read_shapes(c));
    for (int i = 0; i < c->n_inputs; i++)
        if (!c->inputs[i].name || !c->inputs[i].dtype || bytes_of(&c->inputs[i]) < 0)
            return sw_fail(c->diag, SW_E_INPUT, c->model, NULL,
                           "the server's description of input %d is not understood", i);
    if (grpc)
        make_grpc_request(c);
    else
        make_http_request(c, binary);
    return c->request.status;
}

/* -- Results ------------------------------------------------------------------------------------------------------- */

static void put_json(sw_json_writer *w, int connections, const sw_client_result *r) {
    const struct {
        const char *key;
        double value;
    } rows[] = {{"seconds", r->seconds}, {"per_second", (double)r->answered / r->seconds},
                {"mean_us", r->mean_us}, {"p50_us", r->p50_us},
                {"p90_us", r->p90_us},   {"p99_us", r->p99_us},
                {"p999_us", r->p999_us}, {"max_us", r->max_us}};
    sw_json_object(w);
    sw_json_key(w, "connections"), sw_json_int(w, connections);
    sw_json_key(w, "answered"), sw_json_int(w, (int64_t)r->answered);
    sw_json_key(w, "failed"), sw_json_int(w, (int64_t)r->failed);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        sw_json_key(w, rows[i].key), sw_json_fixed(w, rows[i].value, 2);
    sw_json_object_end(w);
}

static sw_status run_load(sw_client *c, bool grpc, int connections, sw_json_writer *w) {
    sw_client_result r;
    sw_client_options o = {.host = c->host,
                           .port = grpc ? c->grpc_port : c->http_port,
                           .connections = connections,
                           .seconds = sw_args_number(c->args, "seconds"),
                           .warm_up = 0.2,
                           .rate = sw_args_number(c->args, "rate"),
                           .grpc = grpc,
                           .request = c->request.data,
                           .size = c->request.size,
                           .path = c->model ? "/inference.GRPCInferenceService/ModelInfer"
                                            : "/inference.GRPCInferenceService/ServerReady",
                           .diag = c->diag};
    SW_TRY(sw_client_run(&o, &r));
    if (w)
        put_json(w, connections, &r);
    else
        sw_print(c->console, "%11d %10.0f %9.0f %9.0f %9.0f %9.0f %9.0f %8llu\n", connections,
                 (double)r.answered / r.seconds, r.p50_us, r.p90_us, r.p99_us, r.p999_us, r.max_us,
                 (unsigned long long)r.failed);
    if (!r.answered && !r.failed)
        sw_warn(c->diag, c->host, "no answer came within %g s: measure for longer, with --seconds", o.seconds);
    if (r.failed)
        sw_warn(c->diag, c->host, "%llu requests failed; the first: %s", (unsigned long long)r.failed, r.problem);
    c->answered |= r.answered > 0;
    return sw_console_flush(c->console);
}

static sw_status run_loads(sw_client *c) {
    const char *text = sw_args_text(c->args, "connections");
    bool grpc = sw_args_flag(c->args, "grpc"), json = sw_args_flag(c->args, "json");
    sw_json_writer w = sw_json_writer_make(&c->console->out, 2);
    SW_TRY(make_request(c, grpc));
    if (json)
        sw_json_array(&w);
    else
        sw_print(c->console, "connections  a second   p50 us       p90       p99     p99.9       max   failed\n");
    for (int i = 0; *text; i++) {
        int64_t n;
        size_t length = strcspn(text, ",");
        if (i == MAX_LOADS || !sw_str_to_i64(text, length, &n) || n < 1 || n > 100000)
            return sw_fail(c->diag, SW_E_USAGE, "client", "write 1,16,64", "--connections is no list of numbers");
        SW_TRY(run_load(c, grpc, (int)n, json ? &w : NULL));
        text += length + (text[length] == ',');
    }
    if (json) sw_json_array_end(&w);
    if (json) sw_print(c->console, "\n");
    SW_TRY(sw_console_flush(c->console));
    return c->answered ? SW_OK : sw_fail(c->diag, SW_E_INPUT, c->host, NULL, "no request was answered");
}

static sw_status run(const sw_args *args, sw_console *console) {
    sw_client c = {.args = args,
                   .console = console,
                   .diag = &console->diag,
                   .host = sw_args_text(args, "host"),
                   .model = args->n_operands ? args->operands[0] : NULL,
                   .http_port = (int)sw_args_int(args, "http-port"),
                   .grpc_port = (int)sw_args_int(args, "grpc-port"),
                   .request = sw_buf_make(NULL, 0)};
    bool once = sw_args_flag(args, "once");
    sw_status status = SW_OK;
    if (once && (!c.model || sw_args_flag(args, "grpc") || sw_args_flag(args, "json") ||
                 !strcmp(sw_args_text(args, "encoding"), "json")))
        status = sw_fail(&console->diag, SW_E_USAGE, "client", "leave out --grpc, --json and --encoding json",
                         "--once asks for a model over HTTP with binary tensors, and prints a table");
    if (status == SW_OK && once) status = make_request(&c, false);
    if (status == SW_OK) status = once ? sw_client_once(&c) : run_loads(&c);
    for (int i = 0; i < c.n_inputs; i++) sw_free(NULL, c.inputs[i].data);
    sw_buf_free(&c.request);
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
     .help = "its port for HTTP"},
    {.name = "grpc-port",
     .kind = SW_INT,
     .argument = "PORT",
     .standard = "8001",
     .least = 1,
     .most = 65535,
     .help = "its port for gRPC"},
    {.name = "grpc", .help = "ask by gRPC (what the model takes is asked by HTTP)"},
    {.name = "encoding",
     .kind = SW_TEXT,
     .argument = "KIND",
     .standard = "binary",
     .help = "tensors over HTTP: binary, behind the JSON, or json, in it"},
    {.name = "shapes",
     .also = "shape",
     .kind = SW_TEXT,
     .argument = "[NAME=]DIMS",
     .many = true,
     .help = "the shape of an input, such as images=1x3x640x640; a model with one input needs no name (default: the "
             "model's, 1 where that is open)"},
    {.name = "input",
     .kind = SW_TEXT,
     .letter = 'i',
     .argument = "NAME=FILE",
     .many = true,
     .help =
         "what to send for an input: an array (.npy), or for an input of type BYTES any file, such as a picture; a model "
         "with one input needs no name (default: zeros)"},
    {.name = "once", .help = "ask once, and print what comes back"},
    {.name = "output-dir",
     .kind = SW_TEXT,
     .letter = 'o',
     .argument = "DIR",
     .help = "with --once: write each array into this folder, as its name with / as _, plus .npy"},
    {.name = "connections",
     .kind = SW_TEXT,
     .argument = "N,...",
     .standard = "1,16,64",
     .help = "so many at once, one measurement each"},
    {.name = "rate",
     .kind = SW_NUMBER,
     .argument = "X",
     .most = 10e6,
     .help =
         "so many requests a second, at random times as users' are, whether earlier ones are answered or not (default: each "
         "connection asks again when it has its answer)"},
    {.name = "seconds",
     .kind = SW_NUMBER,
     .argument = "X",
     .standard = "5",
     .least = 0.1,
     .most = 86400,
     .help = "how long each takes"},
    {.name = "json", .help = "print the results as JSON"},
    {0},
};

const sw_verb sw_verb_client = {
    .name = "client",
    .operands = "[MODEL]",
    .most_operands = 1,
    .summary = "Put load on a server and measure its answers, or ask once",
    .description =
        "Asks a server of KServe v2 (slipway serve, Triton) for MODEL, with zeros as inputs or what files hold, or without a "
        "model whether it is ready; prints requests a second and how long answers took, from when a request was due. With "
        "--once it prints what came back: type, shape, and the least, mean and largest value of each output.",
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway client yolo11n --connections 1,4", "Closed loop: each connection waits for its answer"},
            {"slipway client yolo11n --rate 50 --connections 100", "Open loop: 50 requests a second on average"},
            {"slipway client yolo11n --once --input images=x.npy -o out", "Ask once, and write out/output0.npy"},
            {"slipway client identity --grpc --shapes INPUT0=1x16 --json", "By gRPC, as JSON"},
            {0},
        },
    .run = run,
};

/* Checkpoints by a small writer of our own, which writes what torch.save writes: the same opcodes, the same archive. */
#include "import/pt/pt.h"

#include <stdlib.h>
#include <string.h>

#include "base/test_memory.h"
#include "base/test_zip.h"
#include "unit.h"

/* ---- The writer ---------------------------------------------------------------------------------------------------- */

typedef struct checkpoint {
    sw_buf pickle;
    float storages[16][32];
    char names[16][16];
    test_member members[20];
    int n;
    const char *kind; /* of the storages: "FloatStorage" */
    int64_t extra;    /* elements that a storage claims above what it has */
} checkpoint;

static checkpoint *begin(void) {
    checkpoint *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->pickle = sw_buf_make(NULL, 0);
    c->kind = "FloatStorage";
    sw_buf_append(&c->pickle, "\x80\x02", 2);
    return c;
}

static void op(checkpoint *c, const char *ops) {
    sw_buf_append_text(&c->pickle, ops);
}
static void put_global(checkpoint *c, const char *module, const char *name) {
    sw_buf_printf(&c->pickle, "c%s\n%s\n", module, name);
}
static void put_text(checkpoint *c, const char *text) {
    op(c, "X");
    test_zip_number(&c->pickle, strlen(text), 4);
    op(c, text);
}
static void put_int(checkpoint *c, int64_t v) {
    op(c, "J");
    test_zip_number(&c->pickle, (uint32_t)v, 4);
}
static void put_item(checkpoint *c, const char *key, int64_t v) {
    put_text(c, key);
    put_int(c, v);
}
static void put_pair(checkpoint *c, int64_t a, int64_t b) {
    put_int(c, a);
    put_int(c, b);
    op(c, "\x86");
}

/* An object of a class and its state, which the caller fills between the two. */
static void open_module(checkpoint *c, const char *module, const char *class) {
    put_global(c, module, class);
    op(c, ")\x81}(");
}
static void close_module(checkpoint *c) {
    op(c, "ub");
}
static void open_dict(checkpoint *c, const char *key) {
    put_text(c, key);
    put_global(c, "collections", "OrderedDict");
    op(c, ")R(");
}
static void close_dict(checkpoint *c) {
    op(c, "u");
}

/* A tensor with a storage of its own, filled with first, first + 1 ... */
static void put_tensor(checkpoint *c, float first, int rank, const int64_t *dims) {
    int64_t count = 1, stride = 1;
    for (int i = 0; i < rank; i++) count *= dims[i];
    for (int64_t i = 0; i < count && i < 32; i++) c->storages[c->n][i] = first + (float)i;
    snprintf(c->names[c->n], sizeof c->names[c->n], "m/data/%d", c->n);
    c->members[c->n] =
        (test_member){.name = c->names[c->n], .data = c->storages[c->n], .size = (size_t)count * sizeof(float)};
    put_global(c, "torch._utils", "_rebuild_tensor_v2");
    op(c, "((");
    put_text(c, "storage");
    put_global(c, "torch", c->kind);
    put_text(c, c->names[c->n] + strlen("m/data/"));
    put_text(c, "cpu");
    put_int(c, count + c->extra);
    op(c, "tQ");
    put_int(c, 0);
    op(c, "(");
    for (int i = 0; i < rank; i++) put_int(c, dims[i]);
    op(c, "t(");
    for (int i = 0; i < rank; i++) {
        stride = 1;
        for (int k = i + 1; k < rank; k++) stride *= dims[k];
        put_int(c, stride);
    }
    op(c, "t\x89");
    put_global(c, "collections", "OrderedDict");
    op(c, ")RtR");
    c->n++;
}

static void put_conv(checkpoint *c, int64_t out, int64_t in, float first) {
    open_module(c, "torch.nn.modules.conv", "Conv2d");
    open_dict(c, "_parameters");
    put_text(c, "weight");
    put_tensor(c, first, 4, (int64_t[]){out, in, 1, 1});
    put_text(c, "bias");
    op(c, "N");
    close_dict(c);
    put_text(c, "stride"), put_pair(c, 2, 1);
    put_text(c, "padding"), put_pair(c, 0, 0);
    put_text(c, "dilation"), put_pair(c, 1, 1);
    put_item(c, "groups", 1);
    close_module(c);
}

/* conv + act, as a fused Conv of Ultralytics. */
static void put_block(checkpoint *c, int64_t out, int64_t in, float first) {
    open_module(c, "ultralytics.nn.modules.conv", "Conv");
    open_dict(c, "_modules");
    put_text(c, "conv"), put_conv(c, out, in, first);
    put_text(c, "act"), open_module(c, "torch.nn.modules.activation", "SiLU"), close_module(c);
    close_dict(c);
    close_module(c);
}

static void put_classify(checkpoint *c) {
    open_module(c, "ultralytics.nn.modules.head", "Classify");
    open_dict(c, "_modules");
    put_text(c, "conv"), put_block(c, 2, 2, 7);
    put_text(c, "pool");
    open_module(c, "torch.nn.modules.pooling", "AdaptiveAvgPool2d"), put_item(c, "output_size", 1), close_module(c);
    put_text(c, "linear");
    open_module(c, "torch.nn.modules.linear", "Linear");
    open_dict(c, "_parameters");
    put_text(c, "weight"), put_tensor(c, 1, 2, (int64_t[]){3, 2});
    put_text(c, "bias"), put_tensor(c, -1, 1, (int64_t[]){3});
    close_dict(c);
    close_module(c);
    close_dict(c);
    close_module(c);
}

/* A classifier of two layers; `layer` is the class of the first. */
static void put_model(checkpoint *c, const char *module, const char *layer) {
    open_module(c, "ultralytics.nn.tasks", "ClassificationModel");
    open_dict(c, "_modules");
    put_text(c, "model");
    open_module(c, "torch.nn.modules.container", "Sequential");
    open_dict(c, "_modules");
    put_text(c, "0");
    if (layer)
        open_module(c, module, layer), close_module(c);
    else
        put_block(c, 2, 3, 1);
    put_text(c, "1"), put_classify(c);
    close_dict(c);
    close_module(c);
    close_dict(c);
    put_text(c, "names");
    op(c, "}(");
    put_int(c, 0), put_text(c, "cat's"), put_int(c, 1), put_text(c, "dog"), put_int(c, 2), put_text(c, "\xc3\xa9");
    op(c, "u");
    put_text(c, "yaml"), op(c, "}"), put_item(c, "channels", 3), op(c, "s");
    close_module(c);
}

/* Ends the pickle, reads the archive and frees the writer. */
static sw_status finish(checkpoint *c, const sw_allocator *allocator, sw_graph **graph) {
    op(c, ".");
    c->members[c->n++] = (test_member){.name = "m/data.pkl", .data = c->pickle.data, .size = c->pickle.size};
    c->members[c->n++] = (test_member){.name = "m/version", .data = "3\n", .size = 2};
    sw_buf file = sw_buf_make(NULL, 0);
    test_zip_write(&file, c->members, c->n);
    sw_status status = sw_pt_parse(file.data, file.size, "m.pt", allocator, &sw_test_diag, graph);
    sw_buf_free(&file);
    sw_buf_free(&c->pickle);
    free(c);
    return status;
}

static void check_failed(checkpoint *c, sw_status status, const char *message) {
    sw_graph *graph;
    CHECK_INT(finish(c, NULL, &graph), status);
    CHECK(!graph);
    if (!strstr(sw_test_message(), message))
        sw_test_fail(__FILE__, __LINE__, "expected '%s' in: %s", message, sw_test_message());
}

/* ---- What is read -------------------------------------------------------------------------------------------------- */

static void put_checkpoint(checkpoint *c, bool ema) {
    op(c, "}(");
    put_text(c, "model");
    if (ema) {
        op(c, "N");
        put_text(c, "ema");
    }
    put_model(c, NULL, NULL);
    put_text(c, "version"), put_text(c, "8.3.0");
    put_text(c, "train_args"), op(c, "}"), put_item(c, "imgsz", 96), op(c, "s");
    op(c, "u");
}

static void check_classifier(const sw_graph *graph) {
    CHECK_INT(sw_graph_verify(graph, &sw_test_diag), SW_OK);
    static const sw_op want[] = {SW_OP_Conv,    SW_OP_Swish,     SW_OP_Conv,   SW_OP_Swish, SW_OP_GlobalAveragePool,
                                 SW_OP_Flatten, SW_OP_Transpose, SW_OP_MatMul, SW_OP_Add,   SW_OP_Softmax,
                                 SW_OP_Identity};
    const sw_node *node = graph->first;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, node = node ? node->next : NULL)
        if (!node || node->op != want[i])
            sw_test_fail(__FILE__, __LINE__, "node %zu is %s", i, node ? sw_op_get(node->op)->name : "absent");
    CHECK(!node);
    CHECK_STR(graph->inputs[0]->name, "images");
    CHECK_STR(graph->outputs[0]->name, "output0");
    CHECK_STR(graph->first->name, "model.0.conv");
    const sw_tensor *weight = &graph->first->in[1]->type;
    CHECK(weight->rank == 4 && weight->dims[0] == 2 && weight->dims[1] == 3 && weight->dtype == SW_F32);
    for (int i = 0; i < 6; i++) CHECK_NEAR(((float *)weight->data)[i], 1 + i, 0);
    const sw_attr *strides = sw_node_attr(graph->first, "strides", SW_ATTR_INTS);
    CHECK(strides->ints.n == 2 && strides->ints.v[0] == 2 && strides->ints.v[1] == 1);
    CHECK_STR(sw_graph_meta(graph, "task"), "classify");
    CHECK_STR(sw_graph_meta(graph, "names"), "{0: \"cat's\", 1: 'dog', 2: '\xc3\xa9'}");
    CHECK_STR(sw_graph_meta(graph, "imgsz"), "[96, 96]");
    CHECK_STR(sw_graph_meta(graph, "version"), "8.3.0");
    CHECK_STR(sw_graph_meta(graph, "head"), "Classify");
}

SW_TEST(pt_reads_a_checkpoint) {
    for (int ema = 0; ema < 2; ema++) {
        checkpoint *c = begin();
        sw_graph *graph;
        put_checkpoint(c, ema);
        CHECK_INT(finish(c, NULL, &graph), SW_OK);
        if (graph) check_classifier(graph);
        sw_graph_destroy(graph);
    }
}

SW_TEST(pt_survives_every_failing_allocation) {
    test_memory memory = {0};
    sw_allocator allocator = test_memory_allocator(&memory);
    sw_status status = SW_E_NOMEM;
    for (int fail = 1; status == SW_E_NOMEM && fail < 10000; fail++) {
        checkpoint *c = begin();
        sw_graph *graph;
        put_checkpoint(c, true);
        memory = (test_memory){.fail_at = fail};
        status = finish(c, &allocator, &graph);
        CHECK((status == SW_OK) == (graph != NULL));
        sw_graph_destroy(graph);
        CHECK_INT(memory.held, 0);
    }
    CHECK_INT(status, SW_OK);
}

/* ---- What is refused ----------------------------------------------------------------------------------------------- */

SW_TEST(pt_names_unknown_modules) {
    checkpoint *c = begin();
    put_model(c, "ultralytics.nn.modules.block", "BlockOfTomorrow");
    check_failed(c, SW_E_UNSUPPORTED,
                 "m.pt: model.0: the module is of the unknown class 'ultralytics.nn.modules.block.BlockOfTomorrow'");
}

SW_TEST(pt_refuses_storages_that_lie) {
    checkpoint *c = begin();
    c->extra = 1;
    put_model(c, NULL, NULL);
    check_failed(c, SW_E_MODEL, "should hold 7 elements, but has 24 bytes");
    c = begin();
    c->kind = "DoubleStorage";
    put_model(c, NULL, NULL);
    check_failed(c, SW_E_MODEL, "should hold 6 elements, but has 24 bytes");
    c = begin();
    c->kind = "ComplexFloatStorage";
    put_model(c, NULL, NULL);
    check_failed(c, SW_E_UNSUPPORTED, "a storage of kind torch.ComplexFloatStorage");
    c = begin();
    put_model(c, NULL, NULL);
    c->members[0].crc = 1;
    check_failed(c, SW_E_MODEL, "'m/data/0' is damaged: its checksum is wrong");
    c = begin();
    put_model(c, NULL, NULL);
    c->members[0].name = "m/data/99";
    check_failed(c, SW_E_MODEL, "the archive has no 'm/data/0'");
}

SW_TEST(pt_says_what_else_a_file_is) {
    checkpoint *c = begin();
    put_global(c, "collections", "OrderedDict");
    op(c, ")R(");
    put_text(c, "conv.weight"), put_tensor(c, 0, 1, (int64_t[]){2});
    op(c, "u");
    check_failed(c, SW_E_UNSUPPORTED, "holds weights only (a state_dict)");
    c = begin();
    op(c, "}(");
    put_item(c, "epoch", 3);
    op(c, "u");
    check_failed(c, SW_E_UNSUPPORTED, "holds a dictionary, but no model of Ultralytics or YOLOv5");
    c = begin();
    put_model(c, NULL, NULL);
    c->members[c->n++] = (test_member){.name = "m/constants.pkl", .data = "x", .size = 1};
    check_failed(c, SW_E_UNSUPPORTED, "is a TorchScript archive, which holds code");

    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } files[] = {
        {"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.", 15, "the format of PyTorch before 1.6"},
        {"\x80\x02}.", 4, "a bare pickle"},
    };
    sw_graph *graph;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        CHECK(sw_pt_sniff(files[i].bytes, files[i].size));
        CHECK_INT(sw_pt_parse(files[i].bytes, files[i].size, "m.pt", NULL, &sw_test_diag, &graph), SW_E_UNSUPPORTED);
        CHECK(strstr(sw_test_message(), files[i].message));
    }
    char tar[512] = "sys_info";
    memcpy(tar + 257, "ustar", 5);
    CHECK(sw_pt_sniff(tar, sizeof tar) && !sw_pt_sniff("\x08\x09", 2));
    CHECK_INT(sw_pt_parse(tar, sizeof tar, "m.pt", NULL, &sw_test_diag, &graph), SW_E_UNSUPPORTED);
    CHECK(strstr(sw_test_message(), "before 1.6"));
}

/* A Sequential that holds one module twice, in a Sequential that holds that twice ...: 2^40 modules in a small file. */
SW_TEST(pt_bounds_trees_that_share_branches) {
    checkpoint *c = begin();
    open_module(c, "ultralytics.nn.tasks", "DetectionModel");
    open_dict(c, "_modules");
    put_text(c, "model");
    open_module(c, "torch.nn.modules.container", "Sequential");
    open_dict(c, "_modules");
    put_text(c, "0");
    for (int i = 0; i < 24; i++) {
        open_module(c, "torch.nn.modules.container", "Sequential");
        open_dict(c, "_modules");
        put_text(c, "a");
    }
    open_module(c, "torch.nn.modules.activation", "ReLU"), close_module(c);
    for (int i = 0; i < 24; i++) {
        op(c, "q\x05");
        put_text(c, "b");
        op(c, "h\x05");
        close_dict(c);
        close_module(c);
    }
    put_text(c, "1"), put_classify(c);
    close_dict(c);
    close_module(c);
    close_dict(c);
    close_module(c);
    check_failed(c, SW_E_LIMIT, "the model has more than 16384 modules");
}

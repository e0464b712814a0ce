#include <stdlib.h>

#include "base/buf.h"
#include "export/export.h"
#include "unit.h"

static sw_value *input(sw_graph *g, int rank, const int64_t *dims) {
    sw_value *value = sw_graph_add_value(g, "x", SW_F32, rank, dims);
    CHECK_INT(sw_graph_set_inputs(g, &value, 1), SW_OK);
    return value;
}

static sw_node *finish(sw_graph *g, sw_op op, sw_value *x) {
    sw_value *y = sw_graph_add_value(g, "y", SW_F32, x->type.rank, x->type.dims);
    sw_node *node = sw_graph_add_node(g, NULL, op, "n", 1, &x, 1, &y);
    CHECK_INT(sw_graph_set_outputs(g, &y, 1), SW_OK);
    return node;
}

static void check_dump(const sw_graph *g, const char *want) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    sw_graph_dump(g, file);
    fclose(file);
    if (!strstr(text, want)) sw_test_fail(__FILE__, __LINE__, "\"%s\" is not in:\n%s", want, text);
    free(text);
}

SW_TEST(export_lowers_swish) {
    sw_graph *g = sw_graph_create(NULL);
    finish(g, SW_OP_Swish, input(g, 2, (int64_t[]){1, 4}));
    CHECK(sw_graph_add_value(g, "y_sigmoid", SW_F32, 0, NULL)); /* made by nobody: the name is free */
    CHECK_INT(sw_export_lower(g, 18, &sw_test_diag), SW_OK);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    check_dump(g, "%y_sigmoid:float32[1,4] = Sigmoid(%x) \"n_sigmoid\"\n"
                  "  %y:float32[1,4] = Mul(%x, %y_sigmoid) \"n\"");
    sw_graph_destroy(g);
}

SW_TEST(export_keeps_what_the_opset_has) {
    sw_graph *g = sw_graph_create(NULL);
    finish(g, SW_OP_Gelu, input(g, 2, (int64_t[]){1, 4}));
    CHECK_INT(sw_export_lower(g, 20, &sw_test_diag), SW_OK);
    CHECK_INT(g->n_nodes, 1);
    CHECK_INT(sw_export_lower(g, 19, &sw_test_diag), SW_OK);
    CHECK_INT(g->n_nodes, 5);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    sw_graph_destroy(g);
}

SW_TEST(export_sizes_follow_options_and_metadata) {
    sw_graph *g = sw_graph_create(NULL);
    int64_t dims[] = {sw_graph_symbol(g, "batch"), 3, sw_graph_symbol(g, "height"), sw_graph_symbol(g, "width")};
    sw_value *x = input(g, 4, dims);
    finish(g, SW_OP_Relu, x);
    sw_export_options o = {.stem = "yolo11n"};
    CHECK_INT(sw_export_prepare(g, &o, &sw_test_diag), SW_OK);
    CHECK(x->type.dims[0] < 0 && x->type.dims[2] < 0); /* nobody says which */
    CHECK_INT(sw_graph_set_meta(g, "task", "detect"), SW_OK);
    CHECK_INT(sw_graph_set_meta(g, "imgsz", "[320, 256]"), SW_OK);
    CHECK_INT(sw_graph_set_meta(g, "stride", "32"), SW_OK);
    o.height = 400;
    CHECK_INT(sw_export_prepare(g, &o, &sw_test_diag), SW_OK);
    CHECK_INT(x->type.dims[0], 1);
    CHECK_INT(x->type.dims[2], 416);
    CHECK_INT(x->type.dims[3], 256);
    CHECK_STR(sw_test_message(), "--imgsz 400 is no multiple of the model's stride 32: taken as 416");
    CHECK_STR(sw_graph_meta(g, "imgsz"), "[416, 256]");
    o.batch = 4;
    CHECK_INT(sw_export_prepare(g, &o, &sw_test_diag), SW_E_USAGE);
    CHECK_STR(sw_test_message(),
              "--batch 4: the model's batch is fixed at 1 (export from the checkpoint, or from a model "
              "whose sizes are open)");
    sw_graph_destroy(g);
}

SW_TEST(export_metadata_as_yaml_and_json) {
    sw_graph *g = sw_graph_create(NULL);
    static const char *const meta[][2] = {{"description", "Ultralytics \"n\" model "},
                                          {"version", "8.4.190"},
                                          {"batch", "1"},
                                          {"imgsz", "[640, 480]"},
                                          {"names", "{0: 'person', 1: 'no'}"},
                                          {"end2end", "False"},
                                          {"args", "{'x': None, 'y': 0.5}"}};
    for (size_t i = 0; i < sizeof meta / sizeof *meta; i++)
        CHECK_INT(sw_graph_set_meta(g, meta[i][0], meta[i][1]), SW_OK);
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_export_meta_yaml(g, &buf);
    CHECK_STR(sw_buf_text(&buf), "description: \"Ultralytics \\\"n\\\" model \"\nversion: 8.4.190\nbatch: 1\n"
                                 "imgsz:\n- 640\n- 480\nnames:\n  0: person\n  1: \"no\"\nend2end: false\n"
                                 "args:\n  x: null\n  \"y\": 0.5\n");
    sw_buf_clear(&buf);
    sw_export_meta_json(g, &buf);
    CHECK_STR(
        sw_buf_text(&buf),
        "{\"description\":\"Ultralytics \\\"n\\\" model \",\"version\":\"8.4.190\",\"batch\":1,\"imgsz\":[640,480],"
        "\"names\":{\"0\":\"person\",\"1\":\"no\"},\"end2end\":false,\"args\":{\"x\":null,\"y\":0.5}}");
    sw_buf_free(&buf);
    sw_graph_destroy(g);
}

SW_TEST(export_formats_have_names) {
    CHECK_STR(sw_exporter_find("onnx,tflite", 4)->name, "onnx");
    CHECK(!sw_exporter_find("onnxx", 5));
    CHECK(!sw_exporter_find("", 0));
}

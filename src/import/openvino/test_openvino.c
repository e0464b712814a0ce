#include <stdlib.h>

#include "import/openvino/openvino.h"
#include "unit.h"

/* clang-format off */
#define NET(layers, edges) \
    "<?xml version='1.0'?><net name='n' version='11'><layers>" layers "</layers><edges>" edges "</edges></net>"
#define PORT(id) "<port id='" #id "' precision='FP32'><dim>1</dim></port>"
#define IN(ports) "<input>" ports "</input>"
#define OUT(ports) "<output>" ports "</output>"
#define LAYER(id, name, type, data, ports) \
    "<layer id='" #id "' name='" name "' type='" type "' version='opset1'><data " data "/>" ports "</layer>"
#define INPUT LAYER(0, "x", "Parameter", "shape='1,?' element_type='f32'", OUT(PORT(0)))
#define RESULT(id) LAYER(id, "r", "Result", "", IN(PORT(0)))
#define UNARY(id, type) LAYER(id, "y", type, "", IN(PORT(0)) OUT(PORT(1)))
#define EDGE(from, from_port, to, to_port) \
    "<edge from-layer='" #from "' from-port='" #from_port "' to-layer='" #to "' to-port='" #to_port "'/>"

/* x times weights of int8 with a scale for each row. */
static const char int8_net[] = NET(
    LAYER(0, "x", "Parameter", "shape='1,2' element_type='f32'", OUT(PORT(0)))
    LAYER(1, "w", "Const", "element_type='i8' shape='2,2' offset='0' size='4'", OUT(PORT(0)))
    LAYER(2, "c", "Convert", "destination_type='f32'", IN(PORT(0)) OUT(PORT(1)))
    LAYER(3, "s", "Const", "element_type='f32' shape='2,1' offset='8' size='8'", OUT(PORT(0)))
    LAYER(4, "d", "Multiply", "", IN(PORT(0) PORT(1)) OUT(PORT(2)))
    LAYER(5, "y", "MatMul", "transpose_b='true'", IN(PORT(0) PORT(1)) OUT(PORT(2)))
    RESULT(6),
    EDGE(1, 0, 2, 0) EDGE(2, 1, 4, 0) EDGE(3, 0, 4, 1) EDGE(0, 0, 5, 0) EDGE(4, 2, 5, 1) EDGE(5, 2, 6, 0));
static const char outside_net[] = NET(
    INPUT LAYER(1, "c", "Const", "element_type='f32' shape='4' offset='8' size='16'", OUT(PORT(0))), "");
static const char float_axes_net[] = NET(
    INPUT LAYER(1, "c", "Const", "element_type='f32' shape='1' offset='0' size='4'", OUT(PORT(0)))
    LAYER(2, "y", "ReduceSum", "", IN(PORT(0) PORT(1)) OUT(PORT(2))) RESULT(3),
    EDGE(0, 0, 2, 0) EDGE(1, 0, 2, 1) EDGE(2, 2, 3, 0));
/* clang-format on */

static sw_graph *parse(const char *xml, const void *bin, size_t size) {
    sw_graph *graph = NULL;
    sw_status status = sw_openvino_parse(xml, strlen(xml), bin, size, "m.xml", NULL, NULL, &sw_test_diag, &graph);
    CHECK_INT(status == SW_OK, graph != NULL);
    return graph;
}

static void check_dump(const char *xml, const void *bin, size_t size, const char *want) {
    sw_graph *graph = parse(xml, bin, size);
    char *text = NULL;
    size_t length = 0;
    if (!graph) {
        sw_test_fail(__FILE__, __LINE__, "%s", sw_test_message());
        return;
    }
    FILE *file = open_memstream(&text, &length);
    sw_graph_dump(graph, file);
    fclose(file);
    if (!strstr(text, want)) sw_test_fail(__FILE__, __LINE__, "\"%s\" is not in:\n%s", want, text);
    free(text);
    sw_graph_destroy(graph);
}

static void refused(const char *xml, const char *want) {
    static const float bin[1];
    bool empty = !strstr(xml, "size='4'");
    sw_graph *graph = parse(xml, bin, empty ? 0 : sizeof bin);
    CHECK(!graph);
    sw_graph_destroy(graph);
    if (!strstr(sw_test_message(), want))
        sw_test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", want, sw_test_message());
}

SW_TEST(openvino_layers_in_any_order) {
    check_dump(NET(RESULT(2) UNARY(1, "ReLU") INPUT, EDGE(1, 1, 2, 0) EDGE(0, 0, 1, 0)), "", 0,
               "%y:float32[1,channels] = Relu(%x)");
}

SW_TEST(openvino_integer_weights_stay_integers) {
    static const struct {
        int8_t w[8];
        float scale[2];
    } bin = {{1, -2, 3, -4}, {0.5f, 0.25f}};
    check_dump(int8_net, &bin, sizeof bin, "%d:float32[2,2] = DequantizeLinear(%w, %v_4, %) axis=0");
}

SW_TEST(openvino_refusals) {
    refused("<a/>", "m.xml: line 1: this is no OpenVINO model");
    refused("<net version=\"5\"></net>", "IR versions 10 and 11");
    refused("<!DOCTYPE a [<!ENTITY x \"y\">]><net version=\"11\"/>", "document types are not allowed");
    refused("<net version=\"11\"><layers>", "m.xml: line 1: no element found");
    refused(NET(UNARY(1, "ReLU"), ""), "the model has no inputs");
    refused(NET(INPUT UNARY(1, "Warp") RESULT(2), EDGE(0, 0, 1, 0) EDGE(1, 1, 2, 0)),
            "layer 'y' (Warp): layers of this type (opset1) are not supported");
    refused(NET(INPUT UNARY(1, "ReLU") RESULT(2), EDGE(1, 1, 1, 0) EDGE(1, 1, 2, 0)),
            "layer 'y' (ReLU): it depends on itself");
    refused(NET(INPUT UNARY(1, "ReLU") RESULT(2), EDGE(0, 7, 1, 0)),
            "the edge from layer 0 port 7 to layer 1 port 0 leads nowhere");
    refused(NET(INPUT UNARY(1, "ReLU") UNARY(1, "ReLU"), ""), "two layers have the id 1");
    refused(NET(INPUT UNARY(1, "ReLU") RESULT(2), EDGE(1, 1, 2, 0)), "nothing leads to its input 0");
    refused(float_axes_net, "layer 'y' (ReduceSum): an input of whole numbers has type float32");
    refused(outside_net, "its data, 16 bytes at 8, do not fit its shape or the .bin of 0 bytes");
}

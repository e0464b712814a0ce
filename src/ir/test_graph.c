#include <stdlib.h>

#include "ir/graph.h"
#include "unit.h"

static sw_value *input(sw_graph *g, const char *name, int rank, const int64_t *dims) {
    sw_value *value = sw_graph_add_value(g, name, SW_F32, rank, dims);
    CHECK_INT(sw_graph_set_inputs(g, &value, 1), SW_OK);
    return value;
}

static void check_dump(const sw_graph *g, const char *want) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    sw_graph_dump(g, file);
    fclose(file);
    CHECK_STR(text, want);
    free(text);
}

SW_TEST(graph_names_are_unique) {
    sw_graph *g = sw_graph_create(NULL);
    for (int i = 0; i < 1000; i++) CHECK(sw_graph_add_value(g, i % 2 ? "x" : NULL, SW_F32, 0, NULL));
    for (size_t i = 0; i < g->n_values; i++) CHECK(sw_graph_find_value(g, g->values[i]->name) == g->values[i]);
    CHECK(!sw_graph_find_value(g, "nobody"));
    sw_graph_destroy(g);
}

SW_TEST(graph_dump_shows_everything) {
    sw_graph *g = sw_graph_create(NULL);
    int64_t batch = sw_graph_symbol(g, "batch");
    CHECK_INT(sw_graph_symbol(g, "batch"), batch);
    sw_value *x = input(g, "x", 2, (int64_t[]){batch, 4});
    sw_value *perm = sw_graph_const_ints(g, "dims", (int64_t[]){4, -1}, 2);
    sw_value *y = sw_graph_apply(g, NULL, SW_OP_Transpose, "turn", 1, &x);
    CHECK_INT(sw_node_set_ints(g, y->producer, "perm", (int64_t[]){1, 0}, 2), SW_OK);
    sw_value *z = sw_graph_apply(g, NULL, SW_OP_Reshape, "", 2, (sw_value *[]){y, perm});
    CHECK_INT(sw_graph_set_outputs(g, &z, 1), SW_OK);
    CHECK_INT(sw_graph_infer(g, &sw_test_diag), SW_OK);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    check_dump(g, "graph \"\" {\n"
                  "  input %x:float32[batch,4]\n"
                  "  const %dims:int64[2] {4,-1}\n"
                  "  %turn:float32[4,batch] = Transpose(%x) perm=[1,0] \"turn\"\n"
                  "  %v_3:float32[4,batch] = Reshape(%turn, %dims)\n"
                  "  output %v_3:float32[4,batch]\n"
                  "}\n");
    sw_graph_destroy(g);
}

SW_TEST(graph_replace_moves_output_names) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, "x", 1, (int64_t[]){4});
    sw_value *a = sw_graph_apply(g, NULL, SW_OP_Relu, "a", 1, &x);
    sw_value *b = sw_graph_apply(g, NULL, SW_OP_Identity, "result", 1, &a);
    CHECK_INT(sw_graph_set_outputs(g, &b, 1), SW_OK);
    CHECK(!sw_graph_replace(g, b, x)); /* an input cannot take the name of an output */
    CHECK(g->outputs[0] == b);
    CHECK(sw_graph_replace(g, b, a));
    CHECK(g->outputs[0] == a);
    CHECK_STR(a->name, "result");
    CHECK(sw_graph_find_value(g, "result") == a && sw_graph_find_value(g, "a") == b);
    sw_graph_remove_node(g, b->producer);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    CHECK_INT(a->uses, 1);
    sw_graph_destroy(g);
}

SW_TEST(verify_finds_each_fault) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, "x", 1, (int64_t[]){4});
    sw_value *late = sw_graph_add_value(g, "late", SW_F32, 0, NULL);
    sw_value *y = sw_graph_apply(g, NULL, SW_OP_Add, "sum", 2, (sw_value *[]){x, late});
    CHECK_INT(sw_graph_set_outputs(g, &y, 1), SW_OK);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'sum' (Add): input 'late' is used before it is made");
    sw_node_set_input(y->producer, 1, x);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    sw_node_set_input(y->producer, 1, NULL);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'sum' (Add): a required input is absent");
    sw_node_set_input(y->producer, 1, x);
    sw_value *c = sw_graph_apply(g, NULL, SW_OP_Concat, "join", 1, &x);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'join' (Concat): the required attribute 'axis' is missing");
    sw_node_set_int(c->producer, "axis", 0);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    sw_graph_destroy(g);
}

SW_TEST(graph_meta_is_replaced_by_key) {
    sw_graph *g = sw_graph_create(NULL);
    CHECK_INT(sw_graph_set_meta(g, "task", "detect"), SW_OK);
    CHECK_INT(sw_graph_set_meta(g, "task", "segment"), SW_OK);
    CHECK_INT((int)g->n_meta, 1);
    CHECK_STR(sw_graph_meta(g, "task"), "segment");
    CHECK(!sw_graph_meta(g, "names"));
    sw_graph_destroy(g);
}
